"""kill -9 under load: what was acknowledged stays, what was not is there once at most."""

import dataclasses
import statistics
import time

import pytest

import client
import load

MEDIAN_FAILOVER_S = 2.0
LONGEST_FAILOVER_S = 5.0


# ---------------------------------------------------------------- the judge itself


def _event(key, value, revision, version=1):
    kv = load.protos.kv.KeyValue(key=key, value=value, mod_revision=revision, version=version)
    return load.protos.kv.Event(kv=kv)


def _write(key, value, outcome, revision=0):
    return load.Write(key, value, 0.0, 0.0, outcome, revision)


GOOD = ([_write(b"once/w/1", b"w-1", load.OK, 2), _write(b"count/w", b"w-3", load.UNKNOWN),
         _write(b"count/w", b"w-6", load.OK, 4), _write(b"once/w/7", b"w-7", load.REFUSED)],
        [_event(b"once/w/1", b"w-1", 2), _event(b"count/w", b"w-3", 3), _event(b"count/w", b"w-6", 4, 2)])


def test_the_judge_accepts_a_good_history():
    assert load.judge(*GOOD) == 3
    assert load.judge(GOOD[0], GOOD[1][::-1]) == 3, "what was given up may take effect late"


@pytest.mark.parametrize("spoil, complaint", [
    (lambda w, e: e.pop(0), "acknowledged and gone"),
    (lambda w, e: e.append(_event(b"once/w/1", b"w-1", 9, 2)), "applied twice"),
    (lambda w, e: e.append(_event(b"once/w/7", b"w-7", 9)), "never left the client"),
    (lambda w, e: e.append(_event(b"x", b"y", 9)), "nobody wrote"),
    (lambda w, e: (setattr(w[1], "outcome", load.OK), e.reverse()), "went back"),
    (lambda w, e: setattr(e[0].kv, "version", 2), "has version 2"),
    (lambda w, e: setattr(e[0].kv, "mod_revision", 7), "another revision"),
])
def test_the_judge_rejects_a_bad_history(spoil, complaint):
    writes = [dataclasses.replace(write) for write in GOOD[0]]
    events = [load.protos.kv.Event.FromString(e.SerializeToString()) for e in GOOD[1]]
    spoil(writes, events)
    with pytest.raises(AssertionError, match=complaint):
        load.judge(writes, events)


# ---------------------------------------------------------------- one server


def _kill_one_server(cluster, rounds, capsys):
    server = cluster[0]
    with load.Load([server.endpoint], workers=4, timeout_s=2) as writers:
        for number in range(rounds):
            writers.wait_for_more(100 + 37 * (number % 7))
            server.kill()
            server.start().wait_ready()
            # The writes of this moment are judged as what they were when the history was read.
            writes = writers.writes()
            known = {w.value for w in writes}
            acknowledged = [w for w in writes if w.outcome == load.OK]
            values = {e.kv.value for e in load.history(server.endpoint)}
            lost = [w for w in acknowledged if w.value not in values]
            assert known and not lost, f"round {number}: acknowledged and gone: {lost[:3]}"
        writers.stop()
        applied = load.judge(writers.writes(), load.history(server.endpoint))
        with capsys.disabled():
            print(f"\n  {rounds} x kill -9 of one server: {load.totals(writers.writes())};"
                  f" {applied} in the history")


def test_a_single_server_keeps_what_it_acknowledged(make_cluster, capsys):
    _kill_one_server(make_cluster(1), 10, capsys)


@pytest.mark.long
def test_a_single_server_keeps_what_it_acknowledged_for_long(make_cluster, capsys):
    _kill_one_server(make_cluster(1), 50, capsys)


# ---------------------------------------------------------------- three members


def _leader(cluster, timeout_s=10):
    """The server that two members call leader."""
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        votes, by_id = {}, {}
        for server in cluster.servers:
            if not server.running():
                continue
            with client.Client(server.endpoint) as c:
                status = c.call("Status")
            by_id[status.header.member_id] = server
            votes[status.leader] = votes.get(status.leader, 0) + 1
        leader = max(votes, key=votes.get, default=0)
        if leader in by_id and votes[leader] >= 2:
            return by_id[leader]
        time.sleep(0.02)
    raise AssertionError("the members name no leader")


def _same_everywhere(cluster, writes):
    """All members have one history, one hash of it, and it is one that the writes allow."""
    histories = [load.history(s.endpoint) for s in cluster.servers]
    applied = load.judge(writes, histories[0])
    assert histories[1] == histories[0] and histories[2] == histories[0]
    revision = histories[0][-1].kv.mod_revision
    hashes = set()
    for server in cluster.servers:
        with client.Client(server.endpoint) as c:
            hashes.add((c.call("HashKV", revision=revision).hash))
    assert len(hashes) == 1, f"the members differ at revision {revision}: {hashes}"
    return applied


def _kill_leaders(cluster, rounds, capsys):
    failovers = []
    with load.Load([s.endpoint for s in cluster.servers], workers=6, timeout_s=0.15) as writers:
        for _ in range(rounds):
            writers.wait_for_more(200)
            leader = _leader(cluster)
            killed = time.monotonic()
            leader.kill()
            failovers.append(writers.first_acknowledged_after(killed, 30) - killed)
            writers.wait_for_more(50)
            leader.start().wait_ready()
        writers.wait_for_more(200)
        writers.stop()
        applied = _same_everywhere(cluster, writers.writes())
    median, longest = statistics.median(failovers), max(failovers)
    with capsys.disabled():
        print(f"\n  {rounds} x kill -9 of the leader: {load.totals(writers.writes())};"
              f" {applied} in the history\n  fail-over: median {median:.2f} s, longest {longest:.2f} s"
              f" (all: {', '.join(f'{f:.2f}' for f in failovers)})")
    assert median < MEDIAN_FAILOVER_S and longest < LONGEST_FAILOVER_S


def test_the_loss_of_the_leader_loses_nothing(make_cluster, capsys):
    _kill_leaders(make_cluster(3), 5, capsys)


@pytest.mark.long
def test_the_loss_of_the_leader_loses_nothing_for_long(make_cluster, capsys):
    _kill_leaders(make_cluster(3), 50, capsys)


def test_the_loss_of_all_members_at_once_loses_nothing(make_cluster):
    """A power cut: all three end at once, under load, and come back from their disks."""
    cluster = make_cluster(3)
    with load.Load([s.endpoint for s in cluster.servers], workers=6, timeout_s=0.5) as writers:
        for _ in range(2):
            writers.wait_for_more(200)
            for server in cluster.servers:
                server.process.kill()
            for server in cluster.servers:
                server.wait_exit()
            for server in cluster.servers:
                server.start()
            for server in cluster.servers:
                server.wait_ready()
        writers.wait_for_more(100)
        writers.stop()
        _same_everywhere(cluster, writers.writes())
