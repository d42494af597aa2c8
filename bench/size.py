#!/usr/bin/env python3
"""One million keys of 64 + 256 bytes on one member: load time, memory, snapshot, restart.

The keys go in through the API, a hundred in each transaction, from several connections at once, so the
load time is an upper bound of the server's own: the client is Python on the same machine.
"""

import argparse
import concurrent.futures
import json
import multiprocessing
import sys
import tempfile
import time

import _servers

import client
import harness
import protos

rpc = protos.rpc
PER_TXN = 100


def arguments():
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument("--keys", type=int, default=1_000_000)
    p.add_argument("--key-bytes", type=int, default=64)
    p.add_argument("--value-bytes", type=int, default=256)
    p.add_argument("--loaders", type=int, default=4, help="loading processes (default 4)")
    p.add_argument("--with-etcd", action="store_true", help="Debian's etcd too")
    p.add_argument("--servers", help="what to measure instead, comma separated")
    p.add_argument("--json", action="store_true")
    return p.parse_args()


def key_of(number, size):
    return (b"/registry/size/%012d/" % number).ljust(size, b"k")


def _templates(key_bytes, value_bytes):
    """The bytes of a RequestOp around its key: building a million messages in Python would be the benchmark."""
    marker = b"\0" * key_bytes
    put = rpc.PutRequest(key=marker, value=b"v" * value_bytes)
    txn = rpc.TxnRequest(success=[rpc.RequestOp(request_put=put)]).SerializeToString()
    at = txn.index(marker)
    return txn[:at], txn[at + key_bytes:]


def load(endpoint, first, count, key_bytes, value_bytes):
    """One loading process: keys `first` to `first + count`, with eight transactions under way."""
    before, after = _templates(key_bytes, value_bytes)
    with client.Client(endpoint, 120) as c:
        stub = c.channel.unary_unary("/etcdserverpb.KV/Txn", request_serializer=bytes,
                                     response_deserializer=rpc.TxnResponse.FromString)
        waiting = []
        for start in range(first, first + count, PER_TXN):
            end = min(start + PER_TXN, first + count)
            body = b"".join(before + key_of(i, key_bytes) + after for i in range(start, end))
            waiting.append(stub.future(body, timeout=120))
            if len(waiting) == 8:
                assert waiting.pop(0).result().succeeded
        for call in waiting:
            assert call.result().succeeded


def load_all(endpoint, options):
    """Seconds until every key is acknowledged."""
    share = -(-options.keys // options.loaders)
    context = multiprocessing.get_context("spawn")
    with concurrent.futures.ProcessPoolExecutor(options.loaders, mp_context=context) as pool:
        # The processes are there and have loaded their modules before the clock starts.
        list(pool.map(time.sleep, [0.2] * options.loaders))
        began = time.monotonic()
        parts = [
            pool.submit(load, endpoint, first, min(share, options.keys - first),
                        options.key_bytes, options.value_bytes)
            for first in range(0, options.keys, share)]
        for part in parts:
            part.result()
        return time.monotonic() - began


def snapshot(endpoint):
    """(seconds, bytes) of one Maintenance.Snapshot stream."""
    with client.Client(endpoint) as c:
        began = time.monotonic()
        size = sum(len(part.blob) for part in c.snapshot(timeout_s=600))
        return time.monotonic() - began, size


def count_keys(endpoint):
    with client.Client(endpoint, 60) as c:
        return c.get(b"/registry/size/", range_end=b"/registry/size0", count_only=True).count


def restart(server, end):
    """Seconds from the start of the process to its first linearizable answer."""
    end()
    began = time.monotonic()
    server.start().wait_ready(300)
    count_keys(server.endpoint)
    return time.monotonic() - began


def measure(kind, options):
    with tempfile.TemporaryDirectory(prefix="witan-bench-", dir="/var/tmp") as directory:
        # etcd's default quota of 2 GiB is enough for a million keys, not for many more.
        quota = 8 << 30 if kind == "etcd" else None
        with harness.Cluster(kind, 1, directory, harness.Options(quota_bytes=quota)) as cluster:
            server = cluster[0]
            empty = _servers.resident_memory(server.pid)
            used = _servers.cpu_seconds(server.pid)
            _servers.progress(f"{kind}: loading {options.keys} keys")
            seconds = load_all(server.endpoint, options)
            found = {
                "server": kind, "keys": options.keys, "load_s": seconds,
                "load_cpu_s": _servers.cpu_seconds(server.pid) - used,
                "memory_bytes": _servers.resident_memory(server.pid),
                "peak_after_load_bytes": _servers.peak_memory(server.pid),
            }
            payload = options.keys * (options.key_bytes + options.value_bytes)
            found["overhead_per_key_bytes"] = (found["memory_bytes"] - empty - payload) / options.keys
            _servers.progress(f"{kind}: snapshot")
            found["snapshot_s"], found["snapshot_bytes"] = snapshot(server.endpoint)
            found["peak_bytes"] = _servers.peak_memory(server.pid)
            _servers.progress(f"{kind}: restarts")
            found["restart_after_kill_s"] = restart(server, server.kill)
            found["restart_after_stop_s"] = restart(server, server.stop)
            found["memory_after_restart_bytes"] = _servers.resident_memory(server.pid)
            found["disk_bytes"] = _servers.on_disk(server.data_dir)
            kept = count_keys(server.endpoint)
            if kept != options.keys:
                raise RuntimeError(f"{kept} of {options.keys} keys are there after the restarts")
    return found


def show(f, options):
    mib = 2**20
    print(f"{f['server']}, {f['keys']:,} keys of {options.key_bytes} + {options.value_bytes} bytes")
    print(f"  load        {f['load_s']:8.2f} s   ({f['keys'] / f['load_s']:,.0f} keys/s through the API,"
          f" {f['load_cpu_s']:.2f} s of server CPU)")
    print(f"  memory      {f['memory_bytes'] / mib:8,.0f} MiB ({f['overhead_per_key_bytes']:,.0f} bytes a key"
          f" beyond key and value; peak {f['peak_bytes'] / mib:,.0f} MiB, after a restart"
          f" {f['memory_after_restart_bytes'] / mib:,.0f} MiB)")
    print(f"  snapshot    {f['snapshot_s']:8.2f} s   ({f['snapshot_bytes'] / mib:,.0f} MiB)")
    print(f"  restart     {f['restart_after_kill_s']:8.2f} s   after kill -9,"
          f" {f['restart_after_stop_s']:.2f} s after a graceful stop, to the first linearizable read")
    print(f"  disk        {f['disk_bytes'] / mib:8,.0f} MiB")


def main():
    options = arguments()
    kinds = options.servers.split(",") if options.servers else ["witan"] + ["etcd"] * options.with_etcd
    results = []
    for kind in kinds:
        try:
            results.append(measure(kind, options))
        except (RuntimeError, AssertionError) as problem:
            sys.exit(f"bench size: {problem}")
        _servers.progress("")
        if not options.json:
            show(results[-1], options)
    if options.json:
        print(json.dumps({"machine": _servers.machine(), "results": results}, indent=1))


if __name__ == "__main__":
    main()
