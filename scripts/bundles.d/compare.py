"""compare.py EMU WASMTIME PACKAGES: bundles functions and compares what wasmtime serves with what emu dev answers."""

import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request

EMU, WASMTIME, PACKAGES = sys.argv[1:4]
HERE = os.path.dirname(os.path.abspath(__file__))
# Headers that say how an answer came, not what it is; the last one the example draws anew for each request.
LEFT_OUT = {"date", "connection", "transfer-encoding", "keep-alive", "server", "x-emu-invocation", "x-emu-start", "x-request-id"}
CASES = {
    "hello": [
        ("GET", "/hello/world?name=emu", None),
        ("POST", "/hello/sign", b"a message"),
        ("GET", "/hello/stream", None),
        ("POST", "/hello/echo", b"x" * 200_000),
        ("GET", "/hello/money", None),
        ("GET", "/hello/date", None),
        ("GET", "/hello/cookies", None),
        ("PUT", "/hello/a%20b/../c", b"1"),
    ],
    "lambda": [
        ("GET", "/lambda/x?a=1&a=2&b=", None),
        ("POST", "/lambda/y", "größe".encode()),
    ],
    "hono": [
        ("GET", "/api?name=emu", None),
        ("GET", "/api/me", None),
        ("GET", "/api/count", None),
        ("GET", "/api/notes/1", None),
    ],
}


def ask(base, method, path, body):
    request = urllib.request.Request(base + path, method=method, data=body)
    request.add_header("cookie", "k=v; l=w")
    request.add_header("host", "shop.example")
    try:
        answer = urllib.request.urlopen(request, timeout=60)
    except urllib.error.HTTPError as error:
        answer = error
    headers = sorted((name.lower(), value) for name, value in answer.headers.items())
    headers = [(name, value) for name, value in headers if name not in LEFT_OUT]
    return answer.status, headers, answer.read()


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def serve(bundle):
    port = free_port()
    command = [WASMTIME, "serve", "--addr", f"127.0.0.1:{port}", "--max-instance-reuse-count", "1", bundle]
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    for _ in range(1200):
        if server.poll() is not None:
            sys.exit(f"wasmtime ended: {server.stderr.read().decode()}")
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return server, f"http://127.0.0.1:{port}"
        except OSError:
            time.sleep(0.1)
    sys.exit("wasmtime does not listen")


def compare(project, functions):
    emulator = subprocess.Popen(
        [EMU, "dev", "--project", project, "--port", "0", "--control-port", "0", "--ephemeral", "--json"],
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    running = [emulator]
    failed = 0
    try:
        for line in emulator.stdout:
            event = json.loads(line)
            if "functions_url" in event:
                base = event["functions_url"]
                break
        for function in functions:
            bundle = os.path.join(project, f"{function}.bundle.wasm")
            subprocess.run([EMU, "bundle", function, "--project", project, "-o", bundle, "--quiet"], check=True)
            server, other = serve(bundle)
            running.append(server)
            for method, path, body in CASES[function]:
                here, there = ask(base, method, path, body), ask(other, method, path, body)
                same = here == there
                failed += not same
                print(f"{'ok  ' if same else 'FAIL'} {function} {method} {path}")
                if not same:
                    print(f"     emu      {here}\n     wasmtime {there}")
            os.remove(bundle)
    finally:
        for process in running:
            process.kill()
            process.wait()
    return failed


def main():
    failed = 0
    with tempfile.TemporaryDirectory() as folder:
        project = os.path.join(folder, "project")
        shutil.copytree(HERE, project)
        failed += compare(project, ["hello", "lambda"])
    if os.path.exists(os.path.join(PACKAGES, "functions", "hono.ts")):
        failed += compare(PACKAGES, ["hono"])
    sys.exit(1 if failed else 0)


main()
