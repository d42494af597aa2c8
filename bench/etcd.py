#!/usr/bin/env python3
"""The same load against Debian's etcd and against witan, in turns, on this machine.

h2load sends one gRPC request over and over: a Put of one key, or a Range of it. Each round starts a
fresh server, so that rounds are alike and the peak memory is that round's. After each run the key's
version is read back: h2load counts HTTP's 200, which a refused gRPC call has as well.
"""

import argparse
import json
import pathlib
import sys
import tempfile

import _h2load
import _servers

import client
import h2raw
import harness
import protos

rpc = protos.rpc
KEY = b"benchmark/key/16"

# name -> (connections, streams a connection, share of the requests of the option)
SHAPES = {"8 connections x 32 streams": (8, 32, 1.0), "1 connection x 1 stream": (1, 1, 0.05)}


def arguments():
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument("--rounds", type=int, default=3, help="rounds of each server (default 3)")
    p.add_argument("--requests", type=int, default=40_000, help="requests of the wide runs (default 40000)")
    p.add_argument("--value-bytes", type=int, default=256)
    p.add_argument("--members", default="1,3", help="sizes of cluster, comma separated (default 1,3)")
    p.add_argument("--servers", default="etcd,witan", help="what to measure (default etcd,witan)")
    p.add_argument("--dir", help="where the data goes (default: a temporary directory on the disk of /var/tmp)")
    p.add_argument("--json", action="store_true", help="one JSON document instead of tables")
    return p.parse_args()


def bodies(folder, value_bytes):
    """The gRPC messages as files, for h2load's -d."""
    requests = {
        "put": rpc.PutRequest(key=KEY, value=b"v" * value_bytes),
        "range": rpc.RangeRequest(key=KEY),
        "serializable range": rpc.RangeRequest(key=KEY, serializable=True),
    }
    files = {}
    for name, request in requests.items():
        files[name] = folder / name.replace(" ", "-")
        files[name].write_bytes(h2raw.message(request.SerializeToString()))
    return files


def version(c):
    kvs = c.get(KEY).kvs
    return kvs[0].version if kvs else 0


def measure(cluster, leader, operation, body, shape, requests, log, value_bytes):
    """One run, proved to have done what it says."""
    pids = [s.pid for s in cluster.servers]
    with client.Client(leader.endpoint) as c:
        before = version(c)
        used = sum(map(_servers.cpu_seconds, pids))
        seconds, latencies, data = _h2load.run(
            leader.endpoint, "Put" if operation == "put" else "Range", body, *shape[:2], requests, log)
        used = sum(map(_servers.cpu_seconds, pids)) - used
        written = version(c) - before
    if written != (requests if operation == "put" else 0):
        raise _h2load.Failed(f"{requests} requests of {operation} wrote {written} times")
    if operation != "put" and data < requests * value_bytes:
        raise _h2load.Failed(f"{requests} ranges brought {data} bytes: not the value each time")
    return {
        "per_second": requests / seconds,
        "p50_us": _servers.percentile(latencies, 50),
        "p99_us": _servers.percentile(latencies, 99),
        "cpu_us": used / requests * 1e6,
    }


def leader_of(cluster):
    for server in cluster.servers:
        with client.Client(server.endpoint) as c:
            status = c.call("Status")
            if status.leader == status.header.member_id:
                return server
    raise _h2load.Failed("the cluster has no leader")


def one_round(kind, size, folder, files, options):
    """All runs against one fresh cluster: {(operation, shape): figures}, and the peak memory."""
    results = {}
    with tempfile.TemporaryDirectory(dir=folder) as directory:
        with harness.Cluster(kind, size, directory) as cluster:
            leader = leader_of(cluster)
            for operation, body in files.items():
                for name, shape in SHAPES.items():
                    _servers.progress(f"{kind}, {size} member(s): {operation}, {name}")
                    requests = max(100, int(options.requests * shape[2]))
                    results[operation, name] = measure(
                        cluster, leader, operation, body, shape, requests, folder / "h2load.log",
                        options.value_bytes)
            peak = max(_servers.peak_memory(s.pid) for s in cluster.servers)
    return results, peak


FIGURES = {"per_second": "requests/s", "p50_us": "p50 µs", "p99_us": "p99 µs", "cpu_us": "CPU µs/request"}


def collect(options, folder):
    """The medians over the rounds: a list of rows, one for each size, operation, shape and server."""
    files = bodies(folder, options.value_bytes)
    rows = []
    for size in map(int, options.members.split(",")):
        rounds = {kind: [] for kind in options.servers.split(",")}
        for number in range(options.rounds):
            for kind in rounds:
                _servers.progress(f"{kind}, {size} member(s), round {number + 1} of {options.rounds}")
                rounds[kind].append(one_round(kind, size, folder, files, options))
        for operation in files:
            for shape in SHAPES:
                for kind, done in rounds.items():
                    figures = [r[operation, shape] for r, _ in done]
                    rows.append({
                        "members": size, "operation": operation, "shape": shape, "server": kind,
                        **{f: _servers.median_of(figures, f) for f in FIGURES},
                        "rounds": figures,
                        "peak_memory_bytes": max(peak for _, peak in done),
                    })
    _servers.progress("")
    return rows


def ratios(rows):
    """witan over etcd for each kind of run; above 1 is more."""
    by_key = {(r["members"], r["operation"], r["shape"], r["server"]): r for r in rows}
    found = []
    for (size, operation, shape, kind), ours in by_key.items():
        theirs = by_key.get((size, operation, shape, "etcd"))
        if kind == "witan" and theirs:
            found.append({
                "members": size, "operation": operation, "shape": shape,
                **{f: ours[f] / theirs[f] if theirs[f] else None for f in FIGURES},
                "peak_memory_bytes": ours["peak_memory_bytes"] / theirs["peak_memory_bytes"],
            })
    return found


def table(rows, options):
    """For people: both servers, then what one is of the other."""
    compared = {(r["members"], r["operation"], r["shape"]): r for r in ratios(rows)}
    print(f"{_servers.machine()}; {options.rounds} rounds each in turns, medians; value {options.value_bytes} bytes;"
          f" client on the same machine; three members are loaded at the leader")
    heads = [*FIGURES.values(), "peak MiB"]
    print(f"{'':58}" + "".join(f"{h:>16}" for h in heads))
    for row in rows:
        key = (row["members"], row["operation"], row["shape"])
        label = f"{row['members']} x {row['server']:6} {row['operation']}, {row['shape']}"
        figures = [row[f] for f in FIGURES] + [row["peak_memory_bytes"] / 2**20]
        print(f"{label:58.58}"[:58] + "".join(f"{x:>16,.1f}" for x in figures))
        if row["server"] == "witan" and key in compared:
            c = compared[key]
            parts = [c[f] for f in FIGURES] + [c["peak_memory_bytes"]]
            print(f"{'        witan / etcd':58}" + "".join(
                f"{'-' if x is None else format(x, '.2f') + 'x':>16}" for x in parts))


def main():
    options = arguments()
    with tempfile.TemporaryDirectory(prefix="witan-bench-", dir=options.dir or "/var/tmp") as name:
        try:
            rows = collect(options, pathlib.Path(name))
        except (_h2load.Failed, RuntimeError) as problem:
            sys.exit(f"bench etcd: {problem}")
    if options.json:
        print(json.dumps({"machine": _servers.machine(), "rows": rows, "ratios": ratios(rows)}, indent=1))
    else:
        table(rows, options)


if __name__ == "__main__":
    main()
