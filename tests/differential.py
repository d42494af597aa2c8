"""The machine behind test_differential.py: seeded random etcd requests, sent to two servers, compared.

Both servers get the same requests one after the other, so everything but ids and raft terms must be
equal, revisions included. Watches are compared through the history: a recorder watches every key of
each server, each further watch must deliver exactly the events of the history that its request asks
for, and whatever it delivers must keep etcd's promises (order, no repeats, a revision in one piece).
"""

import random

import grpc
from google.protobuf import text_format

import client
import protos

rpc = protos.rpc

KEYS = [b"a", b"a/1", b"a/2", b"a/2/x", b"b", b"b\x00", b"c", b"\x00", b"\xff", b"zz"]
ENDS = [b"a/", b"a0", b"b", b"c", b"d", b"\xff\xff", b"\x00"]
VALUES = [b"", b"0", b"1", b"22", b"a", b"\xff\x00", b"v" * 200]
LEASES = [1, 2, 3, 0x7FFFFFFFFFFFFFFF]
MISSING_LEASE = 99


class Difference(AssertionError):
    """The two servers did not do the same."""


# ------------------------------------------------------------------ making two answers comparable


def strip_headers(message):
    """Clears what two servers cannot share; the revision of every header stays."""
    if message.DESCRIPTOR.name == "ResponseHeader":
        message.ClearField("cluster_id")
        message.ClearField("member_id")
        message.ClearField("raft_term")
        return
    for field, value in message.ListFields():
        if field.message_type is None:
            continue
        for part in value if field.label == field.LABEL_REPEATED else [value]:
            strip_headers(part)


_SORT_VALUE = {
    rpc.RangeRequest.VERSION: lambda kv: kv.version,
    rpc.RangeRequest.CREATE: lambda kv: kv.create_revision,
    rpc.RangeRequest.MOD: lambda kv: kv.mod_revision,
    rpc.RangeRequest.VALUE: lambda kv: kv.value,
}


def settle_ties(request, response):
    """Orders equal sort values by key: etcd's sort is not stable, so their order means nothing.

    Which of several equal ones a limit cut off means nothing either; of those only the number is kept.
    keys_only drops the values after the sort, so a sort by value shows no order at all.
    """
    value_of = _SORT_VALUE.get(request.sort_target)
    if value_of is None or not response.kvs:
        return
    kvs = list(response.kvs)
    hidden = request.keys_only and request.sort_target == rpc.RangeRequest.VALUE
    last = value_of(kvs[-1])
    for kv in kvs:
        if response.more and (hidden or value_of(kv) == last):
            kv.Clear()
            kv.value = b"one of several equal ones"
    groups, order = {}, []
    for kv in kvs:
        group = b"" if hidden else value_of(kv)
        if group not in groups:
            order.append(group)
        groups.setdefault(group, []).append(kv)
    settled = [kv for g in order for kv in sorted(groups[g], key=lambda kv: kv.key)]
    copies = [type(kv).FromString(kv.SerializeToString()) for kv in settled]
    del response.kvs[:]
    response.kvs.extend(copies)


def settle_txn(request, response):
    taken = request.success if response.succeeded else request.failure
    for op, result in zip(taken, response.responses):
        if op.HasField("request_range"):
            settle_ties(op.request_range, result.response_range)
        elif op.HasField("request_txn"):
            settle_txn(op.request_txn, result.response_txn)


def settle(method, request, response):
    """One server's answer in the form in which the two are compared."""
    strip_headers(response)
    if method == "Range":
        settle_ties(request, response)
    elif method == "Txn":
        settle_txn(request, response)
    elif method == "LeaseTimeToLive":
        keys = sorted(response.keys)  # etcd lists them in any order
        del response.keys[:]
        response.keys.extend(keys)
        if response.TTL > 0:
            response.TTL = 1  # seconds pass between the two calls
    elif method == "LeaseLeases":
        ids = sorted(lease.ID for lease in response.leases)
        del response.leases[:]
        response.leases.extend(rpc.LeaseStatus(ID=i) for i in ids)
    elif method == "HashKV":
        response.hash = 0
        response.ClearField("hash_revision")  # not in 3.4
    return response


def show(outcome):
    if isinstance(outcome, tuple):
        return f"error {outcome[0]}: {outcome[1]}"
    return text_format.MessageToString(outcome) or "(empty message)"


class Twins:
    """A client of the reference and one of the subject."""

    def __init__(self, reference, subject):
        self.clients = (client.Client(reference), client.Client(subject))

    def close(self):
        for c in self.clients:
            c.close()

    @staticmethod
    def _outcome(c, method, request):
        try:
            return settle(method, request, c.send(method, request))
        except grpc.RpcError as error:
            return client.code_and_text(error)

    def call(self, method, request):
        """The one answer of both; raises Difference when there are two."""
        first, second = (self._outcome(c, method, request) for c in self.clients)
        if first != second:
            raise Difference(
                f"{method} {{ {text_format.MessageToString(request, as_one_line=True)} }}\n"
                f"--- etcd\n{show(first)}\n--- subject\n{show(second)}")
        return first


# ------------------------------------------------------------------ watches


class Watcher:
    """One watch of one server: what it delivered, checked as it comes."""

    def __init__(self, request):
        self.request = request
        self.events = []
        self.last_revision = 0
        # Of the reference's watcher alone: how much of the history, and of its events, was compared already.
        self.history_seen = 0
        self.compared = 0

    def take(self, response):
        """Adds the events of a response; the promises hold for every single one."""
        for event in response.events:
            revision = event.kv.mod_revision
            if revision > response.header.revision:
                raise Difference(f"an event of revision {revision} in a response of an older one: {response}")
            if revision < self.last_revision:
                raise Difference(f"revision {revision} after {self.last_revision}: {response}")
        if response.events and response.events[0].kv.mod_revision == self.last_revision:
            raise Difference(f"revision {self.last_revision} came in two pieces: {response}")
        self.events.extend(response.events)
        if response.events:
            self.last_revision = response.events[-1].kv.mod_revision


def _in_range(key, request):
    if not request.range_end:
        return key == (request.key or b"\0")
    return key >= request.key and (request.range_end == b"\0" or key < request.range_end)


def wanted(request, first_revision, history):
    """The events of the history that a watch of `request`, armed at `first_revision`, must deliver."""
    unwanted = {
        rpc.WatchCreateRequest.NOPUT: 0,
        rpc.WatchCreateRequest.NODELETE: 1,
    }
    skipped = {unwanted[f] for f in request.filters}
    return [
        e for e in history
        if e.kv.mod_revision >= first_revision and _in_range(e.kv.key, request) and e.type not in skipped
    ]


class StreamTwins:
    """The same Watch stream on both servers."""

    TIMEOUT_S = 10

    def __init__(self, twins):
        self.streams = [c.watch() for c in twins.clients]
        self.watchers = [{}, {}]  # watch id -> Watcher, one dict a server
        self.first_revision = {}
        self.pending = [[], []]  # responses that are not events, in order

    def close(self):
        for stream in self.streams:
            stream.close()

    def _next(self, side):
        """Receives one response: events go to their watcher, anything else is kept in order."""
        response = self.streams[side].receive(self.TIMEOUT_S)
        if response.events:
            self.watchers[side][response.watch_id].take(response)
        else:
            self.pending[side].append(response)

    def control(self):
        """The next response without events, which must be the same on both."""
        answers = []
        for side in (0, 1):
            while not self.pending[side]:
                self._next(side)
            answer = self.pending[side].pop(0)
            strip_headers(answer)
            if answer.compact_revision:
                # etcd leaves the header of this one at 0, which is older than what it said before.
                answer.header.revision = 0
            answers.append(answer)
        if answers[0] != answers[1]:
            raise Difference(f"watch control response\n--- etcd\n{answers[0]}\n--- subject\n{answers[1]}")
        return answers[0]

    def create(self, request, revision, compacted):
        """Creates a watch and takes everything that answers the request itself."""
        for stream in self.streams:
            stream.create(request.key, **_create_fields(request))
        created = self.control()
        if not created.created:
            raise Difference(f"the first response to a create is not created: {created}")
        if created.canceled:
            return created
        for side in (0, 1):
            self.watchers[side][created.watch_id] = Watcher(request)
        self.first_revision[created.watch_id] = request.start_revision or revision + 1
        if 0 < request.start_revision < compacted:
            gone = self.control()
            if not gone.canceled or gone.compact_revision != compacted:
                raise Difference(f"watch from compacted revision {request.start_revision}: {gone}")
            self._forget(created.watch_id)
        return created

    def _forget(self, watch_id):
        for side in (0, 1):
            del self.watchers[side][watch_id]

    def cancel(self, watch_id):
        for stream in self.streams:
            stream.cancel(watch_id)
        if watch_id in self.watchers[0]:
            self.control()
            self._forget(watch_id)

    def has_future_watch(self, revision):
        return any(w.request.start_revision > revision for w in self.watchers[0].values())

    def progress(self, revision):
        """Asks for progress; after `catch_up` the answer is the current revision, on both."""
        for stream in self.streams:
            stream.progress()
        answer = self.control()
        if answer.watch_id != -1 or answer.header.revision != revision:
            raise Difference(f"progress at revision {revision}: {answer}")

    def catch_up(self, history):
        """Receives until every watcher has what it must have, and compares."""
        for watch_id in self.watchers[0]:
            first, second = (self.watchers[side][watch_id] for side in (0, 1))
            expected = wanted(first.request, self.first_revision[watch_id], history[first.history_seen:])
            total = first.compared + len(expected)
            for side, watcher in enumerate((first, second)):
                while len(watcher.events) < total:
                    self._next(side)
            self._compare(watch_id, first, second, expected)
            first.history_seen, first.compared = len(history), total

    @staticmethod
    def _compare(watch_id, first, second, expected):
        for i, want in enumerate(expected, first.compared):
            a, b = first.events[i], second.events[i]
            if a != b or (b.type, b.kv) != (want.type, want.kv):
                raise Difference(f"event {i} of watch {watch_id} {first.request}\n--- history\n{want}"
                                 f"\n--- etcd\n{a}\n--- subject\n{b}")
        for name, watcher in (("etcd", first), ("subject", second)):
            surplus = watcher.events[first.compared + len(expected):]
            if surplus:
                raise Difference(f"{name}: watch {watch_id} got more than the history: {surplus}")


def _create_fields(request):
    return {field.name: value for field, value in request.ListFields() if field.name != "key"}


# ------------------------------------------------------------------ random requests


def put_keys(operations):
    """The keys that a branch may put, nested transactions included."""
    keys = {op.request_put.key for op in operations if op.HasField("request_put")}
    for op in operations:
        keys |= put_keys([*op.request_txn.success, *op.request_txn.failure])
    return keys


def avoid_double_changes(operations, all_puts, earlier=frozenset()):
    """Takes deletes out of a branch that would change a key which is put as well, where etcd overlooks it.

    It overlooks a delete to the end of all keys (range_end of one zero byte), and in a nested transaction
    any delete of what an earlier nested one puts. A known difference, with a test of its own.
    """
    for op in operations:
        if op.HasField("request_delete_range"):
            delete = op.request_delete_range
            if delete.range_end == b"\0" and all_puts:
                delete.range_end = b"\xff\xff"
            if any(_in_range(key, delete) for key in earlier):
                delete.key, delete.range_end = b"of no interest", b""
        elif op.HasField("request_txn"):
            for branch in (op.request_txn.success, op.request_txn.failure):
                avoid_double_changes(branch, all_puts, earlier)
            earlier = earlier | put_keys([op])


class Requests:
    """Random requests that collide: few keys, few leases, revisions around the present."""

    def __init__(self, seed):
        self.rng = random.Random(seed)
        self.revision = 1
        self.compacted = 0

    def chance(self, percent):
        return self.rng.randrange(100) < percent

    def key(self):
        return b"" if self.chance(2) else self.rng.choice(KEYS)

    def span(self):
        """(key, range_end): a single key, a range, everything, or an empty range."""
        kind = self.rng.randrange(10)
        if kind < 3:
            return self.key(), b""
        if kind < 6:
            key = self.rng.choice(KEYS)
            return key, client.prefix_end(key)
        if kind == 6:
            return b"\0", b"\0"
        return self.key(), self.rng.choice(ENDS)

    def some_revision(self):
        """Mostly one that can be read, sometimes compacted, future or negative."""
        kind = self.rng.randrange(12)
        if kind == 0:
            return self.revision + self.rng.randint(1, 3)
        if kind == 1:
            return max(1, self.compacted - self.rng.randint(0, 3))
        if kind == 2:
            return -1
        return self.rng.randint(max(1, self.revision - 15), self.revision)

    def range(self):
        key, end = self.span()
        r = rpc.RangeRequest(key=key, range_end=end)
        if self.chance(30):
            r.limit = self.rng.randint(1, 5)
        if self.chance(25):
            r.revision = self.some_revision()
        if self.chance(40):
            r.sort_order = self.rng.randrange(3)
            r.sort_target = self.rng.randrange(5)
        r.serializable = self.chance(20)
        r.keys_only = self.chance(15)
        r.count_only = self.chance(15)
        for bound in ("min_mod_revision", "max_mod_revision", "min_create_revision", "max_create_revision"):
            if self.chance(10):
                setattr(r, bound, self.rng.randint(1, self.revision + 1))
        return r

    def put(self):
        p = rpc.PutRequest(key=self.key(), prev_kv=self.chance(30))
        p.ignore_value = self.chance(8)
        p.ignore_lease = self.chance(8)
        if not p.ignore_value or self.chance(10):
            p.value = self.rng.choice(VALUES)
        if self.chance(20) and (not p.ignore_lease or self.chance(20)):
            p.lease = MISSING_LEASE if self.chance(8) else self.rng.choice(LEASES)
        return p

    def delete(self):
        if self.chance(60):
            return rpc.DeleteRangeRequest(key=self.key(), prev_kv=self.chance(40))
        key, end = self.span()
        return rpc.DeleteRangeRequest(key=key, range_end=end, prev_kv=self.chance(40))

    def compare(self):
        c = rpc.Compare(result=self.rng.randrange(4), target=self.rng.randrange(5), key=self.key())
        # Now and then the value is of another kind than the target says: then it counts as zero.
        kind = self.rng.randrange(5) if self.chance(5) else c.target
        if kind == rpc.Compare.VERSION:
            c.version = self.rng.randint(0, 3)
        elif kind == rpc.Compare.CREATE:
            c.create_revision = self.rng.choice([0, self.rng.randint(1, self.revision)])
        elif kind == rpc.Compare.MOD:
            c.mod_revision = self.rng.choice([0, self.rng.randint(1, self.revision)])
        elif kind == rpc.Compare.VALUE:
            c.value = self.rng.choice(VALUES)
        else:
            c.lease = self.rng.choice([0, *LEASES])
        if self.chance(20):
            c.key, c.range_end = self.span()
        return c

    def operation(self, depth):
        op = rpc.RequestOp()
        kind = self.rng.randrange(100)
        if kind < 40:
            op.request_put.CopyFrom(self.put())
        elif kind < 65:
            op.request_range.CopyFrom(self.range())
        elif kind < 85:
            op.request_delete_range.CopyFrom(self.delete())
        elif kind < 99 and depth < 3:
            op.request_txn.CopyFrom(self.txn(depth + 1))
        return op  # what is left is an operation without content, which must be refused

    def txn(self, depth=0):
        t = rpc.TxnRequest()
        t.compare.extend(self.compare() for _ in range(self.rng.choice([0, 0, 1, 1, 2])))
        for branch in (t.success, t.failure):
            branch.extend(self.operation(depth) for _ in range(self.rng.choice([0, 1, 1, 2, 3])))
        if depth == 0 and self.chance(1):
            t.success.extend(rpc.RequestOp(request_range=rpc.RangeRequest(key=b"a")) for _ in range(129))
        if depth == 0:
            for branch in (t.success, t.failure):
                avoid_double_changes(branch, put_keys(branch))
        return t

    def compaction(self):
        kind = self.rng.randrange(6)
        if kind == 0:
            revision = self.revision + 1
        elif kind == 1:
            revision = self.compacted
        else:
            low = min(self.compacted + 1, self.revision)
            revision = self.rng.randint(max(low, self.revision - 20), self.revision)
        return rpc.CompactionRequest(revision=revision, physical=self.chance(30))

    def grant(self):
        # TTLs long enough that none expires during a run; the short ones have tests of their own.
        ttl = self.rng.choice([600, 3600, 3600, 9_000_000_000, 9_000_000_001])
        return rpc.LeaseGrantRequest(ID=self.rng.choice(LEASES), TTL=ttl)

    def watch(self, allow_compaction_edge):
        key, end = self.span()
        w = rpc.WatchCreateRequest(key=key, range_end=end, prev_kv=self.chance(40))
        if self.chance(50):
            w.start_revision = self.rng.randint(max(1, self.revision - 12), self.revision + 3)
            if w.start_revision == self.compacted and not allow_compaction_edge:
                w.start_revision += 1
        for kind in (rpc.WatchCreateRequest.NOPUT, rpc.WatchCreateRequest.NODELETE):
            if self.chance(12):
                w.filters.append(kind)
        w.fragment = self.chance(20)
        w.progress_notify = self.chance(20)
        if self.chance(20):
            w.watch_id = self.rng.randint(1, 6)
        return w


# ------------------------------------------------------------------ one run

_WEIGHTS = [
    ("Put", 30), ("Txn", 20), ("Range", 20), ("DeleteRange", 10), ("Compact", 2),
    ("LeaseGrant", 4), ("LeaseRevoke", 2), ("LeaseTimeToLive", 3), ("LeaseLeases", 1), ("HashKV", 1),
    ("keep-alive", 1), ("watch", 6), ("cancel", 2), ("progress", 2),
]


class Run:
    """One seed: a stream of requests against a fresh pair of servers."""

    STREAMS = 3

    def __init__(self, reference, subject, seed):
        self.twins = Twins(reference, subject)
        self.requests = Requests(seed)
        self.rng = self.requests.rng
        self.history = []
        self.trace = []
        everything = rpc.WatchCreateRequest(key=b"\0", range_end=b"\0", start_revision=1)
        self.recorder = StreamTwins(self.twins)
        self.recorder.create(everything, 1, 0)
        self.streams = [StreamTwins(self.twins) for _ in range(self.STREAMS)]

    def close(self):
        for stream in [self.recorder, *self.streams]:
            stream.close()
        self.twins.close()

    def go(self, steps):
        names, weights = zip(*_WEIGHTS)
        for _ in range(steps):
            self.step(self.rng.choices(names, weights)[0])
        self.catch_up()
        self.compare_everything()

    def step(self, name):
        special = {"keep-alive": self.keep_alive, "watch": self.watch, "cancel": self.cancel,
                   "progress": self.progress}
        if name in special:
            special[name]()
            return
        request = {
            "Put": self.requests.put, "Txn": self.requests.txn, "Range": self.requests.range,
            "DeleteRange": self.requests.delete, "Compact": self.requests.compaction,
            "LeaseGrant": self.requests.grant,
            "LeaseRevoke": lambda: rpc.LeaseRevokeRequest(ID=self.some_lease()),
            "LeaseTimeToLive": lambda: rpc.LeaseTimeToLiveRequest(
                ID=self.some_lease(), keys=self.requests.chance(60)),
            "LeaseLeases": rpc.LeaseLeasesRequest,
            "HashKV": self.hash_kv,
        }[name]()
        self.call(name, request)

    def call(self, name, request):
        if name == "Compact":
            self.catch_up()  # a watcher that is behind may or may not be cut off: not the question here
        self.trace.append(f"{name} {{ {text_format.MessageToString(request, as_one_line=True)} }}")
        answer = self.twins.call(name, request)
        if isinstance(answer, tuple):
            return
        if name == "Compact":
            self.requests.compacted = request.revision
        if answer.header.revision > self.requests.revision:
            self.requests.revision = answer.header.revision
            self.record()

    def record(self):
        """Reads the history of the reference up to the present revision, and the subject's with it."""
        watcher = self.recorder.watchers[0][0]
        while watcher.last_revision < self.requests.revision:
            self.recorder._next(0)
        self.history = watcher.events
        self.recorder.catch_up(self.history)

    def some_lease(self):
        return MISSING_LEASE if self.requests.chance(10) else self.rng.choice(LEASES)

    def hash_kv(self):
        revision = self.requests.some_revision()
        if revision == self.requests.compacted:
            revision = 0  # 3.4 refuses the compacted revision itself, 3.7 does not
        return rpc.HashKVRequest(revision=max(0, revision))

    def keep_alive(self):
        lease = self.some_lease()
        self.trace.append(f"LeaseKeepAlive {lease}")
        answers = [c.keep_alive(lease)[0] for c in self.twins.clients]
        for answer in answers:
            strip_headers(answer)
        if answers[0] != answers[1]:
            raise Difference(f"LeaseKeepAlive {lease}\n--- etcd\n{answers[0]}\n--- subject\n{answers[1]}")

    def watch(self):
        compacted = self.requests.compacted
        deleted = any(e.kv.mod_revision == compacted and e.type == 1 for e in self.history)
        request = self.requests.watch(allow_compaction_edge=not deleted)
        if compacted <= request.start_revision <= self.requests.revision:
            if not wanted(request, request.start_revision, self.history):
                # Nothing would tell when a server has brought it to the present, and a compaction
                # before that rightly cancels it.
                request.start_revision = 0
        number = self.rng.randrange(self.STREAMS)
        self.trace.append(f"watch on {number} {{ {text_format.MessageToString(request, as_one_line=True)} }}")
        self.streams[number].create(request, self.requests.revision, compacted)

    def cancel(self):
        number = self.rng.randrange(self.STREAMS)
        stream = self.streams[number]
        self.catch_up()
        known = sorted(stream.watchers[0])
        watch_id = self.rng.choice(known) if known and self.requests.chance(90) else 77
        self.trace.append(f"cancel {watch_id} on {number}")
        stream.cancel(watch_id)

    def progress(self):
        """Only where 3.4 and 3.7 agree: a stream with watchers, none of them waiting for the future."""
        number = self.rng.randrange(self.STREAMS)
        stream = self.streams[number]
        self.catch_up()
        if not stream.watchers[0] or stream.has_future_watch(self.requests.revision):
            return
        self.trace.append(f"progress on {number}")
        stream.progress(self.requests.revision)

    def catch_up(self):
        for stream in self.streams:
            stream.catch_up(self.history)

    def compare_everything(self):
        """The whole state at the end, at the present and at every revision that can still be read."""
        for revision in range(max(1, self.requests.compacted), self.requests.revision + 1):
            self.twins.call("Range", rpc.RangeRequest(key=b"\0", range_end=b"\0", revision=revision))
        for lease in LEASES:
            self.twins.call("LeaseTimeToLive", rpc.LeaseTimeToLiveRequest(ID=lease, keys=True))
