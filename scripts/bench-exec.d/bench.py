"""What scripts/bench-exec measures; see there."""

import json
import os
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time

emu, runs, ready, days = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])

HOURLY = """
[functions.report]
source = "functions/report.ts"
cron = "0 * * * *"
bind = { STOCK = "function:stock" }
"""


def busy_ports():
    """emu's own ports, and some that the system would give next, are taken."""
    held = []
    for port in [3680, 3681] + [0] * 50:
        holder = socket.socket()
        try:
            holder.bind(("127.0.0.1", port))
            holder.listen()
            held.append(holder)
        except OSError:
            holder.close()
    return held


def children():
    """Processes whose parent is this one or has gone, and that run emu."""
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            if os.readlink(f"/proc/{pid}/exe") == os.path.realpath(emu):
                found.append(int(pid))
        except OSError:
            pass
    return found


def files(folder):
    return sorted(os.path.join(at, name) for at, _, names in os.walk(folder) for name in names)


def project(folder):
    copy = os.path.join(folder, "project")
    shutil.copytree("examples/orders", copy, ignore=shutil.ignore_patterns("tests"))
    manifest = os.path.join(copy, "emu.toml")
    text = open(manifest).read()
    before, rest = text.split("[functions.report]", 1)
    # A report each hour, and each day an order whose card is declined: three receives, two visibility timeouts.
    rest = rest[rest.index("[queues.orders]") :]
    open(manifest, "w").write(before + HOURLY.lstrip() + "\n" + ORDERING + "\n" + rest)
    open(os.path.join(copy, "functions", "customer.mjs"), "w").write(CUSTOMER)
    return copy


ORDERING = """
[functions.customer]
source = "functions/customer.mjs"
cron = "30 12 * * *"
bind = { SHOP = "function:api" }
"""

CUSTOMER = """
export default {
  async scheduled(event, env) {
    const body = JSON.stringify({ card: "0002", items: [{ product: "mug", quantity: 1 }] });
    const response = await env.SHOP.fetch("http://shop/orders", { method: "POST", body });
    if (!response.ok) throw new Error(await response.text());
  },
};
"""


def start_stop(copy):
    held = busy_ports()
    before, known = files(copy), set(children())
    began = time.monotonic()
    for run in range(runs):
        ended = subprocess.run([emu, "exec", "--project", copy, "--", "true"], capture_output=True, text=True)
        if ended.returncode != 0:
            sys.exit(f"run {run} ended with {ended.returncode}: {ended.stderr}")
    took = time.monotonic() - began
    left = set(children()) - known
    if left:
        sys.exit(f"processes are left: {sorted(left)}")
    if files(copy) != before:
        sys.exit(f"files are left: {set(files(copy)) - set(before)}")
    print(f"{runs} starts and stops on {len(held)} busy ports: no failure, no process, no file; {took / runs * 1e3:.1f} ms each")


def start_to_ready(copy):
    """From the start of the process to the start of the command, which means that the functions answer."""
    times = []
    for _ in range(ready):
        began = time.time()
        ended = subprocess.run([emu, "exec", "--project", copy, "--", "date", "+%s.%N"], capture_output=True, text=True)
        times.append((float(ended.stdout) - began) * 1e3)
    print(f"start to ready: median {statistics.median(times):.1f} ms, worst {max(times):.1f} ms of {ready}")


def year(copy):
    move = json.dumps({"advance": f"{days * 24}h"})
    script = f"curl -sf -H 'content-type: application/json' -d '{move}' $EMU_CONTROL_URL/_emu/clock"
    began = time.monotonic()
    ended = subprocess.run(
        [emu, "exec", "--project", copy, "--clock", "manual", "--seed", "7", "--", "sh", "-c", script],
        capture_output=True,
        text=True,
    )
    took = time.monotonic() - began
    if ended.returncode != 0:
        sys.exit(f"the year failed: {ended.stderr}")
    moved = json.loads(ended.stdout)
    ran = sum(one["ran"] for one in moved["invocations"].values())
    print(f"{days} days of hourly crons, and of daily orders that fail and are retried: {took:.2f} s, {ran} invocations, {moved['dead_letters']} dead letters")


with tempfile.TemporaryDirectory() as folder:
    copy = project(folder)
    start_stop(copy)
    start_to_ready(copy)
    year(copy)
