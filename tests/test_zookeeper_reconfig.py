"""/zookeeper/config and reconfig: the same changes of a running cluster of ours and of Debian's ZooKeeper, compared;
and what clients make of them. What is said of ports is not the same: members here have one for each other, not two.
"""

import pathlib
import re
import subprocess
import time

import pytest

import harness
import zk_client as zk
import zookeeper_server

CONFIG = "/zookeeper/config"
ZKCLI = pathlib.Path("/usr/share/zookeeper/bin/zkCli.sh")
LINE = re.compile(r"server\.(\d+)=([^:;]+):(\d+):(\d+):(participant|observer);([^:;]+):(\d+)")
WAIT_S = 60
NO_QUORUM, RECONFIG_DISABLED = -13, -123
ENABLED = {
    "witan": {"extra": ("--zookeeper-reconfig", "true")},
    "zookeeper": {"properties": ("reconfigEnabled=true", "standaloneEnabled=false")},
}


def number(server):
    return int(server.name.lstrip("n"))


def line(server, role="participant"):
    """How a reconfig names this server. Ours have no port for elections: any number will do, and is shown again."""
    election = server.election_port.number if hasattr(server, "election_port") else 3888
    return (f"server.{number(server)}=127.0.0.1:{server.peer_port.number}:{election}:{role};"
            f"{server.zookeeper_endpoint}")


def roles(data):
    """{number: role}, and the version."""
    *lines, version = data.decode().split("\n")
    found = [LINE.fullmatch(text) for text in lines]
    assert all(found), data
    assert [int(m[1]) for m in found] == sorted(int(m[1]) for m in found)
    return {int(m[1]): m[5] for m in found}, int(re.fullmatch("version=([0-9a-f]+)", version)[1], 16)


def superuser(server):
    connection = zk.connect(server.zookeeper_endpoint)
    connection.value(zk.auth("digest", zookeeper_server.SUPER.encode()))
    return connection


def until_it_serves(server):
    deadline = time.monotonic() + WAIT_S
    while True:
        try:
            return zk.connect(server.zookeeper_endpoint)
        except (OSError, zk.Closed):
            in_time = server.running() and time.monotonic() < deadline
            assert in_time, f"{server.name} does not serve:\n{server.log_tail()}"
            time.sleep(0.05)


class Story:
    """What was done to a cluster and how it answered, in words that do not depend on who it is."""

    def __init__(self, cluster):
        self.cluster = cluster
        self.told = []
        # The connections in use stay when somebody leaves who does not lead.
        first, second, third = cluster.servers
        self.leaver = third if zookeeper_server.mode(third) != "leader" else second
        self.stayer = second if self.leaver is third else third
        self.names = {number(first): "first", number(self.leaver): "leaver", number(self.stayer): "stayer"}
        self.connection = superuser(first)
        self.watcher = zk.connect(self.stayer.zookeeper_endpoint)
        self.version = 0

    def tell(self, what, value):
        self.told.append((what, value))

    def see(self, what, value):
        """A membership that was read or answered: its members and its Stat, without what only this cluster has."""
        data, stat = value
        members, version = roles(data)
        assert stat.mzxid == version and version >= self.version
        assert stat.data_length == len(data)
        assert abs(stat.mtime / 1000 - time.time()) < 600
        self.version = version
        named = {self.names[n]: role for n, role in members.items()}
        self.tell(what, (named, stat._replace(mzxid=0, mtime=0, data_length=0)))

    def change(self, what, **fields):
        """A reconfig that must succeed, and is heard of by who watches."""
        before = self.version
        self.watcher.value(zk.get_data(CONFIG, watch=True))
        self.see(what, self.connection.value(zk.reconfig(**fields)))
        assert self.version > before
        event = self.watcher.event(WAIT_S)
        assert (event.type, event.path) == (zk.DATA_CHANGED, CONFIG)
        _, version = roles(self.watcher.value(zk.get_data(CONFIG))[0])
        assert version == self.version, "whoever was told of it sees it"


def run_story(cluster):
    story = Story(cluster)
    call = story.connection
    call.value(zk.create("/before", b"x"))
    story.see("at the start", call.value(zk.get_data(CONFIG)))
    story.tell("exists", call.value(zk.exists(CONFIG)) == call.value(zk.get_data(CONFIG))[1])
    story.tell("unproved", story.watcher.error(zk.reconfig(leaving="99")))
    story.tell("stale", call.error(zk.reconfig(leaving="99", config_id=story.version + 1)))
    story.tell("stale and wrong", story.watcher.error(zk.reconfig(joining="x", config_id=story.version + 1)))
    story.tell("wrong", [call.error(zk.reconfig(joining=text)) for text in ("x", "server.4=h:1", "server.x=h:1:2;3")])
    story.tell("wrong leaver", call.error(zk.reconfig(leaving="x")))
    story.tell("nobody votes", call.error(zk.reconfig(members="server.9=h:1:2:observer;3")))

    joiner = cluster.new_member("n4")
    story.names[number(joiner)] = "joiner"
    story.change("an observer joins", joining=line(joiner, "observer"), config_id=story.version)
    joiner.start()
    with until_it_serves(joiner) as there:
        assert there.value(zk.get_data("/before"))[0] == b"x"
    story.change("it votes", joining=line(joiner))
    old = story.version
    story.change("another leaves", leaving=str(number(story.leaver)), config_id=old)
    story.tell("stale by now", call.error(zk.reconfig(leaving=str(number(joiner)), config_id=old)))
    nobody = "server.9=127.0.0.1:1:2:participant;3"
    story.tell("no quorum of the new", call.error(zk.reconfig(members=nobody)))
    # Of two that vote one votes no more; all are named.
    story.change("a list of all", members="\n".join([line(cluster[0]), line(story.stayer), line(joiner, "observer")]))
    story.see("in the end", call.value(zk.get_data(CONFIG)))
    assert call.value(zk.get_data("/before"))[0] == b"x"
    call.value(zk.set_data("/before", b"y"))
    with until_it_serves(joiner) as there:
        there.value(zk.sync("/"))
        assert there.value(zk.get_data("/before"))[0] == b"y"
    return story.told


def test_members_join_change_and_leave_as_zookeepers_do(make_zookeeper):
    ours = run_story(make_zookeeper(3, **ENABLED[zookeeper_server.subject_kind()]))
    theirs = run_story(make_zookeeper(3, kind="zookeeper", **ENABLED["zookeeper"]))
    for mine, original in zip(ours, theirs, strict=True):
        assert mine == original


def test_reconfig_is_off_unless_it_is_asked_for(make_zookeeper):
    cluster = make_zookeeper(3)
    with superuser(cluster[0]) as connection:
        members, version = roles(connection.value(zk.get_data(CONFIG))[0])
        assert members == {n: "participant" for n in (1, 2, 3)}
        assert connection.error(zk.reconfig(leaving="3")) == RECONFIG_DISABLED
        assert connection.error(zk.reconfig(leaving="x", config_id=version + 1)) == RECONFIG_DISABLED


def test_the_membership_goes_on_where_it_was_after_a_restart(make_zookeeper):
    cluster = make_zookeeper(3, **ENABLED[zookeeper_server.subject_kind()])
    with superuser(cluster[0]) as connection:
        changed = connection.value(zk.reconfig(leaving="99"))
    for server in cluster.servers:
        server.kill()
    for server in cluster.servers:
        server.start()
    for server in cluster.servers:
        server.wait_ready()
        with until_it_serves(server) as connection:
            data, stat = connection.value(zk.get_data(CONFIG))
            assert roles(data)[0] == roles(changed[0])[0]
            if not zookeeper_server.is_original():  # it writes its own anew under each leader
                assert (data, stat) == changed


def test_a_leader_that_is_removed_leaves_the_others_one(make_zookeeper):
    """Whoever leads is removed, by way of another member. Its answer may be lost with its connection to that one; then
    the client's is, too."""
    if zookeeper_server.is_original():
        pytest.skip("asks the etcd side who leads")
    cluster = make_zookeeper(3, **ENABLED["witan"])
    leader = next(s for s in cluster.servers if _leads(s))
    other = next(s for s in cluster.servers if s is not leader)
    with superuser(other) as connection:
        connection.value(zk.create("/kept", b"x"))
        try:
            connection.value(zk.reconfig(leaving=str(number(leader))))
        except zk.Closed:
            pass
    with until_it_serves(other) as connection:
        connection.value(zk.set_data("/kept", b"y"))
        members, _ = roles(connection.value(zk.get_data(CONFIG))[0])
        assert members == {number(s): "participant" for s in cluster.servers if s is not leader}


def _leads(server):
    answer = harness.etcdctl(server.endpoint, "endpoint", "status", "--write-out=fields")
    member, leader = (re.search(f'"{name}" : (\\d+)', answer.out)[1] for name in ("MemberID", "Leader"))
    return member == leader


def test_kazoo_reads_watches_and_changes_the_membership(make_zookeeper):
    kazoo = pytest.importorskip("kazoo.client", reason="python3-kazoo is not installed: run ./dev packages")
    exceptions = pytest.importorskip("kazoo.exceptions")
    cluster = make_zookeeper(3, **ENABLED[zookeeper_server.subject_kind()])
    client = kazoo.KazooClient(cluster[0].zookeeper_endpoint, auth_data=[("digest", zookeeper_server.SUPER)])
    client.start(WAIT_S)
    try:
        heard = client.handler.event_object()
        data, _ = client.get(CONFIG, watch=lambda event: heard.set())
        _, version = roles(data)
        with pytest.raises(exceptions.BadVersionError):
            client.reconfig(None, "9", None, version + 1)
        with pytest.raises(exceptions.BadArgumentsError):
            client.reconfig("nonsense", None, None)
        with pytest.raises(exceptions.NewConfigNoQuorumError):
            client.reconfig(None, None, "server.9=127.0.0.1:1:2:participant;3")
        observer = "server.7=127.0.0.1:1:2:observer;127.0.0.1:3"
        data, _ = client.reconfig(observer, None, None, version)
        assert roles(data)[0][7] == "observer"
        assert observer in data.decode().split("\n"), "a server is shown as it was named"
        follower = kazoo.KazooClient(cluster[1].zookeeper_endpoint)
        follower.start(WAIT_S)
        deadline = time.monotonic() + WAIT_S
        while observer not in follower.get(CONFIG)[0].decode().split("\n"):
            assert time.monotonic() < deadline, "the other members do not show it"
            time.sleep(0.05)
        follower.stop()
        follower.close()
        heard.wait(WAIT_S)
        assert heard.is_set()
        assert 7 not in roles(client.reconfig(None, "7", None)[0])[0]
    finally:
        client.stop()
        client.close()


def test_zkcli_prints_the_membership(make_zookeeper):
    if not ZKCLI.exists():
        pytest.skip("zkCli.sh is not installed: run ./dev packages")
    cluster = make_zookeeper(3)
    hosts = cluster[0].zookeeper_endpoint
    with zk.connect(hosts) as connection:
        data = connection.value(zk.get_data(CONFIG))[0].decode()
    assert data in _zkcli(hosts, "config")
    # For clients: it takes the text apart as ZooKeeper's own code does, and has an order of its own.
    version, addresses = _zkcli(hosts, "config", "-c").strip().split("\n")[-1].split()
    assert int(version, 16) == roles(data.encode())[1]
    assert sorted(addresses.split(",")) == sorted(s.zookeeper_endpoint for s in cluster.servers)


def _zkcli(hosts, *command):
    done = subprocess.run([str(ZKCLI), "-server", hosts, *command], capture_output=True, text=True, errors="replace",
                          timeout=120, stdin=subprocess.DEVNULL)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
