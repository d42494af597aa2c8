"""A write load whose every outcome is remembered, and the judge of what a cluster made of it.

Each write has a key of its own and a value of its own, so a write that was applied twice, or one that
was refused and still appears, is visible in the history. Half of the writes are plain puts, the other
half transactions that create their key only when it is missing. Each worker also counts upwards in one
key of its own: that key's history shows lost, repeated and reordered writes.
"""

import dataclasses
import threading
import time

import grpc

import client
import protos

rpc = protos.rpc

OK, REFUSED, UNKNOWN = "ok", "refused", "unknown"


@dataclasses.dataclass
class Write:
    key: bytes
    value: bytes
    started: float
    ended: float = 0.0
    outcome: str = UNKNOWN
    revision: int = 0


def outcome_of(error):
    """REFUSED only when the request certainly never left this process."""
    if error.code() == grpc.StatusCode.UNAVAILABLE and "failed to connect" in (error.details() or ""):
        return REFUSED
    return UNKNOWN


def _create(key, value):
    compare = rpc.Compare(key=key, target=rpc.Compare.CREATE, result=rpc.Compare.EQUAL, create_revision=0)
    put = rpc.RequestOp(request_put=rpc.PutRequest(key=key, value=value))
    return rpc.TxnRequest(compare=[compare], success=[put])


class Worker(threading.Thread):
    """Writes as fast as one connection goes, to one endpoint until it fails, then to the next."""

    def __init__(self, name, endpoints, first, timeout_s):
        super().__init__(daemon=True)
        self.label = name
        self.writes = []
        self.acknowledged = 0
        self.stopping = threading.Event()
        self._clients = [client.Client(e, timeout_s) for e in endpoints]
        self._at = first

    def run(self):
        number = 0
        while not self.stopping.is_set():
            number += 1
            counting = number % 3 == 0
            key = b"count/%s" % self.label if counting else b"once/%s/%d" % (self.label, number)
            write = Write(key, b"%s-%d" % (self.label, number), time.monotonic())
            self.writes.append(write)
            self._do(write, create=number % 3 == 1)
            if write.outcome != OK:
                self._at = (self._at + 1) % len(self._clients)
                self.stopping.wait(0.005)
        for c in self._clients:
            c.close()

    def _do(self, write, create):
        # Waiting for the connection is part of the call: grpc's reconnects only progress while some
        # call waits for them.
        c = self._clients[self._at]
        try:
            if create:
                answer = c.send("Txn", _create(write.key, write.value), wait_for_ready=True)
                # The key is this write's alone: if it exists already, this very write came twice.
                assert answer.succeeded, f"{write.key} was there before it was written"
            else:
                put = rpc.PutRequest(key=write.key, value=write.value)
                answer = c.send("Put", put, wait_for_ready=True)
            write.revision = answer.header.revision
            write.ended = time.monotonic()
            write.outcome = OK
            self.acknowledged += 1
        except grpc.RpcError as error:
            write.ended = time.monotonic()
            write.outcome = outcome_of(error)


class Load:
    """Several workers, spread over the endpoints."""

    def __init__(self, endpoints, workers, timeout_s):
        # Unequal patience: else the workers would all try again at the same moments.
        self.workers = [
            Worker(b"w%d" % i, endpoints, i % len(endpoints), timeout_s * (1 + 0.2 * i))
            for i in range(workers)]

    def __enter__(self):
        for w in self.workers:
            w.start()
        return self

    def __exit__(self, *exc):
        self.stop()

    def stop(self):
        for w in self.workers:
            w.stopping.set()
        for w in self.workers:
            w.join(30)

    def acknowledged(self):
        return sum(w.acknowledged for w in self.workers)

    def wait_for_more(self, count, timeout_s=30):
        """Until `count` further writes are acknowledged."""
        goal = self.acknowledged() + count
        deadline = time.monotonic() + timeout_s
        while self.acknowledged() < goal:
            assert time.monotonic() < deadline, (
                f"{goal - self.acknowledged()} of {count} writes were not acknowledged within {timeout_s} s")
            time.sleep(0.005)

    def first_acknowledged_after(self, moment, timeout_s):
        """When the first write ended that began after `moment` and was acknowledged."""
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            ends = [
                w.ended for worker in self.workers for w in worker.writes[-400:]
                if w.outcome == OK and w.started > moment]
            if ends:
                return min(ends)
            time.sleep(0.005)
        raise AssertionError(f"no write was acknowledged within {timeout_s} s")

    def writes(self):
        return [w for worker in self.workers for w in list(worker.writes)]


def history(endpoint, timeout_s=60):
    """Every event since revision 1, from one member, up to the present revision it can see."""
    with client.Client(endpoint, timeout_s) as c:
        answer = c.get(b"\0", range_end=b"\0", limit=1, sort_order=rpc.RangeRequest.DESCEND,
                       sort_target=rpc.RangeRequest.MOD)
        if not answer.kvs:
            return []
        last = answer.kvs[0].mod_revision
        events = []
        with c.watch() as watch:
            watch.create(b"\0", range_end=b"\0", start_revision=1)
            while not events or events[-1].kv.mod_revision < last:
                events.extend(watch.receive(timeout_s).events)
        return events


def judge(writes, events):
    """Raises when the history is not one that the outcomes of the writes allow."""
    by_value = {w.value: w for w in writes}
    seen = {}
    counters = {}
    for event in events:
        kv = event.kv
        write = by_value.get(kv.value)
        assert write is not None and write.key == kv.key, f"nobody wrote {kv}"
        assert kv.value not in seen, f"{kv.value} was applied twice, at {seen[kv.value]} and {kv.mod_revision}"
        assert write.outcome != REFUSED, f"{kv.value} never left the client, and is there"
        seen[kv.value] = kv.mod_revision
        if kv.key.startswith(b"once/"):
            assert kv.version == 1, f"a key written once has version {kv.version}: {kv}"
        else:
            # One that its writer gave up may still take effect, also behind those that it wrote since.
            number = int(kv.value.split(b"-")[1])
            late = write.outcome == UNKNOWN
            assert late or number > counters.get(kv.key, 0), f"{kv.key} went back from {counters[kv.key]} to {number}"
            counters[kv.key] = max(number, counters.get(kv.key, 0))
    for write in writes:
        if write.outcome == OK:
            assert write.value in seen, f"acknowledged and gone: {write}"
            assert seen[write.value] == write.revision, f"acknowledged at another revision: {write}"
    return len(seen)


def totals(writes):
    counts = {OK: 0, REFUSED: 0, UNKNOWN: 0}
    for w in writes:
        counts[w.outcome] += 1
    return ", ".join(f"{n} {name}" for name, n in counts.items())
