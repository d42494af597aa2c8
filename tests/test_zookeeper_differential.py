"""Random ZooKeeper requests against Debian's ZooKeeper and the server under test, byte by byte where bytes can be.

A failure prints the command that repeats it: WITAN_SEED=n WITAN_STEPS=n, and WITAN_KEEP=i,j,... which does only those
steps of the script. WITAN_SHRINK_S=n is how long a failure is made smaller (60; 0 leaves it as it is). Debian's
ZooKeeper is 3.8.0 and the server under test follows 3.9: what differs for that reason stands in KNOWN_DIFFERENCES, is
kept out of the random scripts or excused there, and has a test of its own below that pins both sides.
"""

import os
import re
import struct
import time

import pytest

import zk_client as zk
import zookeeper_differential as differential
import zookeeper_proxy
import zookeeper_script
import zookeeper_server

KNOWN_DIFFERENCES = {
    "zxids": "Failed writes and ends of sessions consume a zxid there and none here: the order is compared.",
    "sets": "Children, ephemerals, identities and what closing a session deletes come in any order there.",
    "zxid of an event": "-1 in 3.8, the zxid of the change since 3.9.",
    "missed events": "setWatches2 tells persistent watchers here what happened since their zxid, as far as history"
                     " goes.",
    "exists without READ": "3.8 tells whether a node exists, 3.8.4 and 3.9.2 refuse (ZOOKEEPER-2590).",
    "news without READ": "3.8 tells whoever sets watches again what became of nodes that he may not read.",
    "a path without a slash": "checkWatches and removeWatches of 3.8 fail with -5 for it once anybody watches"
                              " recursively.",
    "modes of a watch": "A second mode for a path replaces the first in 3.8; since 3.9 they live side by side, and"
                        " kinds 1 and 2 of checkWatches and removeWatches mean one-shot watches alone.",
    "watches of others": "checkWatches of 3.8 finds a watch where another connection has one, or had one.",
    "a wrong password": "3.8 ends the session's open connection before it looks at the password.",
    "a moved session": "3.8 may leave the connection open from which a session moved, when an earlier one of the"
                       " session has just broken: forgetting that one, it forgets the wrong one.",
    "after an error": "3.8 sometimes sends a body with an error code; clients skip it.",
    "config": "/zookeeper/config has no data in a stand-alone 3.8; here it names the members.",
}

NORMAL_SEEDS = [1, 2, 3, 4]
NORMAL_STEPS = 1000
LONG_SEEDS = list(range(100, 140))
LONG_STEPS = 3000
SESSIONS = {"min_session_ms": 30_000, "max_session_ms": 600_000}  # so that none ends on its own


class Pair:
    """The reference and the subject, or what stands in for it."""

    def __init__(self, make_zookeeper, kind=None, spoil=None, **options):
        clusters = [make_zookeeper(1, each, start=False, **(SESSIONS | options)) for each in ("zookeeper", kind)]
        self.servers = [cluster[0] for cluster in clusters]
        for server in self.servers:
            server.start()
        for server in self.servers:
            server.wait_ready()
        self.endpoints = [server.zookeeper_endpoint for server in self.servers]
        self.proxy = zookeeper_proxy.Proxy(self.endpoints[1], spoil) if spoil else None
        if spoil:
            self.endpoints[1] = self.proxy.endpoint
        self.excuse = self.servers[1].kind == "witan"

    def run(self, steps):
        """None, or (what went wrong, the steps that were done)."""
        run = differential.Run(self.endpoints, self.excuse)
        try:
            run.go(steps)
            return None
        except (differential.Difference, OSError, zk.Closed) as error:
            dead = [s.kind for s in self.servers if not s.running()]
            return differential.Difference(f"{dead} ended") if dead else error, run.trace
        finally:
            run.close()

    def close(self):
        if self.proxy:
            self.proxy.close()
        for server in self.servers:
            server.kill()


def _once(make_pair, steps):
    pair = make_pair()
    try:
        return pair.run(steps)
    finally:
        pair.close()


def _shrunk(make_pair, steps, budget_s):
    """Fewer steps, as (index, step), after which the two servers still differ; what time allows."""
    deadline = time.monotonic() + budget_s

    def fails(some):
        return time.monotonic() < deadline and _once(make_pair, [step for _, step in some]) is not None

    for last in (4, 16, 64, 256):
        if last < len(steps) and fails(steps[-last:]):
            steps = steps[-last:]
            break
    size = len(steps) // 2
    while size and time.monotonic() < deadline:
        at = 0
        while at < len(steps):
            fewer = steps[:at] + steps[at + size:]
            if fewer and fails(fewer):
                steps = fewer
            else:
                at += size
        size //= 2
    return steps


def _check(make_pair, seed, count):
    """Fails with everything that is needed to see and to repeat the difference."""
    script = list(enumerate(zookeeper_script.Script(seed).steps(count)))
    if "WITAN_KEEP" in os.environ:
        script = [script[int(i)] for i in os.environ["WITAN_KEEP"].split(",")]
    outcome = _once(make_pair, [step for _, step in script])
    if outcome is None:
        return
    error, trace = outcome
    lines = [f"seed {seed}, step {len(trace)} of {len(script)}: {type(error).__name__}: {error}", "the last steps:"]
    lines += [f"  {step}" for step in trace[-8:]]
    small = _shrunk(make_pair, script[:len(trace)], int(os.environ.get("WITAN_SHRINK_S", 60)))
    lines += ["the steps that are enough:"] + [f"  {step}" for _, step in small] if len(small) < 40 else []
    lines.append(f"repeat it: WITAN_SEED={seed} WITAN_STEPS={count} WITAN_KEEP={','.join(str(i) for i, _ in small)}"
                 " /usr/bin/python3 -m pytest tests/test_zookeeper_differential.py -k test_random_operations")
    pytest.fail("\n".join(lines), pytrace=False)


def _seeds(usual):
    return [int(os.environ["WITAN_SEED"])] if "WITAN_SEED" in os.environ else usual


@pytest.mark.parametrize("seed", _seeds(NORMAL_SEEDS))
def test_random_operations(seed, make_zookeeper):
    _check(lambda: Pair(make_zookeeper), seed, int(os.environ.get("WITAN_STEPS", NORMAL_STEPS)))


@pytest.mark.long
@pytest.mark.parametrize("seed", LONG_SEEDS)
def test_many_random_operations(seed, make_zookeeper):
    _check(lambda: Pair(make_zookeeper), seed, LONG_STEPS)


# ---------------------------------------------------------------- the tester itself


def test_the_tester_finds_the_original_equal_to_itself(make_zookeeper):
    assert _once(lambda: Pair(make_zookeeper, "zookeeper"), zookeeper_script.Script(11).steps(400)) is None


_STAT_OPS = {zk.EXISTS: 16, zk.SET_DATA: 16, zk.SET_ACL: 16}  # where the Stat stands in their replies


def _add_to_stat(offset, size):
    """Adds one to a field of the Stat in the replies of exists, setData and setACL."""
    def fault(op, frame):
        if op in _STAT_OPS and len(frame) == 84:
            at = _STAT_OPS[op] + offset
            raised = int.from_bytes(frame[at:at + size], "big") + 1
            frame = frame[:at] + raised.to_bytes(size + 1, "big")[-size:] + frame[at + size:]
        return [frame]
    return fault


def _replace_error(code, other):
    def fault(op, frame):
        if isinstance(op, int) and frame[12:16] == zk.i32(code):
            frame = frame[:12] + zk.i32(other) + frame[16:]
        return [frame]
    return fault


def _swallow_children_events(op, frame):
    is_children = op == zookeeper_proxy.NOTIFICATION and frame[16:20] == zk.i32(zk.CHILDREN_CHANGED)
    return [] if is_children else [frame]


def _repeat_events(op, frame):
    return [frame, frame] if op == zookeeper_proxy.NOTIFICATION else [frame]


def _late_events():
    """An event comes behind the reply that it should precede."""
    held = []

    def fault(op, frame):
        if op == zookeeper_proxy.NOTIFICATION:
            held.append(frame)
            return []
        frames = [frame, *held] if op in (zk.CREATE, zk.SET_DATA, zk.DELETE) else [*held, frame]
        held.clear()
        return frames
    return fault


def _older_header(op, frame):
    """Reads say that they are older than they are."""
    if op == zk.GET_DATA and frame[12:16] == zk.i32(0):
        zxid = struct.unpack(">q", frame[4:12])[0]
        frame = frame[:4] + zk.i64(max(1, zxid - 40)) + frame[12:]
    return [frame]


def _null_for_empty(op, frame):
    if op == zk.GET_DATA and frame[12:20] == zk.i32(0) * 2:
        frame = frame[:16] + zk.i32(-1) + frame[20:]
    return [frame]


def _close_after_errors(op, frame):
    return [None] if frame[12:16] == zk.i32(zk.MARSHALLING_ERROR) and isinstance(op, int) else [frame]


def _other_password(op, frame):
    return [frame[:20] + b"\x55" + frame[21:]] if op == zookeeper_proxy.CONNECT else [frame]


def _shorter_timeout(op, frame):
    if op == zookeeper_proxy.CONNECT and frame[8:16] != bytes(8):
        frame = frame[:4] + zk.i32(struct.unpack(">i", frame[4:8])[0] - 1) + frame[8:]
    return [frame]


def _stop_answering_sync(op, frame):
    return [] if op == zk.SYNC else [frame]


FAULTS = {
    "czxid": _add_to_stat(7, 1), "mtime": _add_to_stat(24, 8), "version": _add_to_stat(32, 4),
    "cversion": _add_to_stat(36, 4), "aversion": _add_to_stat(40, 4), "owner": _add_to_stat(44, 8),
    "children": _add_to_stat(56, 4), "pzxid": _add_to_stat(60, 8),
    "error code": _replace_error(zk.NOT_EMPTY, zk.BAD_VERSION), "no such error": _replace_error(zk.NO_NODE, 0),
    "swallowed events": _swallow_children_events, "repeated events": _repeat_events, "late events": _late_events(),
    "older header": _older_header, "null for empty": _null_for_empty, "closed on -5": _close_after_errors,
    "password": _other_password, "timeout": _shorter_timeout, "silence": _stop_answering_sync,
}


@pytest.fixture(scope="module")
def two_originals(tmp_path_factory):
    clusters = [zookeeper_server.Cluster("zookeeper", 1, tmp_path_factory.mktemp("original"),
                                         zookeeper_server.Options(**SESSIONS)) for _ in range(2)]
    for cluster in clusters:
        cluster.start()
    yield [cluster[0].zookeeper_endpoint for cluster in clusters]
    for cluster in clusters:
        cluster.dispose()


def _compare(endpoints, steps):
    run = differential.Run(endpoints, excuse=False)
    try:
        run.go([zookeeper_script.Step("sweep", 0, (path,)) for path in ("/", "/zookeeper/quota")] + steps)
    finally:
        run.close()


# The ones that a tester overlooks most easily; the rest takes its time.
NORMAL_FAULTS = ("cversion", "swallowed events", "late events", "older header", "silence")


@pytest.mark.parametrize("name", [
    name if name in NORMAL_FAULTS else pytest.param(name, marks=pytest.mark.long) for name in FAULTS])
def test_the_tester_notices(name, two_originals, monkeypatch):
    """One thing is wrong with what the second original says. Without the fault there is nothing to notice."""
    _compare(two_originals, zookeeper_script.Script(20).steps(15))
    monkeypatch.setattr(zk.Connection, "PATIENCE_S", 1)
    with zookeeper_proxy.Proxy(two_originals[1], FAULTS[name]) as proxy:
        with pytest.raises(differential.Difference):
            _compare([two_originals[0], proxy.endpoint], zookeeper_script.Script(21).steps(400))


# ---------------------------------------------------------------- directed: the same on both


@pytest.fixture(scope="module")
def servers(tmp_path_factory):
    """(the original, the subject), with sessions short enough to wait for."""
    pair = []
    options = {"tick_ms": 500, "min_session_ms": 1000}
    for kind in ("zookeeper", zookeeper_server.subject_kind()):
        cluster = zookeeper_server.Cluster(
            kind, 1, tmp_path_factory.mktemp(kind), zookeeper_server.Options(**options))
        pair.append(cluster[0].start())
    for server in pair:
        server.wait_ready()
    yield pair
    for server in pair:
        server.dispose()


@pytest.fixture
def both(servers, request):
    """(name, connection) of each server, with a node of the test's own at /<test>."""
    pair = [("zookeeper", zk.connect(servers[0].zookeeper_endpoint)),
            (zookeeper_server.subject_kind(), zk.connect(servers[1].zookeeper_endpoint))]
    for _, c in pair:
        c.value(zk.create(f"/{request.node.name}"))
        c.home = f"/{request.node.name}"
    yield pair
    for _, c in pair:
        c.close()


def _endpoint(c):
    return "%s:%s" % c.socket.getpeername()


def _another(c, **fields):
    return zk.connect(_endpoint(c), **fields)


def test_everything_in_one_segment_is_answered_in_order(both):
    for _, c in both:
        with zk.Connection(_endpoint(c)) as fresh:
            packet = fresh.connect_packet()
            requests = [zk.auth("digest", b"u:p"), zk.set_watches(0, (c.home,), ("/none",), ("/gone",)),
                        zk.get_data(c.home), zk.ping(), zk.get_data("/none"), zk.close_session()]
            fresh.send_bytes(zk.i32(len(packet)) + packet + b"".join(fresh.pack(r) for r in requests))
            assert fresh.connected().session
            heard = [fresh.next() for _ in range(8)]
            assert [x[:3] for x in heard[1:3]] == [(3, 3, c.home), (2, 3, "/gone")]
            replies = [x for x in heard if isinstance(x, zk.Reply)]
            assert [(r.xid, r.err) for r in replies] == [(-4, 0), (-8, 0), (1, 0), (-2, 0), (2, -101), (3, 0)]
            assert replies[0].zxid == 0
            fresh.wait_closed()


def test_the_largest_packet(both):
    """1,048,575 bytes are a packet, one more is none."""
    room = 0xFFFFF - len(zk.set_data("/" * 0, b"").body) - 8
    for _, c in both:
        size = room - len(c.home)
        assert c.value(zk.set_data(c.home, b"x" * size)).data_length == size
        c.value(zk.set_data(c.home, b""))
        c.send(zk.set_data(c.home, b"x" * (size + 1)))
        c.wait_closed()


def test_an_expired_session_takes_its_nodes_along(both):
    for _, c in both:
        owner = _another(c, timeout_ms=1000)
        paths = [f"{c.home}/{name}" for name in "abc"]
        for path in paths:
            owner.value(zk.create(path, b"", zk.OPEN, zk.EPHEMERAL))
        c.value(zk.add_watch(c.home, 1))
        before = c.value(zk.exists(c.home))
        owner.close()
        events = [c.event(10) for _ in paths]
        assert sorted(e.path for e in events) == paths and {e.type for e in events} == {zk.NODE_DELETED}
        after = c.value(zk.exists(c.home))
        assert (after.num_children, after.cversion) == (0, before.cversion + 3)
        assert after.pzxid > before.pzxid
        with zk.Connection(_endpoint(c)) as late:
            refused = late.connect(session=owner.session, password=owner.password)
            assert refused == (0, 0, 0, zk.NO_PASSWORD, False)
            late.wait_closed()


def test_a_session_that_pings_lives(both):
    for _, c in both:
        owner = _another(c, timeout_ms=1000)
        owner.value(zk.create(c.home + "/e", b"", zk.OPEN, zk.EPHEMERAL))
    until = time.monotonic() + 3
    owners = [c.value(zk.exists(c.home + "/e")).ephemeral_owner for _, c in both]
    idle = []
    for (_, c), session in zip(both, owners):
        idle.append(_another(c, session=session, password=zk.session_password(session), timeout_ms=1000))
    while time.monotonic() < until:
        for (_, c), connection in zip(both, idle):
            assert connection.call(zk.ping()).xid == zk.PING_XID
            assert c.call(zk.ping()).err == 0
        time.sleep(0.2)  # less than the session's time: that is what this is about
    for (_, c), connection in zip(both, idle):
        assert c.value(zk.exists(c.home + "/e")).ephemeral_owner == connection.session


def test_a_session_moves(both):
    """Whoever attaches last has it; the connection before is ended, its watches with it."""
    for _, c in both:
        first = _another(c)
        first.value(zk.get_data(c.home, True))
        second = _another(c, session=first.session, password=first.password)
        first.wait_closed(5)
        assert second.session == first.session and second.password == first.password
        c.value(zk.set_data(c.home, b"1"))
        second.value(zk.sync())
        assert not second.events


def test_a_server_that_is_behind_says_nothing(both):
    for _, c in both:
        with zk.Connection(_endpoint(c)) as ahead, pytest.raises(zk.Closed):
            ahead.connect(last_zxid=1 << 60)


def test_nobody_hears_of_what_it_may_not_read(both):
    """CVE-2024-23944, which Debian's 3.8 has mended."""
    for _, c in both:
        path = c.home + "/closed"
        c.value(zk.add_watch(c.home, 1))
        c.value(zk.create(path, b"", (zk.Acl(zk.ALL & ~zk.READ, "world", "anyone"),)))
        c.value(zk.set_data(path, b"1"))
        c.value(zk.delete(path))
        c.value(zk.set_data(c.home, b"1"))
        assert [event.path for event in c.events] == [c.home]


FOUR_LETTER_WORDS = ("ruok", "srvr", "stat", "conf", "cons", "envi", "mntr", "dump", "wchs", "wchc", "wchp", "dirs",
                     "isro", "crst", "srst")


def _shape(text):
    """The lines of an answer without what may differ: numbers, addresses, version, and mntr's choice of metrics."""
    text = re.sub(r"version[:=].*|0x[0-9a-f]+|[-\d][\d.]*", "#", text)
    return [re.split(r"[=\t]", line)[0] for line in text.splitlines()]


@pytest.mark.parametrize("word", FOUR_LETTER_WORDS)
def test_a_four_letter_word_has_its_shape(both, word):
    said = []
    for _, c in both:
        c.value(zk.get_data(c.home, True))
        said.append(zk.four_letter_word(_endpoint(c), word))
    if word in ("ruok", "isro", "crst", "srst"):
        assert said[0] == said[1]
    elif word in ("mntr", "conf", "envi"):
        keys = [dict.fromkeys(_shape(text)) for text in said]
        wanted = {"mntr": "version server_state znode_count watch_count ephemerals_count num_alive_connections"
                          " outstanding_requests packets_received packets_sent avg_latency max_latency min_latency"
                          " approximate_data_size open_file_descriptor_count max_file_descriptor_count uptime"
                          " global_sessions local_sessions",
                  "conf": "clientPort dataDir dataLogDir tickTime maxClientCnxns minSessionTimeout maxSessionTimeout"
                          " serverId",
                  "envi": "host.name os.name os.arch os.version user.name user.home user.dir"}[word].split()
        prefix = "zk_" if word == "mntr" else ""
        for name in wanted:
            if prefix + name in keys[0]:
                assert prefix + name in keys[1], f"{word} does not say {prefix + name}:\n{said[1]}"
    else:
        wanted, got = (set(_shape(text)) for text in said)
        # Connections and sessions come and go between the two questions: their lines are of one shape.
        assert wanted == got, f"\n{said[0]}\n---\n{said[1]}"


def test_the_version_is_one_that_clients_take(both):
    for _, c in both:
        assert re.match(r"Zookeeper version: \d+\.\d+\.\d+", zk.four_letter_word(_endpoint(c), "srvr"))
        assert re.search(r"^zookeeper\.version=\d+\.\d+\.\d+", zk.four_letter_word(_endpoint(c), "envi"), re.M)
        assert re.search(r"^zk_version\t\d+\.\d+\.\d+", zk.four_letter_word(_endpoint(c), "mntr"), re.M)


def test_a_word_that_is_not_allowed(make_zookeeper):
    said = []
    for kind in ("zookeeper", None):
        server = make_zookeeper(1, kind, four_letter_words="srvr,isro")[0]
        said.append([zk.four_letter_word(server.zookeeper_endpoint, word) for word in ("ruok", "mntr", "isro")])
    assert said[0] == said[1] == [f"{word} is not executed because it is not in the whitelist.\n"
                                  for word in ("ruok", "mntr")] + ["rw"]


# ---------------------------------------------------------------- directed: known differences


def _is_38(name):
    return name == "zookeeper"


def test_difference_zxid_of_an_event(both):
    for name, c in both:
        c.value(zk.get_data(c.home, True))
        stat = c.value(zk.set_data(c.home, b"1"))
        assert c.event().zxid == (-1 if _is_38(name) else stat.mzxid)
        c.value(zk.set_watches(0, (c.home,)))
        assert c.event().zxid == -1


def test_difference_missed_events(both):
    for name, c in both:
        with _another(c) as watcher:
            seen = watcher.value(zk.exists(c.home)).czxid
        for child in ("/a", "/b"):
            c.value(zk.create(c.home + child))
        c.value(zk.set_data(c.home + "/a", b"1"))
        c.value(zk.delete(c.home + "/b"))
        with _another(c) as watcher:
            assert watcher.error(zk.set_watches2(seen, (), (), (), (), (c.home,))) == zk.OK
            told = [(event.type, event.path.removeprefix(c.home)) for event in watcher.events]
            assert told == ([] if _is_38(name) else [(1, "/a"), (1, "/b"), (3, "/a"), (2, "/b")])


def test_difference_exists_without_read(both):
    for name, c in both:
        path = c.home + "/closed"
        c.value(zk.create(path, b"", (zk.Acl(zk.ADMIN, "world", "anyone"),)))
        assert c.error(zk.get_data(path)) == zk.NO_AUTH
        assert c.error(zk.exists(path)) == (zk.OK if _is_38(name) else zk.NO_AUTH)
        assert c.error(zk.exists(c.home + "/none")) == zk.NO_NODE


def test_difference_news_without_read(both):
    for name, c in both:
        path = c.home + "/closed"
        c.value(zk.create(path, b"", (zk.Acl(zk.ADMIN, "world", "anyone"),)))
        assert c.error(zk.set_watches(0, (), (path,), ())) == zk.OK
        assert [event.type for event in c.events] == ([zk.NODE_CREATED] if _is_38(name) else [])
        c.events.clear()


def test_difference_a_path_without_a_slash(both):
    for name, c in both:
        c.value(zk.add_watch(c.home, 1))
        assert c.error(zk.check_watches("a", 3)) == (zk.MARSHALLING_ERROR if _is_38(name) else zk.NO_WATCHER)


def test_difference_modes_of_a_watch(both):
    for name, c in both:
        c.value(zk.add_watch(c.home, 0))
        c.value(zk.get_data(c.home, True))
        for data in (b"1", b"2"):
            c.value(zk.set_data(c.home, data))
        told = len(c.events)
        assert told == (1 if _is_38(name) else 2)
        assert c.error(zk.check_watches(c.home, 4)) == (zk.MARSHALLING_ERROR if _is_38(name) else zk.OK)
        assert c.error(zk.remove_watches(c.home, 3)) == zk.OK


def test_difference_watches_of_others(both):
    for name, c in both:
        other = _another(c)
        other.value(zk.get_data(c.home, True))
        assert c.error(zk.check_watches(c.home, 2)) == (zk.OK if _is_38(name) else zk.NO_WATCHER)
        assert c.error(zk.remove_watches(c.home, 2)) == zk.NO_WATCHER


def test_difference_a_wrong_password(both):
    for name, c in both:
        holder = _another(c)
        with zk.Connection(_endpoint(c)) as thief:
            assert thief.connect(session=holder.session, password=b"x" * 16).session == 0
            thief.wait_closed()
        if _is_38(name):
            holder.wait_closed()
        else:
            assert holder.call(zk.ping()).err == 0


def test_difference_after_an_error(both):
    for name, c in both:
        reply = c.call(zk.multi([zk.delete("/none"), zk.set_data(None)]))
        assert reply.err == zk.MARSHALLING_ERROR
        assert bool(reply.body) == _is_38(name)


def test_difference_config(both):
    for name, c in both:
        data, _ = c.value(zk.get_data("/zookeeper/config"))
        if _is_38(name):
            assert data == b""
        else:
            assert re.search(rb"^version=[0-9a-f]+$", data.splitlines()[-1])
