#!/usr/bin/env python3
"""Ten thousand watchers on one member: what they cost a put, and how fast events reach them.

Three measurements of the same put, one at a time: without watchers; with all watchers on other keys;
with all watchers on the key that is put, so that each put becomes ten thousand events. A process of
its own receives the events over plain sockets and counts every one: none may be missing.
"""

import argparse
import json
import multiprocessing
import pathlib
import selectors
import socket
import struct
import sys
import tempfile
import time

import _h2load
import _servers

import client
import h2raw
import harness
import protos

rpc = protos.rpc
KEY = b"watched"
VALUE = b"v" * 64
WINDOW = (1 << 31) - 1


def arguments():
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument("--watchers", type=int, default=10_000)
    p.add_argument("--streams", type=int, default=10, help="connections with one Watch stream each (default 10)")
    p.add_argument("--puts", type=int, default=200, help="puts that all watchers hear of (default 200)")
    p.add_argument("--quiet-puts", type=int, default=3000, help="puts that none hears of (default 3000)")
    p.add_argument("--with-etcd", action="store_true", help="Debian's etcd too")
    p.add_argument("--servers", help="what to measure instead, comma separated")
    p.add_argument("--json", action="store_true")
    return p.parse_args()


class Receiver:
    """One connection with one Watch stream: counts the messages and opens the window as it reads."""

    def __init__(self, endpoint, keys):
        settings = struct.pack(">HI", 4, WINDOW)  # SETTINGS_INITIAL_WINDOW_SIZE
        self.connection = h2raw.Connection(endpoint, settings=settings)
        self.connection.send(h2raw.frame(
            h2raw.WINDOW_UPDATE, 0, 0, struct.pack(">I", WINDOW - 65535)))
        self.connection.send(h2raw.frame(
            h2raw.HEADERS, h2raw.END_HEADERS, 1, h2raw.grpc_headers(b"/etcdserverpb.Watch/Watch")))
        for key in keys:
            create = rpc.WatchRequest(create_request=rpc.WatchCreateRequest(key=key))
            self.connection.send(h2raw.frame(
                h2raw.DATA, 0, 1, h2raw.message(create.SerializeToString())))
        self.frames = bytearray()
        self.messages = bytearray()
        self.count = 0
        self.events = 0
        self.taken = 0

    def read(self):
        data = self.connection.socket.recv(1 << 20)
        if not data:
            raise RuntimeError("the server closed a watcher's connection")
        self.frames += data
        at = 0
        while len(self.frames) - at >= 9:
            size = int.from_bytes(self.frames[at:at + 3], "big")
            if len(self.frames) - at < 9 + size:
                break
            kind, flags = self.frames[at + 3], self.frames[at + 4]
            if kind == h2raw.DATA:
                self.messages += self.frames[at + 9:at + 9 + size]
                self.taken += size
            elif kind == h2raw.SETTINGS and not flags & h2raw.ACK:
                self.connection.send(h2raw.frame(h2raw.SETTINGS, h2raw.ACK, 0))
            elif kind == h2raw.PING and not flags & h2raw.ACK:
                payload = bytes(self.frames[at + 9:at + 9 + size])
                self.connection.send(h2raw.frame(h2raw.PING, h2raw.ACK, 0, payload))
            elif kind in (h2raw.GOAWAY, h2raw.RST_STREAM):
                raise RuntimeError("the server ended a watcher's stream")
            at += 9 + size
        del self.frames[:at]
        self._open_window()
        self._count()

    def _open_window(self):
        if self.taken > 1 << 24:
            grow = struct.pack(">I", self.taken)
            self.connection.send(h2raw.frame(h2raw.WINDOW_UPDATE, 0, 0, grow)
                                 + h2raw.frame(h2raw.WINDOW_UPDATE, 0, 1, grow))
            self.taken = 0

    def _count(self):
        """Walks the messages. One event for one key makes a message of one event; several puts that
        the server put together make one that is as much longer, and only those are decoded."""
        at, messages = 0, self.messages
        while len(messages) - at >= 5:
            size = int.from_bytes(messages[at + 1:at + 5], "big")
            if len(messages) - at < 5 + size:
                break
            self.count += 1
            if size > 200:
                self.events += len(rpc.WatchResponse.FromString(bytes(messages[at + 5:at + 5 + size])).events)
            elif size > 100:
                self.events += 1
            at += 5 + size
        del messages[:at]


def receive(endpoint, keys_by_stream, pipe):
    """The receiving process: says when all watches are there, then on demand when `n` events are."""
    receivers = [Receiver(endpoint, keys) for keys in keys_by_stream]
    selector = selectors.DefaultSelector()
    for receiver in receivers:
        receiver.connection.socket.settimeout(30)
        selector.register(receiver.connection.socket, selectors.EVENT_READ, receiver)

    def until(done, limit_s):
        deadline = time.monotonic() + limit_s
        while not done():
            ready = selector.select(1)
            for key, _ in ready:
                key.data.read()
            if time.monotonic() > deadline:
                return False
        return True

    created = sum(map(len, keys_by_stream))
    pipe.send(until(lambda: sum(r.count for r in receivers) >= created, 120))
    while (wanted := pipe.recv()) is not None:
        pipe.send((until(lambda: sum(r.events for r in receivers) >= wanted, 300), time.monotonic(),
                   sum(r.events for r in receivers)))


class Watchers:
    """The receiving process and what it is told."""

    def __init__(self, endpoint, options, key_of):
        per_stream = options.watchers // options.streams
        keys = [[key_of(s * per_stream + w) for w in range(per_stream)] for s in range(options.streams)]
        self.count = per_stream * options.streams
        context = multiprocessing.get_context("spawn")
        self.pipe, theirs = context.Pipe()
        self.process = context.Process(target=receive, args=(endpoint, keys, theirs), daemon=True)
        self.process.start()
        if not self.pipe.recv():
            raise _h2load.Failed("the watches were not all created within 120 s")

    def expect(self, events):
        self.pipe.send(events)

    def arrived(self):
        """When the last expected event came."""
        complete, moment, count = self.pipe.recv()
        if not complete:
            raise _h2load.Failed(f"only {count} events arrived")
        return moment

    def close(self):
        self.pipe.send(None)
        self.process.join(10)
        self.process.kill()


def puts(server, body, count, folder):
    """Puts one after the other: median and 99th percentile in µs, and the server's CPU for each."""
    with client.Client(server.endpoint) as c:
        before = c.get(KEY).header.revision
        used = _servers.cpu_seconds(server.pid)
        seconds, latencies, _ = _h2load.run(server.endpoint, "Put", body, 1, 1, count, folder / "log")
        used = _servers.cpu_seconds(server.pid) - used
        written = c.get(KEY).header.revision - before
    if written != count:
        raise _h2load.Failed(f"{count} puts made {written} revisions")
    return {"p50_us": _servers.percentile(latencies, 50), "p99_us": _servers.percentile(latencies, 99),
            "cpu_us": used / count * 1e6, "seconds": seconds}


def measure(kind, options, folder):
    body = folder / "put"
    body.write_bytes(h2raw.message(rpc.PutRequest(key=KEY, value=VALUE).SerializeToString()))
    found = {"server": kind, "watchers": options.watchers}
    with tempfile.TemporaryDirectory(dir=folder) as directory, harness.Cluster(kind, 1, directory) as cluster:
        server = cluster[0]
        _servers.progress(f"{kind}: puts without watchers")
        found["without"] = puts(server, body, options.quiet_puts, folder)
        idle = _servers.resident_memory(server.pid)
        _servers.progress(f"{kind}: puts with watchers of other keys")
        others = Watchers(server.endpoint, options, lambda i: b"other/%d" % i)
        found["bytes_per_watcher"] = (_servers.resident_memory(server.pid) - idle) / others.count
        found["others"] = puts(server, body, options.quiet_puts, folder)
        others.close()
        _servers.progress(f"{kind}: puts that every watcher hears of")
        same = Watchers(server.endpoint, options, lambda i: KEY)
        same.expect(same.count * options.puts)
        used = _servers.cpu_seconds(server.pid)
        began = time.monotonic()
        found["all"] = puts(server, body, options.puts, folder)
        took = same.arrived() - began
        used = _servers.cpu_seconds(server.pid) - used
        same.close()
        events = same.count * options.puts
        found["events"] = events
        found["events_per_second"] = events / took
        found["cpu_us_per_event"] = used / events * 1e6
    return found


def show(found):
    print(f"{found['server']}, {found['watchers']} watchers of one member")
    for name, what in (("without", "put, no watchers"), ("others", "put, watchers of other keys"),
                       ("all", "put, every watcher hears of it")):
        f = found[name]
        print(f"  {what:34} p50 {f['p50_us']:>9,.0f} µs   p99 {f['p99_us']:>9,.0f} µs"
              f"   server CPU {f['cpu_us']:>9,.1f} µs")
    print(f"  {found['events']:,} events delivered, none missing: {found['events_per_second']:,.0f} per second,"
          f" {found['cpu_us_per_event']:.2f} µs of server CPU each;"
          f" {found['bytes_per_watcher']:,.0f} bytes of memory for a watcher")


def main():
    options = arguments()
    kinds = options.servers.split(",") if options.servers else ["witan"] + ["etcd"] * options.with_etcd
    results = []
    with tempfile.TemporaryDirectory(prefix="witan-bench-", dir="/var/tmp") as name:
        for kind in kinds:
            try:
                results.append(measure(kind, options, pathlib.Path(name)))
            except (_h2load.Failed, RuntimeError, socket.timeout) as problem:
                sys.exit(f"bench watchers: {problem}")
            _servers.progress("")
            if not options.json:
                show(results[-1])
    if options.json:
        print(json.dumps({"machine": _servers.machine(), "results": results}, indent=1))


if __name__ == "__main__":
    main()
