"""Three members: every one serves, any one may be lost, more may join, none answers stale."""

import concurrent.futures
import queue
import threading
import time

import grpc
import pytest

import client
import harness
import protos

rpc = protos.rpc


class Members:
    """A cluster with one client for each member."""

    def __init__(self, cluster):
        self.cluster = cluster
        self.clients = {}
        for server in cluster.servers:
            self.connect(server)

    def connect(self, server):
        self.clients[server] = client.Client(server.endpoint)

    def close(self):
        for c in self.clients.values():
            c.close()

    def status(self, server):
        return self.clients[server].call("Status")

    def leader(self, timeout_s=10, among=None):
        """The running server whose claim to lead a majority repeats."""
        servers = [s for s in (among or self.cluster.servers) if s.running()]

        def find():
            statuses = {s: self.status(s) for s in servers}
            named = [st.leader for st in statuses.values()]
            for s, st in statuses.items():
                if st.header.member_id == st.leader and named.count(st.leader) * 2 > len(named):
                    return s
            return None

        return eventually(find, timeout_s, "the members name no leader")

    def followers(self):
        leader = self.leader()
        return [s for s in self.cluster.servers if s is not leader]


def eventually(attempt, timeout_s, complaint):
    """What `attempt` returns once that is true; a cluster offers no event to wait for instead."""
    deadline = time.monotonic() + timeout_s
    while True:
        try:
            found = attempt()
            if found:
                return found
        except grpc.RpcError as error:
            found = client.code_and_text(error)
        assert time.monotonic() < deadline, f"{complaint} (after {timeout_s} s; last: {found})"
        time.sleep(0.02)


@pytest.fixture
def three(make_cluster):
    members = Members(make_cluster(3))
    yield members
    members.close()


def test_every_member_serves_reads_and_writes(three):
    for i, (server, c) in enumerate(three.clients.items()):
        c.put(b"k%d" % i, server.name.encode())
        for other in three.clients.values():
            assert other.value(b"k%d" % i) == server.name.encode()
        with c.watch() as watch:
            watch.create(b"k", range_end=b"l", start_revision=1)
            assert len(watch.events(i + 1)) == i + 1
        c.call("LeaseGrant", ID=100 + i, TTL=60)
        assert c.keep_alive(100 + i)[0].TTL == 60
    for c in three.clients.values():
        assert sorted(x.ID for x in c.call("LeaseLeases").leases) == [100, 101, 102]
        assert c.call("LeaseTimeToLive", ID=101).grantedTTL == 60


def test_a_follower_reads_what_the_leader_just_wrote(three):
    """Linearizable: a read that begins after the acknowledgement sees the write, on any member."""
    writer = three.clients[three.leader()]
    readers = [three.clients[s] for s in three.followers()]
    for i in range(300):
        value = b"%d" % i
        writer.put(b"k", value)
        for reader in readers:
            assert reader.value(b"k") == value


def test_members_agree_on_ids_and_hashes(three):
    for i in range(50):
        three.clients[three.cluster[i % 3]].put(b"k%d" % i, b"x" * i)
    lists = []
    for c in three.clients.values():
        listed = c.call("MemberList")
        lists.append((listed.header.cluster_id,
                      sorted((m.ID, m.name, *m.peerURLs, *m.clientURLs) for m in listed.members)))
    assert lists[0] == lists[1] == lists[2]
    for server, c in three.clients.items():
        own = c.call("MemberList").header.member_id
        mine = [m for m in c.call("MemberList").members if m.ID == own]
        assert [m.name for m in mine] == [server.name]
        assert list(mine[0].clientURLs) == [f"http://{server.endpoint}"]
        assert list(mine[0].peerURLs) == [f"http://{server.peer_port.address}"]
    hashes = {c.call("HashKV", revision=51).hash for c in three.clients.values()}
    assert len(hashes) == 1


def test_the_loss_of_one_and_its_return(three):
    leader, follower = three.leader(), three.followers()[0]
    for lost in (follower, leader):
        before = three.clients[three.cluster[0 if lost is not three.cluster[0] else 1]]
        lost.kill()
        key = lost.name.encode()
        eventually(lambda: before.put(key, b"while it was away", timeout_s=2), 15, "no writes without one")
        rest = [s for s in three.cluster.servers if s is not lost]
        for s in rest:
            assert three.clients[s].value(key) == b"while it was away"
        lost.start().wait_ready()
        back = eventually(lambda: three.clients[lost].value(key), 15, "it did not come back")
        assert back == b"while it was away"


def test_restart_of_all_from_disk(three):
    c = three.clients[three.cluster[0]]
    c.call("LeaseGrant", ID=7, TTL=600)
    for i in range(100):
        c.put(b"k%d" % i, b"%d" % i, lease=7 if i % 2 else 0)
    c.delete(b"k5")
    c.call("Compact", revision=50)
    before = c.prefix(b"k")
    ids = [three.status(s).header for s in three.cluster.servers]
    for s in three.cluster.servers:
        s.stop()
    for s in three.cluster.servers:
        s.start()
    for i, s in enumerate(three.cluster.servers):
        s.wait_ready()
        after = eventually(lambda: three.clients[s].prefix(b"k", timeout_s=2), 15, "no reads after the restart")
        assert after.kvs == before.kvs and after.header.revision == before.header.revision
        assert after.header.member_id == ids[i].member_id
        assert after.header.cluster_id == ids[i].cluster_id
        assert three.clients[s].refusal("Range", key=b"k1", revision=49)[0] == "OUT_OF_RANGE"
        assert len(three.clients[s].call("LeaseTimeToLive", ID=7, keys=True).keys) == 49


def test_a_new_member_learns_and_is_promoted(make_cluster):
    """Joins far behind the log's beginning, so it needs a snapshot; then serves like any other."""
    members = Members(make_cluster(1, snapshot_entries=100))
    c = members.clients[members.cluster[0]]
    for i in range(300):
        c.put(b"k%d" % i, b"v%d" % i)
    joiner = members.cluster.new_member("n2")
    peer = f"http://{joiner.peer_port.address}"
    added = c.call("MemberAdd", peerURLs=[peer], isLearner=True)
    assert added.member.isLearner and list(added.member.peerURLs) == [peer]
    assert {m.name for m in added.members} == {"n1", ""}
    joiner.start().wait_ready()
    members.connect(joiner)
    new = members.clients[joiner]
    assert new.call("Status").isLearner
    # A known difference: 3.4 says UNAVAILABLE.
    code = "UNAVAILABLE" if joiner.kind == "etcd" else "FAILED_PRECONDITION"
    refused = (code, "etcdserver: rpc not supported for learner")
    assert new.refusal("Put", key=b"a") == refused
    assert new.refusal("Range", key=b"a") == refused
    eventually(lambda: new.value(b"k299", serializable=True) == b"v299", 15, "the learner does not catch up")
    eventually(lambda: c.call("MemberPromote", ID=added.member.ID), 15, "the learner is not promoted")
    assert eventually(lambda: not new.call("Status").isLearner, 10, "it does not know of its promotion")
    eventually(lambda: new.put(b"from", b"n2", timeout_s=2), 10, "the new member takes no writes")
    assert c.value(b"from") == b"n2"
    assert new.prefix(b"k").kvs == c.prefix(b"k").kvs
    names = {m.name: m.isLearner for m in new.call("MemberList").members}
    assert names == {"n1": False, "n2": False}
    members.close()


def test_a_member_is_added_updated_and_removed(three):
    c = three.clients[three.cluster[0]]
    joiner = three.cluster.new_member("n4")
    joiner.initial_cluster = ",".join(
        f"{s.name}={s.peer_scheme}{s.peer_port.address}" for s in three.cluster.servers)
    added = eventually(
        lambda: c.call("MemberAdd", peerURLs=[f"http://{joiner.peer_port.address}"]), 15, "cannot be added")
    joiner.start().wait_ready()
    three.connect(joiner)
    new = three.clients[joiner]
    eventually(lambda: new.put(b"a", b"1", timeout_s=2), 15, "the fourth member takes no writes")
    assert len(new.call("MemberList").members) == 4
    # Now the four lose two and go on with the rest only after one was removed in time.
    eventually(lambda: c.call("MemberRemove", ID=added.member.ID), 15, "cannot be removed")
    assert {m.name for m in c.call("MemberList").members} == {"n1", "n2", "n3"}
    assert c.refusal("MemberRemove", ID=added.member.ID) == ("NOT_FOUND", "etcdserver: member not found")
    joiner.kill()
    c.put(b"after", b"1")


def test_a_member_that_is_far_behind_gets_a_snapshot(make_cluster):
    members = Members(make_cluster(3, snapshot_entries=100))
    behind = members.followers()[0]
    c = members.clients[members.leader()]
    c.put(b"before", b"1")
    behind.kill()
    # etcd keeps 5000 entries behind its snapshots for stragglers.
    count = 6000 if members.cluster.kind == "etcd" else 1500
    threads = [threading.Thread(target=_put_many, args=(c, b"t%d/" % t, count // 6)) for t in range(6)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    c.delete(b"before")
    last = c.put(b"after", b"1").header.revision
    behind.start().wait_ready()
    back = members.clients[behind]
    eventually(lambda: back.value(b"after", serializable=True), 20, "it does not catch up")
    assert back.value(b"before") is None
    assert back.get(b"\0", range_end=b"\0", count_only=True).count == count // 6 * 6 + 1
    hashes = {x.call("HashKV", revision=last).hash for x in members.clients.values()}
    assert len(hashes) == 1
    with back.watch() as watch:
        watch.create(b"after", start_revision=1)
        assert watch.events(1)[0].kv.mod_revision == last
    members.close()


@pytest.mark.skipif(harness.subject_kind() != "witan", reason="etcd adds nobody, not even a learner, while one is down")
@pytest.mark.parametrize("entries_away", [20, 600])
def test_a_member_returns_to_a_cluster_of_strangers(make_cluster, entries_away):
    """While one was down, everybody it knows was replaced: only members it has never heard of can tell it."""
    members = Members(make_cluster(3, snapshot_entries=100))
    cluster = members.cluster
    behind = members.followers()[0]
    old = [s for s in cluster.servers if s is not behind]
    members.clients[old[0]].put(b"before", b"1")
    behind.kill()
    for name in ("n4", "n5"):
        joiner = cluster.new_member(name)
        leader = members.clients[members.leader(among=old)]
        peer = f"http://{joiner.peer_port.address}"
        # With one of three down, a fourth voter that has not started yet would cost the quorum.
        added = eventually(lambda: leader.call("MemberAdd", peerURLs=[peer], isLearner=True), 20,
                           f"{name} cannot be added")
        joiner.initial_cluster = ",".join(
            f"{s.name}={s.peer_scheme}{s.peer_port.address}" for s in cluster.servers)
        joiner.start().wait_ready()
        members.connect(joiner)
        eventually(lambda: leader.call("MemberPromote", ID=added.member.ID), 20, f"{name} cannot be promoted")
        eventually(lambda: members.clients[joiner].put(name.encode(), b"1", timeout_s=2), 20, f"{name} takes no writes")
    new = cluster.servers[-2:]
    eventually(lambda: members.clients[members.leader(among=old + new)].call(
        "MoveLeader", targetID=members.status(new[0]).header.member_id), 20, "the lead does not move")
    first = members.clients[new[0]]
    for server in old:
        number = members.status(server).header.member_id
        eventually(lambda: first.call("MemberRemove", ID=number), 20, f"{server.name} cannot be removed")
        server.kill()
    _put_many(first, b"away", entries_away)
    behind.start().wait_ready()
    back = members.clients[behind]
    eventually(lambda: back.value(b"away%d" % (entries_away - 1), serializable=True), 30, "it does not catch up")
    assert {m.name for m in back.call("MemberList").members} == {behind.name, "n4", "n5"}
    new[1].kill()  # now it counts
    eventually(lambda: back.put(b"after", b"1", timeout_s=2), 20, "no writes with two of three")
    members.close()


def _put_many(c, prefix, count):
    for i in range(count):
        c.put(prefix + b"%d" % i, b"x" * 100)


def test_a_watch_goes_on_through_the_loss_of_the_leader(three):
    """A watch on a follower sees every write exactly once, across a change of leader."""
    leader = three.leader()
    survivor = three.followers()[0]
    c = three.clients[survivor]
    with c.watch() as watch:
        watch.create(b"k")
        assert watch.receive().created
        for i in range(20):
            c.put(b"k", b"%d" % i)
        leader.kill()
        for i in range(20, 40):
            # Only what was never sent may be sent again, so each try has a value of its own.
            eventually(lambda: c.put(b"k", b"%d" % i, timeout_s=10), 20, "no writes without the old leader")
        seen = watch.events(40)
        assert [e.kv.version for e in seen] == sorted({e.kv.version for e in seen})
        assert [e.kv.value for e in seen[:20]] == [b"%d" % i for i in range(20)]


def test_a_graceful_stop_hands_over_the_leadership(three):
    """Writes go on within well under an election timeout, since nobody has to notice a silence."""
    leader = three.leader()
    survivor = three.followers()[0]
    c = three.clients[survivor]
    c.put(b"k", b"before")
    stopper = threading.Thread(target=leader.stop)
    began = time.monotonic()
    stopper.start()
    rest = [s for s in three.cluster.servers if s is not leader]
    eventually(lambda: three.leader(2, among=rest), 5, "nobody took over")
    eventually(lambda: c.put(b"k", b"after", timeout_s=1), 5, "no writes after the hand-over")
    took = time.monotonic() - began
    stopper.join()
    assert leader.process.returncode in (0, -15)
    assert took < 1.0, f"the hand-over took {took:.2f} s"


def test_move_leader(three):
    leader, target = three.leader(), three.followers()[0]
    own = three.status(target).header.member_id
    assert three.clients[target].refusal("MoveLeader", targetID=own) == (
        "FAILED_PRECONDITION", "etcdserver: not leader")
    assert three.clients[leader].refusal("MoveLeader", targetID=12345) == (
        "FAILED_PRECONDITION", "etcdserver: bad leader transferee")
    three.clients[leader].call("MoveLeader", targetID=own)
    eventually(lambda: three.leader() is target, 10, "the leadership did not move")
    three.clients[leader].put(b"k", b"v")


def test_a_minority_refuses(three):
    """One of three: writes and linearizable reads end with etcd's error, serializable reads go on."""
    survivor = three.cluster[0]
    c = three.clients[survivor]
    c.put(b"k", b"v")
    for s in three.cluster.servers[1:]:
        s.kill()
    eventually(lambda: three.status(survivor).leader == 0, 15, "the survivor still names a leader")
    assert list(three.status(survivor).errors) == ["etcdserver: no leader"]
    c.timeout_s = 20
    honest = [("UNAVAILABLE", "etcdserver: request timed out"),
              ("UNAVAILABLE", "etcdserver: no leader"),
              ("DEADLINE_EXCEEDED", "context deadline exceeded")]
    if survivor.kind == "etcd":
        honest.append(("UNKNOWN", "context deadline exceeded"))  # 3.4 has no code for it
    assert c.refusal("Put", key=b"k", value=b"w") in honest
    assert c.refusal("Range", key=b"k") in honest
    assert c.value(b"k", serializable=True) == b"v"
    request = rpc.RangeRequest(key=b"k", serializable=True)
    with pytest.raises(grpc.RpcError) as caught:
        c.send("Range", request, metadata=(("hasleader", "true"),))
    assert client.code_and_text(caught.value) == ("UNAVAILABLE", "etcdserver: no leader")
    three.cluster[1].start()
    eventually(lambda: c.put(b"k", b"x", timeout_s=2), 15, "two of three do not serve")


def test_a_paused_leader_answers_nothing_stale(three):
    """SIGSTOP, a new leader writes, SIGCONT: what the old one answers afterwards is not the past.

    Reads are sent to the old leader while it sleeps, so they wait in its socket and are answered at
    once when it wakes, before it can have heard of the new term. (etcd #20418)
    """
    leader = three.leader()
    survivor = next(s for s in three.cluster.servers if s is not leader)
    old, new = three.clients[leader], three.clients[survivor]
    for turn in range(2):
        old.put(b"k", b"old %d" % turn)
        leader.pause()
        try:
            eventually(lambda: new.put(b"k", b"new %d" % turn, timeout_s=2), 15, "no new leader")
            waiting = [old.begin("Range", key=b"k") for _ in range(20)]
        finally:
            leader.resume()
        answered = 0
        for read in waiting:
            try:
                seen = read.result().kvs[0].value
                assert seen == b"new %d" % turn, f"a stale read: {seen}"
                answered += 1
            except grpc.RpcError as error:
                assert error.code() in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED)
        eventually(lambda: old.value(b"k", timeout_s=2) == b"new %d" % turn, 15, "the old leader is lost")
        leader = three.leader()
        survivor = next(s for s in three.cluster.servers if s is not leader)
        old, new = three.clients[leader], three.clients[survivor]


def test_a_lease_outlives_the_loss_of_the_leader(three):
    """The new leader neither forgets a lease nor ends it early; it ends it in the end."""
    leader = three.leader()
    survivor = three.clients[three.followers()[0]]
    survivor.call("LeaseGrant", ID=5, TTL=5)
    survivor.put(b"leased", b"v", lease=5)
    granted = time.monotonic()
    leader.kill()
    with survivor.watch() as watch:
        watch.create(b"leased")
        assert watch.receive().created
        event = watch.events(1, timeout_s=20)[0]
        lived = time.monotonic() - granted
    assert event.type == 1
    assert lived > 4.5, f"a lease of 5 s ended after {lived:.1f} s"


def test_a_stream_that_requires_a_leader_ends_without_one(three):
    survivor = three.cluster[0]
    c = three.clients[survivor]
    requests = queue.Queue()
    stub = c.channel.stream_stream(
        "/etcdserverpb.Watch/Watch", request_serializer=lambda m: m.SerializeToString(),
        response_deserializer=rpc.WatchResponse.FromString)
    stream = stub(iter(requests.get, None), metadata=(("hasleader", "true"),), timeout=30)
    requests.put(rpc.WatchRequest(create_request=rpc.WatchCreateRequest(key=b"k")))
    assert next(stream).created
    for s in three.cluster.servers[1:]:
        s.kill()
    with pytest.raises(grpc.RpcError) as caught:
        while True:
            next(stream)
    requests.put(None)
    assert client.code_and_text(caught.value) == ("UNAVAILABLE", "etcdserver: no leader")


@pytest.mark.long
def test_a_large_delete_does_not_cost_the_lead(make_cluster):
    """One request that deletes a million keys outlasts an election timeout: the followers hear the leader meanwhile."""
    keys = 1_000_000
    cluster = make_cluster(3, heartbeat_ms=40, election_ms=400)
    members = Members(cluster)
    c = members.clients[members.leader()]

    def load(first):
        puts = [rpc.RequestOp(request_put=rpc.PutRequest(key=b"%07d" % (first + i), value=b"x" * 100))
                for i in range(125)]
        c.call("Txn", success=puts)

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        list(pool.map(load, range(0, keys, 125)))
    terms = {s: members.status(s).raftTerm for s in cluster.servers}
    assert c.call("DeleteRange", timeout_s=60, key=b"0", range_end=b"\0").deleted == keys
    for server in cluster.servers:
        assert members.clients[server].get(b"0", range_end=b"\0", count_only=True).count == 0
        assert members.status(server).raftTerm == terms[server]
    members.close()
