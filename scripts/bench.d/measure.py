"""Starting, loading, editing and weighing one server. Loopback only; ends only what it started, by process id."""

import http.client
import os
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path

from peers import MARK

START_SECONDS_MAX = 60


class Failed(Exception):
    """The server could not be measured; says why."""


def free_ports(count):
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


class Running:
    """A started server in a folder of its own; stopped on exit."""

    def __init__(self, server, component, cache, edits=False):
        self.server, self.edits, self.cache, self.component = server, edits, cache, component
        self.connection = None

    def __enter__(self):
        self.folder = Path(tempfile.mkdtemp(prefix="emu-bench-"))
        for name, content in self.server.files.items():
            target = self.folder / name
            if isinstance(content, Path):
                target.symlink_to(content)
            else:
                target.write_text(content.replace("MARK", MARK))
        if self.server.component:
            shutil.copy(self.component, self.folder / "hello.wasm")
        self.port, *spare = free_ports(4)
        command = (self.edits and self.server.edit_command) or self.server.command
        environment = {**os.environ, "XDG_CACHE_HOME": str(self.cache), "EMU_CACHE_DIR": str(self.cache / "emu"),
                       "NO_COLOR": "1", "NODE_ENV": "development", **self.server.env}
        self.log = open(self.folder / "output.log", "wb")
        self.started = time.perf_counter()
        # A session of its own: npm's launchers start children, which end with their group.
        self.process = subprocess.Popen(command(self.port, spare), cwd=self.folder, env=environment, stdin=subprocess.DEVNULL,
                                        stdout=self.log, stderr=subprocess.STDOUT, start_new_session=True)
        try:
            self.first_ms = self.await_first()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        if self.connection:
            self.connection.close()
        for sign in (signal.SIGTERM, signal.SIGKILL):
            try:
                os.killpg(self.process.pid, sign)
            except ProcessLookupError:
                break
            try:
                self.process.wait(timeout=5)
            except subprocess.TimeoutExpired:
                continue
        self.process.wait()
        self.log.close()
        shutil.rmtree(self.folder, ignore_errors=True)

    def await_first(self):
        """Milliseconds from the start of the process to the first right answer."""
        while time.perf_counter() - self.started < START_SECONDS_MAX:
            if self.get() == self.server.answer:
                return (time.perf_counter() - self.started) * 1e3
            if self.process.poll() is not None:
                break
            time.sleep(0.001)
        self.log.flush()
        tail = (self.folder / "output.log").read_text(errors="replace")[-600:]
        raise Failed(f"{self.server.name} did not answer; its last words:\n{tail}")

    def get(self):
        """The answer's text, or None while there is none."""
        try:
            if not self.connection:
                self.connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
            self.connection.request("GET", self.server.path)
            response = self.connection.getresponse()
            text = response.read().decode(errors="replace").strip()
            return text if response.status == 200 else None
        except (OSError, http.client.HTTPException):
            self.connection.close()
            self.connection = None
            return None

    def load(self, wrk, seconds):
        """Requests a second and latencies under 16 connections."""
        url = f"http://127.0.0.1:{self.port}{self.server.path}"
        done = subprocess.run([wrk, "-t1", "-c16", f"-d{seconds}s", "--latency", url], capture_output=True, text=True,
                              stdin=subprocess.DEVNULL, timeout=seconds + 30)
        return parse_wrk(done.stdout)

    def edit_times(self, count):
        """Milliseconds from the write of a change to the first answer of the new code, for each of `count` edits."""
        times, target = [], self.folder / self.server.edit
        for number in range(count):
            mark = f"edit {number}"
            text = self.server.edit_template.replace("MARK", mark)
            begun = time.perf_counter()
            temporary = target.with_suffix(".new")
            temporary.write_text(text)
            temporary.rename(target)
            while self.get() != mark:
                if time.perf_counter() - begun > 15:
                    raise Failed(f"{self.server.name} did not show edit {number} within 15 s")
                time.sleep(0.001)
            times.append((time.perf_counter() - begun) * 1e3)
            # An editor's pace, never in step with a watcher's period.
            time.sleep(0.3 + 0.037 * (number % 10))
        return times

    def memory_mb(self):
        """RSS and PSS of the server and all its descendants."""
        rss = pss = 0
        for pid in descendants(self.process.pid):
            try:
                text = Path(f"/proc/{pid}/smaps_rollup").read_text()
            except OSError:
                continue
            rss += int(re.search(r"^Rss:\s+(\d+)", text, re.M).group(1))
            pss += int(re.search(r"^Pss:\s+(\d+)", text, re.M).group(1))
        return rss / 1024, pss / 1024


def descendants(root):
    parents = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                parents[int(entry.name)] = int((entry / "stat").read_text().rsplit(")", 1)[1].split()[1])
            except OSError:
                pass
    family, grown = {root}, True
    while grown:
        more = {pid for pid, parent in parents.items() if parent in family} - family
        family |= more
        grown = bool(more)
    return family


def parse_wrk(text):
    """wrk's own words: `50%  412.00us`, `Requests/sec:  19500.12`, `Non-2xx or 3xx responses: 3`."""
    unit = {"us": 1e-3, "ms": 1.0, "s": 1e3, "m": 6e4}

    def percentile(which):
        value, suffix = re.search(rf"^\s+{which}%\s+([\d.]+)(us|ms|s|m)", text, re.M).groups()
        return float(value) * unit[suffix]

    errors = sum(int(n) for n in re.findall(r"(?:Non-2xx or 3xx responses:|connect|read|write|timeout) (\d+)", text))
    rate = re.search(r"Requests/sec:\s+([\d.]+)", text)
    if not rate:
        raise Failed(f"wrk said: {text[-300:]}")
    return {"requests_per_s": float(rate.group(1)), "p50_ms": percentile(50), "p99_ms": percentile(99), "errors": errors}
