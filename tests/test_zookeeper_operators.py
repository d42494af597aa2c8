"""What ZooKeeper's operators use: four-letter words, the AdminServer, zoo.cfg and zkServer.sh.

Texts are held against those of Debian's ZooKeeper: the same lines with the same names in the same order, numbers aside.
"""

import http.client
import json
import os
import pathlib
import re
import signal
import socket
import subprocess
import time

import pytest

import harness
import zk_client as zk
import zookeeper_server

DEBIANS_SCRIPT = pathlib.Path("/usr/share/zookeeper/bin/zkServer.sh")
WAIT_S = 30

PLACES = re.compile(r"0x[0-9a-f]+|\d+(\.\d+)?")


def word(server, text):
    return zk.four_letter_word(server.zookeeper_endpoint, text)


def shape(text):
    """The text with its numbers taken out."""
    return [PLACES.sub("#", line) for line in text.splitlines()]


@pytest.fixture(scope="module")
def witan(tmp_path_factory):
    with zookeeper_server.Cluster("witan", 1, tmp_path_factory.mktemp("witan")) as cluster:
        yield cluster.servers[0]


@pytest.fixture(scope="module")
def original(tmp_path_factory):
    with zookeeper_server.Cluster("zookeeper", 1, tmp_path_factory.mktemp("zookeeper")) as cluster:
        yield cluster.servers[0]


@pytest.fixture(scope="module")
def both(witan, original):
    """The same done to both: a session that owns a node, and watches data and children."""
    clients = []
    for server in (witan, original):
        client = zk.connect(server.zookeeper_endpoint)
        clients.append(client)
        prepare(client)
        server.client = client
    yield witan, original
    for client in clients:
        client.close()


# ---------------------------------------------------------------- texts


def prepare(client):
    client.value(zk.create("/operators", b"x"))
    client.value(zk.create("/operators/e", flags=zk.EPHEMERAL))
    client.value(zk.get_data("/operators", watch=True))
    client.value(zk.get_children("/operators", watch=True))


@pytest.mark.parametrize("name", ["ruok", "isro", "srst", "crst", "wchs", "wchc", "wchp", "dirs", "gtmk"])
def test_a_word_has_the_originals_shape(both, name):
    ours, theirs = (word(server, name) for server in both)
    assert shape(ours) == shape(theirs)
    assert ours.endswith("\n") == theirs.endswith("\n")


@pytest.mark.parametrize("name", ["srvr", "stat"])
def test_states_have_the_originals_lines(both, name):
    ours, theirs = (word(server, name) for server in both)
    assert ours.startswith("Zookeeper version: 3.") and theirs.startswith("Zookeeper version: 3.")
    assert shape(ours)[1:] == shape(theirs)[1:]


def test_connections_have_the_originals_fields(both):
    """A line for each connection, in an order of its own."""
    for server in both:
        server.client.value(zk.get_children("/operators"))
    ours, theirs = (word(server, "cons") for server in both)
    assert sorted(shape(ours)) == sorted(shape(theirs))
    assert re.search(r"sid=0x[0-9a-f]+,lop=GETC,est=\d{13},to=\d+,lcxid=0x[0-9a-f]+,", ours)


def test_the_configuration_has_the_originals_keys(both):
    ours, theirs = ([line.split("=")[0] for line in word(server, "conf").splitlines()] for server in both)
    assert ours == theirs


def test_the_dump_has_the_originals_sections(both):
    """How many expire together depends on when they were asked: those lines are compared as a set."""
    ours, theirs = (word(server, "dump") for server in both)
    shapes = [[re.sub(r"expire at .*", "expire", line) for line in shape(text)] for text in (ours, theirs)]
    assert set(shapes[0]) == set(shapes[1])
    assert [line for line in shapes[0] if "dump" in line] == [line for line in shapes[1] if "dump" in line]
    assert "Sessions with Ephemerals (1):" in ours and "\t/operators/e" in ours


def test_gauges_are_a_subset_of_the_originals(both):
    ours, theirs = (dict(line.split("\t") for line in word(server, "mntr").splitlines()) for server in both)
    assert set(ours) <= set(theirs), sorted(set(ours) - set(theirs))
    for name in ("zk_server_state", "zk_ephemerals_count", "zk_global_sessions", "zk_watch_count"):
        assert ours[name] == theirs[name], name
    # The original counts the nodes that its version keeps below /zookeeper.
    assert ours["zk_znode_count"] == theirs["zk_znode_count"]


def test_the_environment_begins_with_the_version(witan):
    """kazoo decides by this line what a server can do."""
    lines = word(witan, "envi").splitlines()
    assert lines[0] == "Environment:"
    assert re.match(r"zookeeper\.version=3\.\d+\.\d+-witan-\d+\.\d+\.\d+, "
                    r"built on \d{4}-\d\d-\d\d \d\d:\d\d UTC$", lines[1])
    names = [line.split("=")[0] for line in lines[2:]]
    assert {"host.name", "os.name", "user.dir"} <= set(names)


def test_an_unknown_word_closes_the_connection(both):
    for server in both:
        assert word(server, "nope") == ""


def test_only_srvr_is_answered_by_default(tmp_path):
    options = zookeeper_server.Options(four_letter_words="srvr")
    answers = []
    for kind in ("witan", "zookeeper"):
        with zookeeper_server.Cluster(kind, 1, tmp_path / kind, options) as cluster:
            server = cluster.servers[0]
            assert "Mode: standalone" in word(server, "srvr")
            answers.append([word(server, name) for name in ("ruok", "mntr", "isro", "wchp")])
    assert answers[0] == answers[1]
    assert answers[0][0] == "ruok is not executed because it is not in the whitelist.\n"


# ---------------------------------------------------------------- zoo.cfg


class FromFile(harness.Server):
    """`witan zookeeper` on a zoo.cfg, or Debian's ZooKeeper on the same lines."""

    kind = "witan"
    ready_line = "ready to serve client requests"

    def __init__(self, name, directory, lines, number=None, properties=()):
        super().__init__(name, directory, harness.Options())
        self.directory.mkdir(parents=True, exist_ok=True)
        self.data_dir.mkdir(exist_ok=True)
        self.config = self.directory / "zoo.cfg"
        self.properties = properties
        self.config.write_text("\n".join([
            "tickTime=500", f"dataDir={self.data_dir}", f"clientPort={self.client_port.number}",
            "clientPortAddress=127.0.0.1", *lines]) + "\n")
        if number is not None:
            (self.data_dir / "myid").write_text(f"{number}\n")

    @property
    def zookeeper_endpoint(self):
        return self.client_port.address

    def argv(self):
        return [harness.require_witan(), "zookeeper", str(self.config), *self.properties]


def listening(pid):
    """The TCP ports that a process listens on."""
    inodes = set()
    for entry in pathlib.Path(f"/proc/{pid}/fd").iterdir():
        try:
            target = os.readlink(entry)
        except OSError:
            continue
        if target.startswith("socket:["):
            inodes.add(target[8:-1])
    ports = set()
    for table in ("tcp", "tcp6"):
        for line in pathlib.Path(f"/proc/{pid}/net/{table}").read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == "0A" and fields[9] in inodes:
                ports.add(int(fields[1].rsplit(":", 1)[1], 16))
    return ports


@pytest.fixture
def start():
    """Starts servers and sees to it that they are gone afterwards."""
    servers = []

    def run(*some):
        servers.extend(some)
        for server in some:
            server.start()
        for server in some:
            server.wait_ready()
        return some[0]

    yield run
    for server in servers:
        server.dispose()


def test_a_file_opens_the_ports_that_it_names_and_no_other(tmp_path, start):
    server = start(FromFile("alone", tmp_path / "alone", ["4lw.commands.whitelist=*", "tikTime=1"]))
    assert listening(server.process.pid) == {server.client_port.number}
    assert word(server, "ruok") == "imok"
    assert "tickTime=500\n" in word(server, "conf")
    assert "tikTime, it has no effect; is tickTime meant?" in server.log_path.read_text()
    client = zk.connect(server.zookeeper_endpoint)
    client.value(zk.create("/kept", b"x"))
    client.close()
    server.stop()
    server.start()
    server.wait_ready()
    client = zk.connect(server.zookeeper_endpoint)
    assert client.error(zk.get_data("/kept")) == zk.OK
    client.close()


def test_data_of_the_original_is_not_passed_over(tmp_path):
    server = FromFile("moved", tmp_path / "moved", [])
    (server.data_dir / "version-2").mkdir()
    (server.data_dir / "version-2" / "snapshot.0").write_bytes(b"")
    try:
        result = subprocess.run(server.argv(), capture_output=True, timeout=WAIT_S)
        assert result.returncode == 1
        assert b"holds data of ZooKeeper" in result.stderr
    finally:
        server.dispose()


def test_three_files_make_a_cluster_with_an_observer(tmp_path, start):
    quorum = [harness.Port() for _ in range(3)]
    election = [harness.Port() for _ in range(3)]
    roles = ["participant", "participant", "observer"]
    numbers = [7, 3, 12]
    lines = ["initLimit=10", "syncLimit=5", "4lw.commands.whitelist=*"] + [
        f"server.{n}=127.0.0.1:{q.number}:{e.number}:{role}" for n, q, e, role in zip(numbers, quorum, election, roles)]
    servers = [FromFile(f"m{n}", tmp_path / f"m{n}", lines, n) for n in numbers]
    try:
        start(*servers)
        assert sorted(mode(server) for server in servers) == ["follower", "leader", "observer"]
        assert mode(servers[2]) == "observer"
        for server, port in zip(servers, quorum):
            assert listening(server.process.pid) == {server.client_port.number, port.number}
        conf = word(servers[1], "conf")
        assert "serverId=3\ninitLimit=10\nsyncLimit=5\nelectionAlg=3\n" in conf
        port = quorum[1].number
        assert f"quorumPort={port}\npeerType=0\nmembership: \nserver.3=127.0.0.1:{port}:" in conf
        assert "peerType=1\n" in word(servers[2], "conf")
        leader = next(server for server in servers if mode(server) == "leader")
        gauges = dict(line.split("\t") for line in word(leader, "mntr").splitlines())
        assert (gauges["zk_synced_followers"], gauges["zk_synced_observers"], gauges["zk_learners"]) == ("1", "1", "2")
        assert gauges["zk_quorum_size"] == "2" and "zk_max_proposal_size" in gauges
        check_sessions(servers, numbers)
    finally:
        for port in (*quorum, *election):
            port.release()


def mode(server):
    return re.search(r"^Mode: (.*)$", word(server, "srvr"), re.MULTILINE).group(1)


def check_sessions(servers, numbers):
    """A member's sessions carry its number in front."""
    for server, number in zip(servers, numbers):
        client = zk.connect(server.zookeeper_endpoint)
        assert client.session >> 56 == number
        client.value(zk.create(f"/of-{number}"))
        client.close()


@pytest.mark.parametrize("lines, expected", [
    (["tickTime=soon"], "line 5: tickTime: 'soon'"), (["server.1=a:1:2", "server.2=b:1:2"], "initLimit"),
    (["sslQuorum=true"], "without TLS"),
])
def test_a_file_that_cannot_be_followed_is_refused(tmp_path, lines, expected):
    server = FromFile("bad", tmp_path / "bad", lines)
    try:
        result = subprocess.run(server.argv(), capture_output=True, text=True, timeout=WAIT_S)
        assert result.returncode == 2
        assert expected in result.stderr and result.stderr.count("\n") == 1
    finally:
        server.dispose()


# ---------------------------------------------------------------- AdminServer


def fetch(port, path, method="GET"):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=WAIT_S)
    try:
        connection.request(method, path)
        response = connection.getresponse()
        return response.status, response.headers.get_content_type(), response.read()
    finally:
        connection.close()


def test_the_admin_server_answers_in_json(tmp_path, start):
    port = harness.Port()
    try:
        server = start(FromFile("admin", tmp_path / "admin", ["admin.serverAddress=127.0.0.1"],
                                properties=(f"-Dzookeeper.admin.serverPort={port.number}",)))
        assert listening(server.process.pid) == {server.client_port.number, port.number}
        client = zk.connect(server.zookeeper_endpoint)
        prepare(client)
        status, kind, body = fetch(port.number, "/commands/stats")
        assert (status, kind) == (200, "application/json")
        stats = json.loads(body)
        assert stats["command"] == "stats" and stats["error"] is None
        assert stats["server_stats"]["server_state"] == "standalone"
        assert len(stats["connections"]) == 1
        watches = json.loads(fetch(port.number, "/commands/wchc")[2])
        assert watches["session_id_to_watched_paths"] == {str(client.session): ["/operators"]}
        assert json.loads(fetch(port.number, "/commands/mntr")[2])["ephemerals_count"] == 1
        properties = json.loads(fetch(port.number, "/commands/system_properties")[2])
        assert properties["zookeeper.admin.serverPort"] == str(port.number)
        assert b'href="/commands/ruok"' in fetch(port.number, "/commands")[2]
        assert fetch(port.number, "/commands/ruok", "DELETE")[0] == 405
        assert fetch(port.number, "/")[0] == 404
        garbage_harms_nobody(port.number)
        client.close()
    finally:
        port.release()


def garbage_harms_nobody(port):
    for bytes_sent in (b"\x16\x03\x01\x00" * 10 + b"\r\n\r\n", b"GET /" + b"a" * 100_000,
                       b"GET / HTTP/1.1\r\n" + b"A: b\r\n" * 10_000):
        with socket.create_connection(("127.0.0.1", port), WAIT_S) as s:
            s.settimeout(WAIT_S)
            try:
                s.sendall(bytes_sent)
                while s.recv(4096):
                    pass
            except ConnectionError:
                pass
    assert fetch(port, "/commands/ruok")[0] == 200


# ---------------------------------------------------------------- zkServer.sh


@pytest.fixture
def script(tmp_path):
    """Runs zkServer.sh on a zoo.cfg; whatever it started is gone afterwards."""
    path = pathlib.Path(harness.require_witan()).parent / "zkServer.sh"
    assert os.access(path, os.X_OK), "it stands beside the binary"
    server = FromFile("script", tmp_path / "script", [])
    pid_file = server.data_dir / "zookeeper_server.pid"

    def run(*words, path=path, **environment):
        return subprocess.run([str(path), *words, str(server.config)], capture_output=True, text=True, timeout=60,
                              stdin=subprocess.DEVNULL, env=os.environ | environment)

    run.server = server
    run.pid_file = pid_file
    yield run
    try:
        os.kill(int(pid_file.read_text()), signal.SIGKILL)
    except (OSError, ValueError):
        pass
    server.dispose()


def wait_for_status(run, **how):
    deadline = time.monotonic() + WAIT_S
    while (status := run("status", **how)).returncode != 0 and time.monotonic() < deadline:
        time.sleep(0.1)
    return status


def test_the_script_starts_stops_and_asks(script):
    assert script("status").returncode == 1
    assert "STARTED" in script("start", SERVER_JVMFLAGS="-Xmx1g -Dzookeeper.4lw.commands.whitelist=*").stdout
    status = wait_for_status(script)
    assert status.stdout.splitlines()[-1] == "Mode: standalone", status.stdout + status.stderr
    assert word(script.server, "ruok") == "imok", "a property of SERVER_JVMFLAGS"
    first = int(script.pid_file.read_text())
    again = script("start")
    assert again.returncode == 1 and "already running" in again.stdout
    if DEBIANS_SCRIPT.exists():
        theirs = wait_for_status(script, path=DEBIANS_SCRIPT)
        assert theirs.stdout.splitlines()[-1] == "Mode: standalone", theirs.stdout + theirs.stderr
    assert "STARTED" in script("restart").stdout
    assert int(script.pid_file.read_text()) != first
    assert not pathlib.Path(f"/proc/{first}").exists()
    assert wait_for_status(script).returncode == 0
    assert "is not executed because" in word(script.server, "ruok")
    stopped = script("stop")
    assert stopped.returncode == 0 and "STOPPED" in stopped.stdout
    assert not script.pid_file.exists()
    assert script("status").returncode == 1
    assert "no zookeeper to stop" in script("stop").stdout


def test_the_script_says_when_a_start_fails(script):
    with open(script.server.config, "a") as config:
        config.write("tickTime=soon\n")
    failed = script("start")
    assert failed.returncode == 1
    assert "FAILED TO START" in failed.stdout and "tickTime" in failed.stdout
    assert not script.pid_file.exists()


def test_the_script_does_not_kill_strangers(script):
    """A pid file may have outlived its process, and the number may be somebody else's."""
    stranger = subprocess.Popen(["sleep", "60"])
    try:
        script.pid_file.write_text(str(stranger.pid))
        assert script("stop").returncode == 0
        assert stranger.poll() is None
    finally:
        stranger.kill()
        stranger.wait()


def test_the_script_runs_in_the_foreground(script, tmp_path):
    path = pathlib.Path(harness.require_witan()).parent / "zkServer.sh"
    process = subprocess.Popen([str(path), "start-foreground", str(script.server.config)], stdin=subprocess.DEVNULL,
                               stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    try:
        assert harness.OutputReader(process.stdout, tmp_path / "out").wait_for("ready to serve", WAIT_S)
        process.send_signal(signal.SIGTERM)
        assert process.wait(WAIT_S) == 0
    finally:
        process.kill()
        process.wait()
