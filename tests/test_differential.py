"""Random gRPC requests against Debian's etcd and the server under test, field by field.

WITAN_SEED=n replays one seed, WITAN_STEPS=n sets its length. Debian's etcd is 3.4 and the server under
test follows 3.7: what differs for that reason stands in KNOWN_DIFFERENCES, is kept out of the random
stream where the entry says so, and has a test of its own below that pins both sides.
"""

import hashlib
import os
import queue

import grpc
import pytest

import client
import differential
import harness
import protos

rpc = protos.rpc

KNOWN_DIFFERENCES = {
    "sort ties": "The order of equal sort values is unspecified (Go's sort is not stable): compared as sets.",
    "lease keys": "etcd lists the keys of a lease, and the leases, in any order: compared as sets.",
    "invalid sort": "3.4 does not check the sort enums and crashes on an unknown target; 3.7 refuses it with"
                    " InvalidArgument 'etcdserver: invalid sort option'.",
    "a key changed twice": "etcd's check for duplicates overlooks a delete to the end of all keys beside a put, and one"
                           " of what an earlier nested transaction puts. It then tells of both changes of the key,"
                           " ours of what came of them: one event at most for a key and a revision.",
    "tombstone at the compaction": "A watch from exactly the compacted revision: 3.4.23 has dropped a delete"
                                   " of that revision (etcd #19179), 3.7 delivers it.",
    "progress before a future start": "A progress request with a watcher that waits for a future revision:"
                                      " 3.4 answers, 3.7 stays silent (etcd #20221).",
    "progress without watchers": "A progress request on a stream without watchers: 3.4 answers, 3.7 does not.",
    "hash at the compaction": "HashKV of exactly the compacted revision: 3.4 refuses, 3.7 answers.",
    "negative watch revision": "3.4 takes a negative start revision as a compacted one in a second response"
                               " or not at all; 3.7 answers created and canceled at once.",
    "header of a compacted watch": "etcd's cancel response for a compacted start has revision 0 in its header;"
                                   " ours never goes back behind what the connection was told.",
    "lock after its lease": "A lock whose waiter lost its lease: 3.4 grants it all the same (Jepsen, etcd"
                            " #11456), 3.7 fails with 'mutex: session is expired'.",
    "range stream": "KV.RangeStream is 3.7's; 3.4 does not know it.",
}

NORMAL_SEEDS = [1, 2, 3, 4, 5, 6, 7, 8]
LONG_SEEDS = list(range(100, 160))


def _run_seed(seed, steps, make_cluster):
    reference, subject = make_cluster(1, "etcd"), make_cluster(1)
    run = differential.Run(reference[0].endpoint, subject[0].endpoint, seed)
    try:
        run.go(steps)
    except (AssertionError, queue.Empty, grpc.RpcError, client.StreamEnded) as error:
        recent = "\n  ".join(run.trace[-12:])
        pytest.fail(f"seed {seed}, after {len(run.trace)} requests (replay: WITAN_SEED={seed}):\n"
                    f"{type(error).__name__}: {error}\nthe last requests:\n  {recent}", pytrace=False)
    finally:
        run.close()


def _seeds(usual):
    return [int(os.environ["WITAN_SEED"])] if "WITAN_SEED" in os.environ else usual


@pytest.mark.parametrize("seed", _seeds(NORMAL_SEEDS))
def test_random_requests(seed, make_cluster):
    _run_seed(seed, int(os.environ.get("WITAN_STEPS", 600)), make_cluster)


@pytest.mark.long
@pytest.mark.parametrize("seed", LONG_SEEDS)
def test_many_random_requests(seed, make_cluster):
    _run_seed(seed, 4000, make_cluster)


# ---------------------------------------------------------------- directed: the same on both


@pytest.fixture
def twins(reference, subject):
    pair = differential.Twins(reference[0].endpoint, subject[0].endpoint)
    for c in pair.clients:
        for lease in c.call("LeaseLeases").leases:
            c.call("LeaseRevoke", ID=lease.ID)
        c.delete(b"\0", range_end=b"\0")
    yield pair
    pair.close()


def _is_etcd():
    return harness.subject_kind() == "etcd"


def _same(twins, method, **fields):
    """One answer of both without its revision: these tests share servers and do not count writes."""
    outcomes = []
    request = client.UNARY[method][1](**fields)
    for c in twins.clients:
        try:
            answer = differential.settle(method, request, c.send(method, request))
            if "header" in answer.DESCRIPTOR.fields_by_name:
                answer.ClearField("header")
            outcomes.append(answer)
        except grpc.RpcError as error:
            outcomes.append(client.code_and_text(error))
    assert outcomes[1] == outcomes[0], f"{method} {str(fields)[:300]}"
    return outcomes[0]


def test_the_smallest_lease(twins):
    """A TTL below one and a half election timeouts is raised to it, in whole seconds."""
    for ttl in (-5, 0, 1, 2, 3):
        granted = _same(twins, "LeaseGrant", ID=500 + ttl, TTL=ttl)
        assert granted.TTL == max(ttl, 2)
        _same(twins, "LeaseRevoke", ID=500 + ttl)
    for c in twins.clients:
        chosen = c.call("LeaseGrant", TTL=60)
        assert chosen.ID > 0
        c.call("LeaseRevoke", ID=chosen.ID)
    assert _same(twins, "LeaseGrant", ID=-7, TTL=60).ID == -7
    _same(twins, "LeaseTimeToLive", ID=-7)
    _same(twins, "LeaseRevoke", ID=-7)


def test_an_expired_lease_deletes_its_keys_in_one_revision(twins):
    for c in twins.clients:
        with c.watch() as watch:
            watch.create(b"x/", range_end=b"x0", prev_kv=True)
            assert watch.receive().created
            c.call("LeaseGrant", ID=11, TTL=1)
            for key in (b"x/c", b"x/a", b"x/b"):
                c.put(key, b"v", lease=11)
            events = watch.events(6, timeout_s=15)
            assert [e.type for e in events] == [0, 0, 0, 1, 1, 1]
            assert [e.kv.key for e in events[3:]] == [b"x/a", b"x/b", b"x/c"]
            assert len({e.kv.mod_revision for e in events[3:]}) == 1
            assert [e.prev_kv.lease for e in events[3:]] == [11] * 3
        answer = c.keep_alive(11)[0]
        assert (answer.ID, answer.TTL) == (11, 0)
        assert c.call("LeaseTimeToLive", ID=11).TTL == -1
        assert c.refusal("Put", key=b"x", lease=11) == (
            "NOT_FOUND", "etcdserver: requested lease not found")


def test_a_lease_that_is_kept_alive_lives(twins):
    """Five seconds of renewals keep a lease of two; the last renewal still counts in full."""
    for c in twins.clients:
        c.call("LeaseGrant", ID=12, TTL=2)
        c.put(b"kept", b"v", lease=12)
    with twins.clients[0].watch() as first, twins.clients[1].watch() as second:
        for watch in (first, second):
            watch.create(b"kept")
            assert watch.receive().created
        for _ in range(10):
            for c, watch in zip(twins.clients, (first, second)):
                assert c.keep_alive(12)[0].TTL == 2
                with pytest.raises(queue.Empty):
                    watch.receive(timeout_s=0.25)
        for watch in (first, second):
            assert watch.events(1, timeout_s=10)[0].type == 1


@pytest.mark.parametrize("alarm", [rpc.NOSPACE, rpc.CORRUPT])
def test_alarms_stop_what_they_must(twins, alarm):
    """NOSPACE stops what grows, CORRUPT every write; reads and the way out of it go on."""
    put = rpc.RequestOp(request_put=rpc.PutRequest(key=b"a", value=b"2"))
    erase = rpc.RequestOp(request_delete_range=rpc.DeleteRangeRequest(key=b"zz"))
    read = rpc.RequestOp(request_range=rpc.RangeRequest(key=b"zz"))
    revision = [c.put(b"a", b"1").header.revision for c in twins.clients]
    members = [c.call("Status").header.member_id for c in twins.clients]
    try:
        for c, member in zip(twins.clients, members):
            raised = c.call("Alarm", action=rpc.AlarmRequest.ACTIVATE, memberID=member, alarm=alarm)
            assert [(a.memberID, a.alarm) for a in raised.alarms] == [(member, alarm)]
            assert len(c.call("Alarm", action=rpc.AlarmRequest.GET, alarm=alarm).alarms) == 1
            other = rpc.CORRUPT if alarm == rpc.NOSPACE else rpc.NOSPACE
            assert not c.call("Alarm", action=rpc.AlarmRequest.GET, alarm=other).alarms
        refused = [
            _same(twins, "Put", key=b"a", value=b"2"),
            _same(twins, "Txn", success=[put]),
            _same(twins, "LeaseGrant", ID=13, TTL=60),
        ]
        assert all(isinstance(r, tuple) for r in refused), refused
        _same(twins, "Txn", success=[erase])
        _same(twins, "Txn", success=[read])
        _same(twins, "Range", key=b"a", keys_only=True, serializable=True)
        _same(twins, "DeleteRange", key=b"a")
        _same(twins, "LeaseRevoke", ID=13)
        for c, at in zip(twins.clients, revision):
            if alarm == rpc.CORRUPT:
                assert c.refusal("Compact", revision=at)[0] == "DATA_LOSS"
            else:
                c.call("Compact", revision=at)
    finally:
        for c, member in zip(twins.clients, members):
            c.call("Alarm", action=rpc.AlarmRequest.DEACTIVATE, memberID=member, alarm=alarm)
    _same(twins, "Put", key=b"a", value=b"3")
    assert not _same(twins, "Alarm", action=rpc.AlarmRequest.GET).alarms


def test_requests_that_are_too_large(twins):
    too_large = _same(twins, "Put", key=b"a", value=b"x" * (1536 * 1024 + 1024))
    assert too_large == ("INVALID_ARGUMENT", "etcdserver: request is too large")
    _same(twins, "Put", key=b"a", value=b"x" * (1536 * 1024 - 1024))
    for c in twins.clients:
        code, text = c.refusal("Put", key=b"a", value=b"x" * (2048 * 1024 + 1024))
        assert code == "RESOURCE_EXHAUSTED"
        assert text.startswith("grpc: received message larger than max"), text
    _same(twins, "Put", key=b"a", value=b"small again")


def test_unknown_methods_and_services(twins):
    for path in ("/etcdserverpb.KV/Frobnicate", "/etcdserverpb.Nothing/Range", "/x/y"):
        outcomes = []
        for c in twins.clients:
            stub = c.channel.unary_unary(path, request_serializer=bytes, response_deserializer=bytes)
            with pytest.raises(grpc.RpcError) as caught:
                stub(b"", timeout=10)
            outcomes.append(client.code_and_text(caught.value))
        assert outcomes[1] == outcomes[0]
        assert outcomes[0][0] == "UNIMPLEMENTED"


def test_malformed_protobuf(twins):
    """Both refuse it on that call alone; the text is the decoder's own and not compared."""
    for c in twins.clients:
        stub = c.channel.unary_unary(
            "/etcdserverpb.KV/Put", request_serializer=bytes, response_deserializer=bytes)
        with pytest.raises(grpc.RpcError) as caught:
            stub(b"\x0a\xff\xff\xff\xff\x0fabc", timeout=10)
        assert caught.value.code() == grpc.StatusCode.INTERNAL
        c.put(b"a", b"1")


def test_health(twins):
    serving = _same(twins, "HealthCheck", service="")
    assert serving.status == protos.health.HealthCheckResponse.SERVING
    assert _same(twins, "HealthCheck", service="nothing")[0] == "NOT_FOUND"


def test_fragments(twins):
    """Only the pieces of one response are marked, and together they are what a plain watch delivers."""
    for c in twins.clients:
        first = c.put(b"big/0", b"0" * 1_000_000).header.revision
        for i in range(1, 5):
            c.put(b"big/%d" % i, b"%d" % i * 1_000_000)
        with c.watch() as watch:
            watch.create(b"big/", range_end=b"big0", start_revision=first, fragment=True)
            assert watch.receive().created
            pieces, events = [], []
            while len(events) < 5:
                response = watch.receive()
                pieces.append(response.fragment)
                events.extend(response.events)
                assert response.ByteSize() < 2_300_000 or len(response.events) == 1
        assert not pieces[-1]
        assert [e.kv.key for e in events] == [b"big/%d" % i for i in range(5)]
        with c.watch() as watch:
            watch.create(b"big/", range_end=b"big0", start_revision=first)
            assert watch.receive().created
            assert watch.events(5) == events
        c.delete(b"big/", range_end=b"big0")


def test_watches_that_are_refused(twins):
    seen = []
    for c in twins.clients:
        answers = []
        with c.watch() as watch:
            for fields in (
                {"key": b"b", "range_end": b"a"},
                {"key": b"b", "range_end": b"b"},
                {"key": b"a", "watch_id": 5},
                {"key": b"a", "watch_id": 5},
                {"key": b""},
                {"key": b"", "range_end": b"\0"},
            ):
                watch.create(**fields)
                response = watch.receive()
                response.ClearField("header")
                answers.append(response)
            watch.cancel(1234)  # unknown: no answer at all, so the next one is that of 5
            watch.cancel(5)
            response = watch.receive()
            response.ClearField("header")
            answers.append(response)
        seen.append(answers)
    assert seen[1] == seen[0]


def test_a_watch_lives_on_when_the_client_has_nothing_more_to_say(twins):
    for c in twins.clients:
        with c.watch() as watch:
            watch.create(b"half")
            assert watch.receive().created
            watch.half_close()
            c.put(b"half", b"1")
            assert watch.events(1)[0].kv.value == b"1"


def test_lock_service(twins):
    for c in twins.clients:
        c.call("LeaseGrant", ID=21, TTL=60)
        c.call("LeaseGrant", ID=22, TTL=60)
        first = c.call("Lock", name=b"lock", lease=21)
        assert first.key == b"lock/15"  # the lease in hexadecimal
        assert c.call("Lock", name=b"lock", lease=21).key == first.key
        waiting = _Background(c, "Lock", name=b"lock", lease=22)
        assert not waiting.done_within(0.3)
        c.call("Unlock", key=first.key)
        assert waiting.result().key == b"lock/16"
        assert [kv.key for kv in c.prefix(b"lock/").kvs] == [b"lock/16"]
        c.call("LeaseRevoke", ID=22)
        assert not c.prefix(b"lock/").kvs
        own = c.call("Lock", name=b"own")  # without a lease the server makes one
        assert own.key.startswith(b"own/")
        c.call("Unlock", key=own.key)
    _same(twins, "Unlock", key=b"never locked")
    assert _same(twins, "Lock", name=b"lock", lease=404)[0] == "UNKNOWN"
    assert _same(twins, "Unlock") == ("UNKNOWN", "etcdserver: key is not provided")
    too_large = _same(twins, "Lock", name=b"n" * (1536 * 1024 + 100), lease=0)
    assert too_large == ("UNKNOWN", "etcdserver: request is too large")


class _Background:
    def __init__(self, c, method, **fields):
        self._future = c.begin(method, **fields)

    def done_within(self, seconds):
        try:
            self._future.result(timeout=seconds)
            return True
        except grpc.FutureTimeoutError:
            return False

    def result(self):
        return self._future.result(timeout=10)


def test_election_service(twins):
    election = protos.election
    for c in twins.clients:
        c.call("LeaseGrant", ID=31, TTL=60)
        c.call("LeaseGrant", ID=32, TTL=60)
        won = c.call("Campaign", name=b"e", lease=31, value=b"one").leader
        assert (won.name, won.key, won.lease) == (b"e", b"e/1f", 31)
        assert c.call("Leader", name=b"e").kv.value == b"one"
        observe = c.channel.unary_stream(
            "/v3electionpb.Election/Observe", request_serializer=lambda m: m.SerializeToString(),
            response_deserializer=election.LeaderResponse.FromString)
        observed = observe(election.LeaderRequest(name=b"e"), timeout=20)
        assert next(observed).kv.value == b"one"
        c.call("Proclaim", leader=won, value=b"uno")
        assert next(observed).kv.value == b"uno"
        waiting = _Background(c, "Campaign", name=b"e", lease=32, value=b"two")
        assert not waiting.done_within(0.3)
        c.call("Resign", leader=won)
        second = waiting.result().leader
        assert second.key == b"e/20"
        assert next(observed).kv.value == b"two"
        observed.cancel()
        assert c.refusal("Proclaim", leader=won, value=b"late") == ("UNKNOWN", "election: not leader")
        c.call("Resign", leader=second)
    assert _same(twins, "Leader", name=b"e") == ("UNKNOWN", "election: no leader")
    missing = ("UNKNOWN", '"leader" field must be provided')
    assert _same(twins, "Proclaim", value=b"x") == missing
    assert _same(twins, "Resign") == missing
    assert _same(twins, "Campaign", name=b"e", lease=404)[0] == "UNKNOWN"
    no_key = election.LeaderKey(name=b"e", lease=404)
    for method in ("Proclaim", "Resign"):
        assert _same(twins, method, leader=no_key) == ("UNKNOWN", "etcdserver: key is not provided")
    nobody = election.LeaderKey(name=b"e", key=b"e/1", lease=404)
    assert _same(twins, "Proclaim", leader=nobody) == ("UNKNOWN", "etcdserver: requested lease not found")
    _same(twins, "Resign", leader=nobody)


def test_snapshot_stream(twins):
    """Pieces that tell exactly what is left, and a SHA-256 sum of all before as the last 32, which is not counted."""
    for c in twins.clients:
        c.put(b"a", b"x" * 100_000)
        parts = list(c.snapshot())
        blob = b"".join(p.blob for p in parts)
        left = len(blob) - 32
        for part in parts[:-1]:
            left -= len(part.blob)
            assert part.remaining_bytes == left
        assert left == parts[-1].remaining_bytes == 0 and len(parts[-1].blob) == 32
        assert len(blob) % 512 == 32
        assert hashlib.sha256(blob[:-32]).digest() == blob[-32:]


def test_maintenance_and_cluster_errors(twins):
    assert isinstance(_same(twins, "MoveLeader", targetID=1), tuple)
    assert isinstance(_same(twins, "HashKV", revision=1 << 40), tuple)
    for method in ("MemberRemove", "MemberPromote"):
        assert _same(twins, method, ID=1) == ("NOT_FOUND", "etcdserver: member not found")
    _same(twins, "MemberUpdate", ID=1, peerURLs=["http://127.0.0.1:1"])
    _same(twins, "MemberUpdate", ID=1, peerURLs=["::nonsense"])
    _same(twins, "MemberAdd", peerURLs=["nonsense"])
    _same(twins, "MemberAdd", peerURLs=["http://127.0.0.1:1/path"])
    _same(twins, "Defragment")


# ---------------------------------------------------------------- directed: known differences


def test_difference_invalid_sort(twins):
    if _is_etcd():
        return  # asking would end a 3.4 server
    for fields in ({"sort_order": 7}, {"sort_target": 9, "sort_order": 1}):
        assert twins.clients[1].refusal("Range", key=b"a", **fields) == (
            "INVALID_ARGUMENT", "etcdserver: invalid sort option")


def test_difference_tombstone_at_the_compaction(twins):
    for side, c in enumerate(twins.clients):
        c.put(b"gone", b"1")
        revision = c.delete(b"gone").header.revision
        c.put(b"stays", b"1")
        c.call("Compact", revision=revision, physical=True)
        with c.watch() as watch:
            watch.create(b"\0", range_end=b"\0", start_revision=revision)
            assert watch.receive().created
            keys = [e.kv.key for e in watch.receive().events]
        is_etcd = side == 0 or _is_etcd()
        assert keys == ([b"stays"] if is_etcd else [b"gone", b"stays"])


def test_difference_a_key_changed_twice(twins):
    """Each transaction's answer and what is there afterwards are the same; the events are not."""
    put = rpc.RequestOp(request_put=rpc.PutRequest(key=b"b", value=b"new", prev_kv=True))
    erase = rpc.RequestOp(request_delete_range=rpc.DeleteRangeRequest(key=b"\0", range_end=b"\0", prev_kv=True))
    nested = [rpc.RequestOp(request_txn=rpc.TxnRequest(success=[op])) for op in (put, erase)]
    nested[1].request_txn.success[0].request_delete_range.range_end = b"z"
    expected = [
        (b"b", [erase, put], ["- a", "- b", "+ b"], ["- a", "+ b"]),
        (b"b", [put, erase], ["+ b", "- a", "- b"], ["- b", "- a"]),
        (b"c", [erase, put], ["- a", "- c", "+ b"], ["- a", "- c", "+ b"]),
        (b"c", [put, erase], ["+ b", "- a", "- b", "- c"], ["- a", "- c"]),
        (b"b", nested, ["+ b", "- a", "- b"], ["- b", "- a"]),
    ]
    for other, operations, *told in expected:
        _same(twins, "Put", key=b"a")
        _same(twins, "Put", key=other)
        before = [c.get(b"a").header.revision for c in twins.clients]
        done = _same(twins, "Txn", success=operations)
        assert done.succeeded
        left = _same(twins, "Range", key=b"\0", range_end=b"\0", keys_only=True)
        assert [kv.key for kv in left.kvs] == ([b"b"] if operations[1] is put else [])
        for side, c in enumerate(twins.clients):
            with c.watch() as watch:
                watch.create(b"\0", range_end=b"\0", start_revision=before[side] + 1)
                assert watch.receive().created
                events = [f"{'-' if e.type else '+'} {e.kv.key.decode()}" for e in watch.receive().events]
            assert events == told[0 if side == 0 or _is_etcd() else 1], (other, operations)
            c.delete(b"\0", range_end=b"\0")


def test_difference_progress(twins):
    for side, c in enumerate(twins.clients):
        answers_always = side == 0 or _is_etcd()
        revision = c.put(b"a", b"1").header.revision
        with c.watch() as watch:
            watch.progress()
            _expect_progress(watch, answers_always)
            watch.create(b"a", start_revision=revision + 5)
            assert watch.receive().created
            watch.progress()
            _expect_progress(watch, answers_always)
            for _ in range(5):
                c.put(b"a", b"2")
            assert watch.events(1)[0].kv.mod_revision == revision + 5
            watch.progress()
            _expect_progress(watch, True)


def _expect_progress(watch, expected):
    if expected:
        response = watch.receive()
        assert response.watch_id == -1 and not response.events
        return
    with pytest.raises(queue.Empty):
        watch.receive(timeout_s=0.5)


def test_difference_lock_after_its_lease(twins):
    """The lease of the waiter ends before the lock is free."""
    for side, c in enumerate(twins.clients):
        c.call("LeaseGrant", ID=23, TTL=60)
        c.call("LeaseGrant", ID=24, TTL=60)
        holder = c.call("Lock", name=b"jepsen", lease=23)
        waiting = _Background(c, "Lock", name=b"jepsen", lease=24)
        while len(c.prefix(b"jepsen/").kvs) < 2:
            pass
        c.call("LeaseRevoke", ID=24)
        c.call("Unlock", key=holder.key)
        if side == 0 or _is_etcd():
            assert waiting.result().key == b"jepsen/18"
        else:
            with pytest.raises(grpc.RpcError) as caught:
                waiting.result()
            assert client.code_and_text(caught.value) == ("UNKNOWN", "mutex: session is expired")
        assert not c.prefix(b"jepsen/").kvs
        c.call("LeaseRevoke", ID=23)


def test_difference_hash_at_the_compaction(twins):
    for side, c in enumerate(twins.clients):
        revision = c.put(b"a", b"1").header.revision
        c.put(b"a", b"2")
        c.call("Compact", revision=revision)
        if side == 0 or _is_etcd():
            assert c.refusal("HashKV", revision=revision) == (
                "OUT_OF_RANGE", "etcdserver: mvcc: required revision has been compacted")
        else:
            answer = c.call("HashKV", revision=revision)
            assert answer.compact_revision == revision
        assert c.call("HashKV", revision=revision + 1).compact_revision == revision


def test_difference_negative_watch_revision(twins):
    if _is_etcd():
        return
    with twins.clients[1].watch() as watch:
        watch.create(b"a", start_revision=-1)
        response = watch.receive()
        assert response.created and response.canceled and response.watch_id == -1
        assert response.cancel_reason == "etcdserver: mvcc: required revision has been compacted"


def _range_stream(c, **fields):
    stub = c.channel.unary_stream(
        "/etcdserverpb.KV/RangeStream", request_serializer=lambda m: m.SerializeToString(),
        response_deserializer=rpc.RangeStreamResponse.FromString)
    return list(stub(rpc.RangeRequest(**fields), timeout=30))


def test_difference_range_stream(twins):
    """The pieces of RangeStream, merged, are the answer of Range."""
    with pytest.raises(grpc.RpcError) as caught:
        _range_stream(twins.clients[0], key=b"a")
    assert caught.value.code() == grpc.StatusCode.UNIMPLEMENTED
    if _is_etcd():
        return
    c = twins.clients[1]
    for i in range(500):
        c.put(b"rs/%03d" % i, b"%d" % i * 5000)
    for fields in ({}, {"limit": 33}, {"keys_only": True}, {"count_only": True}):
        fields.update(key=b"rs/", range_end=b"rs0")
        parts = _range_stream(c, **fields)
        for part in parts[:-1]:
            assert not part.range_response.HasField("header") and part.range_response.count == 0
        merged = rpc.RangeResponse()
        for part in parts:
            merged.MergeFrom(part.range_response)
        assert merged == c.call("Range", **fields)
    assert len(_range_stream(c, key=b"rs/", range_end=b"rs0")) > 1
    for fields, text in (({"sort_order": 2}, "RangeStream does not support custom sort orders"),
                         ({"min_mod_revision": 2}, "RangeStream does not support revision filters")):
        with pytest.raises(grpc.RpcError) as caught:
            _range_stream(c, key=b"rs/", range_end=b"rs0", **fields)
        code, seen = client.code_and_text(caught.value)
        assert code == "UNIMPLEMENTED" and text in seen, seen
