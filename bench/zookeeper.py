#!/usr/bin/env python3
"""The same load against Debian's ZooKeeper and against witan, in turns, on this machine.

The load is zookeeper/load.c on ZooKeeper's C client, which checks every reply and in the end that the tree holds what
was acknowledged. Both servers stay up for all rounds of a size of cluster, so that Java's compiler has done its work;
whoever is not measured is idle. Of three members, each has its share of the connections.

On few cores the client's own CPU time is part of every figure but the server's CPU time for a request: it is printed
beside it. Memory is that of a server that was just filled with nodes, and of the original also after a full collection
of its garbage.
"""

import argparse
import json
import pathlib
import shutil
import subprocess
import sys
import tempfile

import _servers

import zookeeper_server

SOURCE = pathlib.Path(__file__).resolve().parent / "zookeeper" / "load.c"
WARM_UP_S = 0.3
COMPILING_S = 6  # of each operation, before anything counts: Java compiles what is busy as it goes
SHAPES = "4x64,4x1000,1x1"  # connections, and requests under way on each
OPERATIONS = {"set": "setData", "create": "create", "get": "getData", "mix": "70 % getData, 30 % setData"}
KINDS = ("zookeeper", "witan")
FIGURES = {"per_second": "requests/s", "p50_us": "p50 µs", "p99_us": "p99 µs", "cpu_us": "CPU µs/request",
           "client_cpu_us": "client's CPU µs"}


class Failed(RuntimeError):
    """The load could not be run, or a server did not do what it acknowledged."""


def arguments():
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument("--rounds", type=int, default=3, help="rounds of each server (default 3)")
    p.add_argument("--seconds", type=float, default=3, help="how long each run is measured (default 3)")
    p.add_argument("--value-bytes", type=int, default=256)
    p.add_argument("--members", default="1,3", help="sizes of cluster, comma separated (default 1,3)")
    p.add_argument("--operations", default=",".join(OPERATIONS), help="comma separated (default %(default)s)")
    p.add_argument("--parts", default="speed,memory", help="comma separated (default %(default)s)")
    p.add_argument("--only", choices=KINDS, help="one server instead of both")
    p.add_argument("--nodes", type=int, default=1_000_000, help="nodes of the memory part (default 1000000)")
    p.add_argument("--heap-mb", type=int, default=1024,
                   help="ZooKeeper's -Xmx, in MiB; 0: none, as Debian starts it (default 1024)")
    p.add_argument("--shapes", default=SHAPES,
                   help="connections x requests on each, comma separated (default %(default)s)")
    p.add_argument("--dir", help="where the data goes (default: a temporary directory on the disk of /var/tmp)")
    p.add_argument("--json", action="store_true", help="one JSON document instead of tables")
    options = p.parse_args()
    options.kinds = [options.only] if options.only else list(KINDS)
    options.shapes = [shape_of(text, p) for text in options.shapes.split(",")]
    options.sizes = [int(size) for size in options.members.split(",")]
    options.operations = options.operations.split(",")
    options.parts = options.parts.split(",")
    if unknown := set(options.operations) - set(OPERATIONS) | set(options.parts) - {"speed", "memory"}:
        p.error(f"not understood: {', '.join(sorted(unknown))}")
    return options


def shape_of(text, parser):
    connections, _, requests = text.partition("x")
    if not (connections.isdigit() and requests.isdigit() and int(connections) > 0 and int(requests) > 0):
        parser.error(f"{text!r} is no shape; as in 4x64")
    return int(connections), int(requests)


def name_of(shape):
    connections, requests = shape
    return f"{connections} connection{'s' * (connections > 1)} x {requests} request{'s' * (requests > 1)}"


def compiled(folder):
    """The load program, made from its source."""
    program = folder / "load"
    command = ["cc", "-std=c11", "-D_GNU_SOURCE", "-DTHREADED", "-O2", "-Wall", "-Wextra", "-o", str(program),
               str(SOURCE), "-lzookeeper_mt", "-lpthread"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    if done.returncode != 0:
        raise Failed(f"{' '.join(command)}\n{done.stderr}is libzookeeper-mt-dev installed?")
    return program


class Load:
    """Runs the load program, each time below a root of its own."""

    def __init__(self, folder, options):
        self._program = compiled(folder)
        self._options = options
        self._runs = 0

    def run(self, cluster, operation, shape, *further, timeout_s):
        self._runs += 1
        done = subprocess.run(
            [str(self._program), "--hosts", cluster.hosts, "--root", f"/load-{self._runs}",
             "--pids", ",".join(str(s.pid) for s in cluster.servers), "--operation", operation,
             "--connections", str(shape[0]), "--window", str(shape[1]),
             "--value-bytes", str(self._options.value_bytes), *map(str, further)],
            capture_output=True, text=True, timeout=timeout_s)
        if done.returncode != 0:
            raise Failed(f"{operation} on {cluster.kind}: {done.stderr.strip()}")
        return json.loads(done.stdout)

    def measure(self, cluster, operation, shape, seconds):
        found = self.run(cluster, operation, shape, "--warmup", WARM_UP_S, "--seconds", seconds,
                         timeout_s=seconds + 150)
        return {
            "per_second": found["requests"] / found["seconds"],
            "p50_us": found["p50_us"],
            "p99_us": found["p99_us"],
            "cpu_us": found["server_cpu_s"] / found["requests"] * 1e6,
            "client_cpu_us": found["client_cpu_s"] / found["requests"] * 1e6,
        }


def started(kind, size, folder, options):
    """A cluster that serves, in a directory of its own."""
    directory = tempfile.mkdtemp(dir=folder)
    return zookeeper_server.Cluster(
        kind, size, directory, zookeeper_server.Options(heap_mb=options.heap_mb or None, durable=True)).start()


def disposed(cluster):
    cluster.dispose()
    shutil.rmtree(cluster.directory, ignore_errors=True)


def speed_of_size(size, load, folder, options):
    """The medians over the rounds: a list of rows, one for each operation, shape and server."""
    clusters = {}
    found = {}
    try:
        for kind in options.kinds:
            _servers.progress(f"{kind}, {size} member(s): starting")
            clusters[kind] = started(kind, size, folder, options)
        for kind, cluster in clusters.items():
            for operation in options.operations:
                _servers.progress(f"{kind}, {size} member(s): warming up")
                load.measure(cluster, operation, options.shapes[0], COMPILING_S)
        for number in range(options.rounds):
            for operation in options.operations:
                for shape in options.shapes:
                    name = name_of(shape)
                    for kind, cluster in clusters.items():
                        _servers.progress(f"{kind}, {size} member(s), round {number + 1} of {options.rounds}:"
                                          f" {operation}, {name}")
                        rounds = found.setdefault((operation, name, kind), [])
                        rounds.append(load.measure(cluster, operation, shape, options.seconds))
    finally:
        for cluster in clusters.values():
            disposed(cluster)
    return [
        {"members": size, "operation": operation, "shape": name, "server": kind,
         **{f: _servers.median_of(rounds, f) for f in FIGURES}, "rounds": rounds}
        for (operation, name, kind), rounds in found.items()]


def collect_garbage(pid):
    """True when the Java machine did a full collection."""
    try:
        return subprocess.run(["jcmd", str(pid), "GC.run"], capture_output=True, timeout=60).returncode == 0
    except FileNotFoundError:
        return False


def memory_of(kind, load, folder, options):
    """What one member that holds so many nodes takes, in bytes."""
    _servers.progress(f"{kind}: starting")
    cluster = started(kind, 1, folder, options)
    try:
        pid = cluster[0].pid
        found = {"server": kind, "nodes": options.nodes, "empty_bytes": _servers.resident_memory(pid)}
        _servers.progress(f"{kind}: making {options.nodes} nodes")
        filled = load.run(cluster, "fill", options.shapes[0], "--count", options.nodes, timeout_s=900)
        found["fill_s"] = filled["seconds"]
        found["fill_cpu_s"] = filled["server_cpu_s"]
        found["memory_bytes"] = _servers.resident_memory(pid)
        found["peak_bytes"] = _servers.peak_memory(pid)
        if kind == "zookeeper":
            found["heap_bytes"] = options.heap_mb * 2**20 or None
            if collect_garbage(pid):
                found["collected_bytes"] = _servers.resident_memory(pid)
        return found
    finally:
        disposed(cluster)


def ratios(rows):
    """witan over ZooKeeper for each kind of run; above 1 is more."""
    by_key = {(r["members"], r["operation"], r["shape"], r["server"]): r for r in rows}
    found = []
    for (size, operation, shape, kind), ours in by_key.items():
        theirs = by_key.get((size, operation, shape, "zookeeper"))
        if kind == "witan" and theirs:
            found.append({"members": size, "operation": operation, "shape": shape,
                          **{f: ours[f] / theirs[f] if theirs[f] else None for f in FIGURES}})
    return found


def memory_ratio(memory):
    by_kind = {m["server"]: m for m in memory}
    if len(by_kind) < 2:
        return None
    return by_kind["witan"]["memory_bytes"] / by_kind["zookeeper"]["memory_bytes"]


def heap_text(options):
    return f"-Xmx{options.heap_mb}m" if options.heap_mb else "the heap that Java takes by itself"


def speed_table(rows, options):
    """For people: both servers, then what one is of the other."""
    compared = {(r["members"], r["operation"], r["shape"]): r for r in ratios(rows)}
    print(f"{_servers.machine()}; {options.rounds} rounds each in turns, medians; {options.seconds:g} s each;"
          f" value {options.value_bytes} bytes; ZooKeeper with {heap_text(options)}; client on the same machine")
    print(f"{'':66}" + "".join(f"{head:>16}" for head in FIGURES.values()))
    for row in rows:
        label = f"{row['members']} x {row['server']:9} {OPERATIONS[row['operation']]}, {row['shape']}"
        print(f"{label:66}" + "".join(f"{row[f]:>16,.1f}" for f in FIGURES))
        c = compared.get((row["members"], row["operation"], row["shape"]))
        if row["server"] == "witan" and c:
            print(f"{'        witan / zookeeper':66}" + "".join(
                f"{'-' if c[f] is None else format(c[f], '.2f') + 'x':>16}" for f in FIGURES))


def memory_table(memory, options):
    mib = 2**20
    for m in memory:
        further = []
        if "heap_bytes" in m:
            further.append(heap_text(options))
        if "collected_bytes" in m:
            further.append(f"{m['collected_bytes'] / mib:,.0f} MiB after a full collection")
        print(f"{m['server']:9} {m['nodes']:,} nodes of {options.value_bytes} bytes: {m['memory_bytes'] / mib:,.0f} MiB"
              f" resident (empty {m['empty_bytes'] / mib:,.0f}, peak {m['peak_bytes'] / mib:,.0f}"
              f"{''.join('; ' + text for text in further)}), made in {m['fill_s']:.1f} s"
              f" with {m['fill_cpu_s']:.1f} s of server CPU")
    if ratio := memory_ratio(memory):
        print(f"witan / zookeeper: {ratio:.2f}x resident")


def main():
    options = arguments()
    if "zookeeper" in options.kinds and (absent := zookeeper_server.missing()):
        sys.exit(f"bench zookeeper: there is no {absent}; run ./dev packages")
    rows, memory = [], []
    with tempfile.TemporaryDirectory(prefix="witan-bench-", dir=options.dir or "/var/tmp") as name:
        folder = pathlib.Path(name)
        try:
            load = Load(folder, options)
            if "speed" in options.parts:
                for size in options.sizes:
                    rows += speed_of_size(size, load, folder, options)
            if "memory" in options.parts:
                memory = [memory_of(kind, load, folder, options) for kind in options.kinds]
        except (RuntimeError, subprocess.TimeoutExpired) as problem:
            sys.exit(f"bench zookeeper: {problem}")
        finally:
            _servers.progress("")
    if options.json:
        print(json.dumps({"machine": _servers.machine(), "heap_mb": options.heap_mb, "rows": rows,
                          "ratios": ratios(rows), "memory": memory, "memory_ratio": memory_ratio(memory)}, indent=1))
        return
    if rows:
        speed_table(rows, options)
    if memory:
        memory_table(memory, options)


if __name__ == "__main__":
    main()
