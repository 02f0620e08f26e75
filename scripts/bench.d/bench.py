"""Runs every measurement in turn and prints one Markdown table. Standard library only."""

import argparse
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import measure
import peers
from peers import note

REPOSITORY = Path(__file__).resolve().parents[2]
CACHE = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "emu"


def arguments():
    parser = argparse.ArgumentParser(prog="scripts/bench", description="emu beside its neighbours, in one run on this machine")
    parser.add_argument("--emu", type=Path, help="the emu program (default: build it with --release)")
    parser.add_argument("--no-emu", action="store_true", help="measure the neighbours only")
    parser.add_argument("--component", type=Path, default=REPOSITORY / "examples/hello-component/hello.wasm", help="a wasi:http component that says hello")
    parser.add_argument("--rounds", type=int, default=3, help="load rounds, the servers in turn (default 3)")
    parser.add_argument("--seconds", type=int, default=5, help="length of one load (default 5)")
    parser.add_argument("--edits", type=int, default=40, help="edits for each server that reloads (default 40)")
    parser.add_argument("--starts", type=int, default=5, help="starts of each server (default 5)")
    parser.add_argument("--quick", action="store_true", help="one round of 1 s, 5 edits, 2 starts: does the script work?")
    parser.add_argument("--only", default="", help="names to measure, by comma (part of a name will do)")
    parser.add_argument("--offline", action="store_true", help="install nothing; measure what is there")
    parser.add_argument("--output", type=Path, help="where the figures go (default: bench/latest.json in the target folder)")
    options = parser.parse_args()
    if options.quick:
        options.rounds, options.seconds, options.edits, options.starts = 1, 1, 5, 2
    return options


def target_folder():
    return Path(os.environ.get("CARGO_TARGET_DIR", CACHE / "target"))


def build_emu():
    target = target_folder()
    note("building emu with --release (minutes, the first time)")
    subprocess.run(["cargo", "build", "--release", "--bin", "emu"], cwd=REPOSITORY, check=True, env={**os.environ, "CARGO_TARGET_DIR": str(target)})
    return target / "release" / "emu"


def each(servers, what, job):
    """Runs the job for every server; one that fails is left out with its reason."""
    for server in servers:
        note(f"{what}: {server.name} ({server.kind})")
        try:
            yield server, job(server)
        except (measure.Failed, OSError, subprocess.SubprocessError) as error:
            note(f"  left out: {error}")


def key(server):
    return f"{server.name} / {server.kind}"


def measure_load(servers, options, wrk, component, cache):
    rounds, memory = {}, {}

    def job(server):
        with measure.Running(server, component, cache) as running:
            running.load(wrk, 1)
            result = running.load(wrk, options.seconds)
            time.sleep(1)
            memory[key(server)] = running.memory_mb()
            return result

    for number in range(options.rounds):
        # In turn, so that a noisy minute of the machine hits all alike.
        for server, result in each(servers, f"load {number + 1}/{options.rounds}", job):
            rounds.setdefault(key(server), []).append(result)
    figures = {}
    for name, results in rounds.items():
        figures[name] = {field: statistics.median(r[field] for r in results) for field in ("requests_per_s", "p50_ms", "p99_ms")}
        figures[name]["errors"] = sum(r["errors"] for r in results)
        figures[name]["rss_mb"], figures[name]["pss_mb"] = memory[name]
    return figures


def measure_edits(servers, options, cache):
    def job(server):
        with measure.Running(server, None, cache, edits=True) as running:
            return running.edit_times(options.edits)

    times = each([s for s in servers if s.edit], "edits", job)
    return {key(s): {"median_ms": statistics.median(t), "p95_ms": percentile(t, 95), "edits": len(t)} for s, t in times}


def measure_starts(servers, options, component, cache):
    def first(server, folder):
        with measure.Running(server, component, folder) as running:
            return running.first_ms

    def job(server):
        with tempfile.TemporaryDirectory(prefix="emu-bench-cold-") as empty:
            cold = first(server, Path(empty))
        first(server, cache)
        return {"cold_ms": cold, "warm_ms": statistics.median(first(server, cache) for _ in range(options.starts))}

    return {key(s): result for s, result in each(servers, "starts", job)}


def measure_features(emu, options, wrk, component, cache):
    """emu's own switches in turn on the component hello, where they weigh most; the ratio to the default."""
    variants = {"all as by default": ((), ""), "cold starts off": (("--cold-starts", "off"), ""), "console quiet": (("--quiet",), ""),
                "events as JSON": (("--json",), ""), "no watching": (("--no-watch",), ""),
                "no history": ((), '\n[history]\nmax_size = "0MB"\n')}
    rates = {name: [] for name in variants}
    for _ in range(options.rounds):
        for name, (extra, manifest) in variants.items():
            server = peers.emu_servers(str(emu), extra, manifest)[0]
            for _, result in each([server], f"features: {name}", lambda s: run_load(s, options, wrk, component, cache)):
                rates[name].append(result["requests_per_s"])
    return {name: statistics.median(values) for name, values in rates.items() if values}


def run_load(server, options, wrk, component, cache):
    with measure.Running(server, component, cache) as running:
        running.load(wrk, 1)
        return running.load(wrk, options.seconds)


def percentile(values, which):
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, round(which / 100 * (len(ordered) - 1)))]


def table(figures, missing):
    lines = ["| server | hello | new for each request | requests/s | emu against it | p50 ms | p99 ms | start ms (cold cache) | save to served ms, median (p95) | memory MB, PSS (RSS) |",
             "|---|---|---|---:|---:|---:|---:|---:|---:|---:|"]
    for name, row in figures["servers"].items():
        load, start, edit = figures["load"].get(name), figures["starts"].get(name), figures["edits"].get(name)
        ours = figures["load"].get(f"emu / {row['kind']}")
        ratio = f"{ours['requests_per_s'] / load['requests_per_s']:.2f}x" if load and ours and row["name"] != "emu" else "-"
        lines.append("| " + " | ".join([
            row["name"], row["kind"], row["isolates"],
            f"{load['requests_per_s']:,.0f}" if load else "-", ratio,
            f"{load['p50_ms']:.2f}" if load else "-", f"{load['p99_ms']:.2f}" if load else "-",
            f"{start['warm_ms']:,.0f} ({start['cold_ms']:,.0f})" if start else "-",
            f"{edit['median_ms']:.1f} ({edit['p95_ms']:.1f})" if edit else "-",
            f"{load['pss_mb']:.0f} ({load['rss_mb']:.0f})" if load else "-",
        ]) + " |")
    if figures["features"]:
        base = figures["features"].get("all as by default")
        lines += ["", "| emu, hello component | requests/s | against the default |", "|---|---:|---:|"]
        lines += [f"| {name} | {rate:,.0f} | {rate / base:.3f} |" for name, rate in figures["features"].items() if base]
    for name, why in missing.items():
        lines += ["", f"Not measured: {name} ({why})."]
    failed = [name for name, load in figures["load"].items() if load["errors"]]
    if failed:
        lines += ["", f"Answers other than 2xx under load: {', '.join(failed)}."]
    return "\n".join(lines)


def main():
    options = arguments()
    found, missing = peers.install(CACHE / "peers", options.offline)
    if "wrk" not in found:
        sys.exit(f"scripts/bench: wrk makes the load and is {missing['wrk']}")
    emu = None if options.no_emu else (options.emu or build_emu()).resolve()
    servers = (peers.emu_servers(str(emu)) if emu else []) + peers.servers(found)
    if not options.component.exists():
        missing["components"] = f"{options.component} is not there"
        servers = [s for s in servers if not s.component]
    wanted = [part for part in options.only.split(",") if part]
    if wanted:
        servers = [s for s in servers if any(part in s.name for part in wanted)]

    begun = time.time()
    cache = Path(tempfile.mkdtemp(prefix="emu-bench-cache-"))
    try:
        figures = {
            "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(begun)),
            "machine": {"system": platform.platform(), "cores": os.cpu_count(), "load": os.getloadavg()},
            "versions": {"wasmtime": peers.WASMTIME, "node": version(["node", "--version"]), **peers.NPM, "emu": version([str(emu), "--version"]) if emu else None},
            "servers": {key(s): {"name": s.name, "kind": s.kind, "isolates": s.isolates} for s in servers},
            "starts": measure_starts(servers, options, options.component, cache),
            "load": measure_load(servers, options, found["wrk"], options.component, cache),
            "edits": measure_edits(servers, options, cache),
            "features": measure_features(emu, options, found["wrk"], options.component, cache) if emu and not wanted else {},
        }
    finally:
        shutil.rmtree(cache, ignore_errors=True)

    output = options.output or target_folder() / "bench" / "latest.json"
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_text(json.dumps({**figures, "missing": missing}, indent=1) + "\n")
    cores, (one, _, _) = figures["machine"]["cores"], figures["machine"]["load"]
    print(f"{figures['time']}, {cores} cores, load average {one:.1f} at the start, `wrk -t1 -c16`, median of {options.rounds} rounds of "
          f"{options.seconds} s, {options.edits} edits, {options.starts} starts.\n")
    print(table(figures, missing))
    note(f"took {time.time() - begun:.0f} s; figures in {output}")


def version(command):
    try:
        return subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=20).stdout.strip()
    except OSError:
        return None


if __name__ == "__main__":
    main()
