"""Directories that Debian's ZooKeeper writes, read and taken over by `witan import zookeeper`.

What is read, and what witan serves afterwards, must be what the original answered before it ended: every node with its
data, Stat, ACL and children, and the sessions, which go on. ZooKeeper's own digest is compared by the reader itself,
after every transaction.
"""

import base64
import json
import random
import shutil
import subprocess
import time

import pytest

import client
import harness
import zk_client as zk
import zookeeper_server

if absent := zookeeper_server.missing():
    pytest.skip(f"Debian's ZooKeeper is not installed: {absent} is missing", allow_module_level=True)

LISTS = [
    zk.OPEN,
    (zk.Acl(zk.READ, "world", "anyone"),),
    (zk.Acl(zk.READ | zk.ADMIN, "digest", zk.digest_id("user:secret")),),
    (zk.Acl(zk.READ, "ip", "10.1.0.0/16"), *zk.OPEN),
]
STEPS = 400
SMALL = ("-Dzookeeper.snapCount=80", "-Dzookeeper.preAllocSize=64")  # many snapshots, many logs
# Known: the members of the cluster differ, and what statistics of a quota say is counted by whoever is asked.
NOT_COMPARED = ("/zookeeper/config",)


def run_import(directory, *more):
    words = [harness.require_witan(), "import", "zookeeper", str(directory), *more]
    return subprocess.run(words, capture_output=True, text=True, timeout=60)


def read(directory, *more):
    done = run_import(directory, "--dry-run", "--json", *more)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def connect(server, session=0, password=zk.NO_PASSWORD):
    """A connection with a session of its own, or with one that somebody left, and with the superuser's rights."""
    connection = zk.connect(server.zookeeper_endpoint, session=session, password=password)
    connection.value(zk.auth("digest", zookeeper_server.SUPER.encode()))
    return connection


class Life:
    """Random writes of every kind through two sessions. Refused writes are transactions as well."""

    def __init__(self, server, seed, names):
        self.rng = random.Random(seed)
        self.names = names
        self.clients = [connect(server), connect(server)]

    @property
    def sessions(self):
        return {c.session for c in self.clients}

    def disconnect(self):
        """Leaves the sessions as they are: the connections go, and nothing says good-bye."""
        for connection in self.clients:
            connection.close()

    def reconnect(self, server):
        self.clients = [connect(server, c.session, c.password) for c in self.clients]

    def path(self):
        return "/" + "/".join(self.rng.choice(self.names) for _ in range(self.rng.randint(1, 3)))

    def data(self):
        return self.rng.choice([None, b"", b"x", b"\x00\xff", b"y" * self.rng.randint(1, 2000)])

    def create(self):
        make, flags = self.rng.choice([
            (zk.create, zk.PERSISTENT), (zk.create, zk.EPHEMERAL), (zk.create, zk.SEQUENTIAL),
            (zk.create2, zk.PERSISTENT), (zk.create2, zk.EPHEMERAL_SEQUENTIAL), (zk.create_container, zk.CONTAINER),
            (zk.create_ttl, zk.TTL),
        ])
        more = {"ttl_ms": self.rng.randint(10**7, 2**40 - 1)} if make is zk.create_ttl else {}
        return make(self.path(), data=self.data(), acls=self.rng.choice(LISTS), flags=flags, **more)

    def multi(self):
        parts = []
        for _ in range(self.rng.randint(0, 4)):
            kind = self.rng.randrange(4)
            if kind == 0:
                parts.append(zk.create(self.path(), b"multi", flags=self.rng.choice([zk.PERSISTENT, zk.EPHEMERAL])))
            elif kind == 1:
                parts.append(zk.set_data(self.path(), b"multi"))
            elif kind == 2:
                parts.append(zk.delete(self.path()))
            else:
                parts.append(zk.check("/", -1))
        return zk.multi(parts)

    def replace_session(self, server):
        index = self.rng.randrange(len(self.clients))
        self.clients[index].call(zk.close_session())
        self.clients[index].close()
        self.clients[index] = connect(server)

    def step(self, server):
        connection = self.rng.choice(self.clients)
        kind = self.rng.randrange(40)
        if kind < 18:
            connection.call(self.create())
        elif kind < 25:
            connection.call(zk.set_data(self.path(), self.data()))
        elif kind < 30:
            connection.call(zk.delete(self.path()))
        elif kind < 33:
            connection.call(zk.set_acl(self.path(), self.rng.choice(LISTS)))
        elif kind < 39:
            connection.call(self.multi())
        else:
            self.replace_session(server)

    def live(self, server, steps):
        for _ in range(steps):
            self.step(server)


def set_quota(connection, path):
    """As zkCli.sh's setquota does."""
    quota = "/zookeeper/quota" + path
    connection.value(zk.create(quota))
    connection.value(zk.create(quota + "/zookeeper_limits", b"count=1000,bytes=-1"))
    connection.value(zk.create(quota + "/zookeeper_stats", b"count=0,bytes=0"))


def answers(connection):
    """Everything the server serves: {path: (data, Stat, ACL, children)}."""
    found = {}
    rest = ["/"]
    while rest:
        path = rest.pop()
        data, stat = connection.value(zk.get_data(path))
        children = connection.value(zk.get_children(path))
        found[path] = (data, stat, connection.value(zk.get_acl(path))[0], sorted(children))
        rest += [path.rstrip("/") + "/" + child for child in children]
    return found


def ephemerals(connection):
    return sorted(connection.value(zk.get_ephemerals("/")))


def assert_same(imported, found):
    """What was read against what was answered."""
    nodes = {node["path"]: node for node in imported["nodes"]}
    assert list(nodes) == sorted(nodes, key=lambda path: path.encode())
    assert set(nodes) == set(found)
    for path, (data, stat, acl, children) in found.items():
        node = nodes[path]
        assert (None if node["data"] is None else base64.b64decode(node["data"])) == data, path
        seen = (stat.czxid, stat.mzxid, stat.ctime, stat.mtime, stat.version, stat.cversion, stat.aversion,
                stat.ephemeral_owner, stat.num_children, stat.pzxid)
        read_back = (int(node["czxid"], 16), int(node["mzxid"], 16), node["ctime"], node["mtime"], node["version"],
                     node["cversion"], node["aversion"], signed(node["session"]), node["children"],
                     int(node["pzxid"], 16))
        assert read_back == seen, path
        assert len(children) == node["children"], path
        assert [zk.Acl(a["perms"], a["scheme"], a["id"]) for a in imported["acls"][node["acl"]]] == acl, path


def signed(hexadecimal):
    number = int(hexadecimal, 16)
    return number - 2**64 if number >= 2**63 else number


def assert_serves(connection, found):
    """What is answered now against what was answered before."""
    now = answers(connection)
    assert set(now) == set(found)
    for path in found:
        if path not in NOT_COMPARED:
            assert now[path] == found[path], path


@pytest.fixture
def start(make_zookeeper):
    """start(*options of java, **options): a started original."""
    def start_one(*extra, size=1, **options):
        return make_zookeeper(size, kind="zookeeper", extra=(*SMALL, *extra), **options)[0]

    return start_one


@pytest.fixture
def take_over(make_zookeeper):
    """take_over(server): witan, started on what a killed original left. Its port is a new one, or `port`."""
    def import_and_start(server, port=None, **options):
        cluster = make_zookeeper(1, kind="witan", start=False, **options)
        member = cluster[0]
        if port:
            member.zookeeper_port.release()
            member.zookeeper_port = port
        done = run_import(server.data_dir, *target(member))
        assert done.returncode == 0, done.stderr
        cluster.report = done.stdout
        return cluster.start()

    return import_and_start


def target(member):
    return ("--data-dir", str(member.data_dir), "--name", member.name, "--peer-listen", member.peer_port.address,
            "--initial-cluster-token", member.options.token)


def fill(server, seed, names=("a", "b", "c", "d")):
    """A life with a restart in its middle. Returns (answers, life) with the server killed, the sessions open."""
    life = Life(server, seed, names)
    life.clients[0].call(zk.create("/" + names[0]))
    set_quota(life.clients[0], "/" + names[0])
    life.live(server, STEPS)
    sessions = life.sessions
    life.disconnect()  # who reconnects while it starts may never get an answer from 3.8.0
    server.stop()
    server.start().wait_ready(60)
    life.reconnect(server)
    assert sessions == life.sessions
    life.live(server, STEPS)
    for i, connection in enumerate(life.clients):
        connection.value(zk.create(f"/mine-{i}-", str(i).encode(), flags=zk.EPHEMERAL_SEQUENTIAL))
    life.clients[0].value(zk.set_data("/", b"end"))  # ends in a transaction with a digest; refused ones have none
    found = answers(life.clients[0])
    server.kill()
    life.disconnect()
    return found, life


def snapshots(server):
    return sorted((server.data_dir / "version-2").glob("snapshot.*"), key=lambda p: int(p.name.split(".")[1], 16))


def check_whole(server, found, life):
    imported = read(server.data_dir)
    assert_same(imported, found)
    assert life.sessions <= {signed(session["id"]) for session in imported["sessions"]}
    assert all(session["timeoutMs"] == 30000 for session in imported["sessions"])
    return imported


# ------------------------------------------------------------------ reading


@pytest.mark.parametrize("packing", ["", "gz", "snappy"])
def test_what_is_read_is_what_the_server_served(start, packing):
    server = start(*([f"-Dzookeeper.snapshot.compression.method={packing}"] if packing else []))
    found, life = fill(server, seed=len(packing))
    assert all(path.name.endswith("." + packing) for path in snapshots(server)) or not packing
    imported = check_whole(server, found, life)
    kinds = {node["kind"] for node in imported["nodes"]}
    assert kinds == {"ordinary", "ephemeral", "container", "ttl"}
    assert int(imported["digests"]["provenZxid"], 16) == int(imported["lastZxid"], 16)


def test_every_snapshot_with_the_logs_behind_it_gives_the_same_tree(start):
    """The snapshots are written while others write, so they are fuzzy; the first one is empty, so the logs are replayed
    from the first transaction on."""
    server = start()
    found, life = fill(server, seed=5)
    names = snapshots(server)
    assert len(names) > 3
    transactions = set()
    for newest in reversed(names):
        imported = check_whole(server, found, life)
        assert imported["snapshot"]["path"] == str(newest)
        assert int(imported["digests"]["provenZxid"], 16) == int(imported["lastZxid"], 16)
        transactions |= set(imported["transactions"])
        newest.unlink()
    expected = {"create", "create2", "createContainer", "createTTL", "delete", "setData", "setACL", "multi", "error",
                "createSession", "closeSession", "multi/create", "multi/setData", "multi/delete", "multi/check"}
    assert expected <= transactions
    done = run_import(server.data_dir, "--dry-run")
    assert done.returncode == 1 and "has no snapshot" in done.stderr and not done.stdout


@pytest.mark.parametrize("encoding", ["US-ASCII", "UTF-8"])
def test_the_digest_depends_on_the_encoding_of_the_server(start, encoding):
    server = start(f"-Dfile.encoding={encoding}")
    found, life = fill(server, seed=9, names=("a", "k\u00f6nig", "\u738b", "b"))
    imported = check_whole(server, found, life)
    assert int(imported["digests"]["provenZxid"], 16) == int(imported["lastZxid"], 16)


def test_without_digests(start):
    server = start("-Dzookeeper.digest.enabled=false")
    found, life = fill(server, seed=11)
    imported = check_whole(server, found, life)
    assert imported["digests"] == {"snapshotCompared": False, "transactionsCompared": 0, "provenZxid": "0x0"}


def test_close_session_without_its_paths(start):
    server = start("-Dzookeeper.closeSessionTxn.enabled=false")
    check_whole(server, *fill(server, seed=12))


def test_the_log_that_zookeeper_cannot_read_any_more(start):
    """A check outside a multi is logged by 3.8.0, and no start gets past it (ZOOKEEPER-2623)."""
    server = start()
    connection = connect(server)
    connection.value(zk.create("/a", b"a"))
    found = answers(connection)
    connection.send_frame(zk.i32(99) + zk.i32(zk.CHECK) + zk.check("/a", 0).body)
    deadline = time.monotonic() + 20
    while "check" not in read(server.data_dir)["transactions"] and time.monotonic() < deadline:
        time.sleep(0.2)  # it gets no answer
    server.kill()
    connection.close()
    imported = read(server.data_dir)
    assert imported["transactions"]["check"] == 1
    assert_same(imported, found)
    with pytest.raises(RuntimeError):
        server.start().wait_ready(15)


def test_the_report_for_people(start):
    server = start()
    found, _ = fill(server, seed=14)
    done = run_import(server.data_dir, "--dry-run")
    assert done.returncode == 0, done.stderr
    assert f"read {snapshots(server)[-1]}: " in done.stdout
    assert f"nodes: {len(found)} (" in done.stdout
    assert "proof: the tree has ZooKeeper's digest" in done.stdout


# ------------------------------------------------------------------ taking over


def test_what_is_served_afterwards_is_what_the_original_served(start, take_over):
    server = start()
    found, life = fill(server, seed=21)
    cluster = take_over(server)
    assert f"nodes: {len(found)} (" in cluster.report and "proof: the tree has ZooKeeper's digest" in cluster.report
    life.reconnect(cluster[0])  # first: whoever holds a session has it no longer than its timeout
    assert_serves(life.clients[0], found)
    last_zxid = int(read(server.data_dir)["lastZxid"], 16)
    created, stat = life.clients[0].value(zk.create2("/after-", flags=zk.SEQUENTIAL))
    made = found["/"][1]  # its cversion is creations and deletions, so twice the creations but for the children
    assert created == f"/after-{(made.cversion + made.num_children) // 2:010d}"
    assert stat.czxid > last_zxid
    # A restart reads the same again, and the log behind it.
    life.disconnect()
    cluster[0].kill()
    cluster[0].start().wait_ready()
    life.reconnect(cluster[0])
    life.clients[0].value(zk.delete(created))
    now = answers(life.clients[0])
    for path in set(found) - {"/", *NOT_COMPARED}:
        assert now[path] == found[path], path
    life.disconnect()


def test_sessions_go_on_with_what_they_own(start, take_over):
    server = start()
    found, life = fill(server, seed=22)
    owned = {c.session: sorted(p for p, (_, stat, *_) in found.items() if stat.ephemeral_owner == c.session)
             for c in life.clients}
    assert all(owned.values())
    member = take_over(server)[0]
    first, second = life.clients
    with zk.Connection(member.zookeeper_endpoint) as stranger:
        assert stranger.connect(session=first.session, password=bytes(16)).session == 0
    again = connect(member, first.session, first.password)
    assert (again.session, again.password) == (first.session, first.password)
    assert ephemerals(again) == owned[first.session]
    # Its end takes what it owns along, and nothing of the other's.
    assert again.error(zk.close_session()) == zk.OK
    with connect(member, second.session, second.password) as other:
        assert ephemerals(other) == owned[second.session]
        assert not set(answers(other)) & set(owned[first.session])
        other.call(zk.close_session())


def test_a_session_that_nobody_claims_expires(start, take_over):
    server = start()
    connection = zk.connect(server.zookeeper_endpoint, timeout_ms=4000)
    connection.value(zk.create("/mine", flags=zk.EPHEMERAL))
    server.kill()
    connection.close()
    member = take_over(server)[0]
    with connect(member) as watcher:
        _, stat = watcher.value(zk.get_data("/mine", watch=True))
        assert stat.ephemeral_owner == connection.session
        event = watcher.event(timeout_s=30)
        assert (event.type, event.path) == (zk.NODE_DELETED, "/mine")
    with zk.Connection(member.zookeeper_endpoint) as late:
        assert late.connect(session=connection.session, password=connection.password).session == 0


def test_a_client_library_moves_along_without_noticing(start, take_over):
    """kazoo, with the address of the original: it sees a lost connection and then its session again."""
    kazoo = pytest.importorskip("kazoo.client", reason="Debian's python3-kazoo is not installed")
    server = start()
    library = kazoo.KazooClient(hosts=server.zookeeper_endpoint, timeout=30)
    states, seen = [], []
    library.start(timeout=20)
    try:
        library.create("/service", b"one")
        library.create("/service/me", b"here", ephemeral=True)
        library.add_listener(states.append)
        library.DataWatch("/service", lambda data, _: seen.append(data))
        session = library.client_id
        server.kill()
        member = take_over(server, port=server.client_port)[0]
        deadline = time.monotonic() + 30
        while not (states and states[-1] == "CONNECTED") and time.monotonic() < deadline:
            time.sleep(0.05)
        assert states == ["SUSPENDED", "CONNECTED"]
        assert library.client_id == session
        assert library.get("/service/me")[1].ephemeralOwner == session[0]
        with connect(member) as other:
            other.value(zk.set_data("/service", b"two"))
        while seen[-1:] != [b"two"] and time.monotonic() < deadline:
            time.sleep(0.05)
        assert seen == [b"one", b"two"]
    finally:
        library.stop()
        library.close()


def test_containers_and_ttl_nodes_end_here(start, take_over):
    server = start()
    with connect(server) as connection:
        connection.value(zk.create_container("/container"))
        connection.value(zk.create("/container/last"))
        connection.value(zk.create_ttl("/short", ttl_ms=1))
        connection.value(zk.create_ttl("/long", ttl_ms=10**9))
        connection.value(zk.set_data("/long", b"end"))
    server.kill()
    member = take_over(server, container_check_ms=200)[0]
    with connect(member) as connection:
        assert connection.error(zk.exists("/container")) == zk.OK
        connection.value(zk.delete("/container/last"))
        deadline = time.monotonic() + 20
        while {connection.error(zk.exists(p)) for p in ("/container", "/short")} != {zk.NO_NODE}:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        assert connection.error(zk.exists("/long")) == zk.OK


def test_the_directory_of_a_member_of_three(make_zookeeper, take_over):
    """Zxids of several epochs, a configuration, and a log that a leader and a follower wrote."""
    ensemble = make_zookeeper(3, kind="zookeeper", extra=SMALL)
    life = Life(ensemble[0], 31, ("a", "b", "c"))
    life.live(ensemble[0], 100)
    life.disconnect()
    leader = ensemble.leader()
    leader.kill()
    left = [s for s in ensemble.servers if s is not leader]
    for server in left:
        server.wait_ready(60)
    ensemble.leader()
    life.reconnect(left[0])
    life.live(left[0], 100)
    life.clients[0].value(zk.set_data("/", b"end"))
    found = answers(life.clients[0])
    life.disconnect()
    for server in left:
        server.kill()
    cluster = take_over(left[0])
    life.reconnect(cluster[0])
    assert_serves(life.clients[0], found)
    assert found["/"][1].mzxid >> 32 >= 2
    life.disconnect()


def test_members_join_what_was_imported(start, take_over):
    server = start()
    found, life = fill(server, seed=23)
    cluster = take_over(server)
    life.reconnect(cluster[0])
    joiner = cluster.new_member("n2")
    with client.Client(cluster[0].endpoint) as etcd:
        etcd.call("MemberAdd", peerURLs=[f"http://{joiner.peer_port.address}"], isLearner=True)
    joiner.start().wait_ready()
    with connect(joiner) as connection:
        connection.value(zk.sync("/"))
        assert_serves(connection, found)
    life.disconnect()


# ------------------------------------------------------------------ refusals


def test_a_damaged_directory_gives_nothing(start, tmp_path):
    server = start()
    fill(server, seed=13)
    copy = tmp_path / "copy"
    untouched = tmp_path / "witan"
    log = max((server.data_dir / "version-2").glob("log.*"), key=lambda p: int(p.suffix[1:], 16)).name
    for offset, complaint in ((3, "does not begin as"), (60, "checksum")):
        shutil.copytree(server.data_dir, copy)
        with open(copy / "version-2" / log, "r+b") as file:
            file.seek(offset)
            byte = file.read(1)[0]
            file.seek(offset)
            file.write(bytes([byte ^ 4]))
        for words in (("--dry-run", "--json"), ("--data-dir", str(untouched))):
            done = run_import(copy, *words)
            assert (done.returncode, done.stdout) == (1, ""), offset
            assert str(copy / "version-2" / log) in done.stderr and ", byte " in done.stderr, done.stderr
            assert complaint in done.stderr, done.stderr
            assert not untouched.exists()
        shutil.rmtree(copy)


def test_only_an_empty_directory_is_filled(start, take_over, tmp_path):
    server = start()
    with connect(server) as connection:
        connection.value(zk.create("/a", b"a"))
        server.kill()
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "notes.txt").write_text("mine")
    done = run_import(server.data_dir, "--data-dir", str(mine))
    assert (done.returncode, done.stdout) == (1, "") and "notes.txt" in done.stderr
    assert [path.name for path in mine.iterdir()] == ["notes.txt"]
    member = take_over(server)[0]
    for _ in range(2):  # in use, and stopped
        done = run_import(server.data_dir, *target(member))
        assert (done.returncode, done.stdout) == (1, "") and "is a member's already" in done.stderr
        member.stop()
    many = run_import(server.data_dir, "--data-dir", str(tmp_path / "none"), "--initial-cluster",
                      "n1=127.0.0.1:2380,n2=127.0.0.1:2480")
    assert many.returncode == 1 and "by one member alone" in many.stderr
    assert not (tmp_path / "none").exists()


def test_words_that_make_no_sense():
    done = run_import("/nowhere", "--json")
    assert done.returncode == 2 and "--json is for --dry-run" in done.stderr
    for words in (("--dry-run",), ("--data-dir", "/nowhere/either")):
        done = run_import("/nowhere", *words)
        assert done.returncode == 1 and "/nowhere" in done.stderr
