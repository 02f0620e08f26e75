"""Runs an unpacked image of examples/orders as its configuration says, and asks it as a client would: for an order, or for a path."""

import json
import os
import subprocess
import sys
import time
import urllib.error
import urllib.request

bundle = sys.argv[1]
paths = sys.argv[2:]
root = os.path.join(bundle, "rootfs")
process = json.load(open(os.path.join(bundle, "config.json")))["process"]
env = dict(line.split("=", 1) for line in process["env"])
user = process["user"]
assert (user["uid"], user["gid"]) == (65532, 65532), user
assert process["args"] == ["/usr/local/bin/emu", "serve"], process["args"]
assert process["cwd"] == "/app", process


def enter():
    os.chroot(root)
    os.chdir(process["cwd"])
    os.setgroups([])
    os.setgid(user["gid"])
    os.setuid(user["uid"])


def run(*args, **more):
    return subprocess.run([process["args"][0], *args], env=env, preexec_fn=enter, capture_output=True, text=True, **more)


def ask(method, path, body=None):
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(f"http://127.0.0.1:{env['PORT']}{path}", data=data, method=method)
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


began = time.monotonic()
served = subprocess.Popen(
    [*process["args"], "--log-format", "json"], env=env, preexec_fn=enter, stdout=subprocess.PIPE, text=True
)
lines = []


def until(fits):
    for line in served.stdout:
        lines.append(json.loads(line))
        if fits(lines[-1]):
            return lines[-1]
    raise SystemExit(f"it ended before that: {lines}")


try:
    ready = until(lambda line: line["event"] == "ready")
    took = time.monotonic() - began
    assert ready["startup_ms"] < 5_000, f"code was compiled at the start: {ready}"
    print(f"the image serves {took * 1e3:.0f} ms after its start")
    assert ask("GET", "/healthz")[0] == 200
    status = run("status", "--quiet")
    assert status.returncode == 0, status
    for path in paths:
        assert ask("GET", path)[0] == 200, path
    if paths:
        raise SystemExit(0)
    code, text = ask("POST", "/orders", {"card": "4242", "items": [{"product": "mug", "quantity": 2}]})
    assert code in (201, 202), (code, text)
    until(lambda line: line["event"] == "invocation" and line["trigger"] == "queue" and line["outcome"] == "succeeded")
    assert ask("GET", "/nowhere")[0] == 404
    served.terminate()
    until(lambda line: line.get("message") == "stopped")
    assert served.wait(timeout=20) == 0
    assert os.path.exists(os.path.join(root, "app/.emu/state.db")), "messages are kept in the volume"
finally:
    served.kill()
