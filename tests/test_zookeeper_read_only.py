"""A member without a leader and the clients that are content to read."""

import time

import pytest

import zk_client as zk
import zookeeper_server

kazoo_client = pytest.importorskip("kazoo.client", reason="python3-kazoo is not installed: run ./dev packages")
from kazoo.exceptions import NotReadOnlyCallError  # noqa: E402 (only where kazoo is)
from kazoo.protocol.states import KeeperState  # noqa: E402

WAIT_S = 60
NOT_READ_ONLY = -119


@pytest.fixture
def three(make_zookeeper):
    if zookeeper_server.is_original():
        pytest.skip("Debian's ZooKeeper answers a new read-only session with -119, and kazoo never gets one from it")
    return make_zookeeper(3, extra=("--zookeeper-read-only", "true"))


def eventually(attempt, complaint):
    """What `attempt` returns once that is true: what other processes do gives no event to wait for."""
    deadline = time.monotonic() + WAIT_S
    while not (found := attempt()):
        assert time.monotonic() < deadline, f"{complaint} (after {WAIT_S} s)"
        time.sleep(0.05)
    return found


def connected_to_read(server):
    """A connection whose session only reads; None while the server does not give one."""
    try:
        connection = zk.Connection(server.zookeeper_endpoint)
        if connection.connect(read_only=True).read_only:
            return connection
        connection.close()
    except (OSError, zk.Closed):
        pass
    return None


def stop_two(cluster):
    for server in cluster.servers[1:]:
        server.kill()


def bring_back(cluster):
    for server in cluster.servers[1:]:
        server.start()
    for server in cluster.servers[1:]:
        server.wait_ready()


def test_kazoo_reads_from_the_last_of_three_and_writes_again_when_they_are_back(three):
    client = kazoo_client.KazooClient(three.hosts, read_only=True, timeout=10, connection_retry={"max_tries": -1},
                                      randomize_hosts=False)
    states = []
    client.add_listener(states.append)
    client.start(WAIT_S)
    try:
        client.create("/kept", b"x")
        stop_two(three)
        eventually(lambda: client.client_state == KeeperState.CONNECTED_RO, "the client does not come to read only")
        assert client.get("/kept")[0] == b"x"
        assert set(client.get_children("/")) == {"kept", "zookeeper"}
        with pytest.raises(NotReadOnlyCallError):
            client.set("/kept", b"y")
        with pytest.raises(NotReadOnlyCallError):
            client.create("/new")
        bring_back(three)
        eventually(lambda: client.client_state == KeeperState.CONNECTED, "the client does not come to write again")
        eventually(lambda: _set(client), "nothing is written")
        assert client.get("/kept")[0] == b"z"
    finally:
        client.stop()
        client.close()


def _set(client):
    """kazoo gives up what was on its way when a connection is lost, as that of a member that has a leader again is."""
    try:
        return client.retry(client.set, "/kept", b"z")
    except NotReadOnlyCallError:
        return None


def test_only_who_asks_for_it_is_served_by_a_member_without_a_leader(three):
    with zk.connect(three[0].zookeeper_endpoint) as writer:
        writer.value(zk.create("/kept", b"x"))
        session, password = writer.session, writer.password
        stop_two(three)
        with eventually(lambda: connected_to_read(three[0]), "nobody is served") as reader:
            assert reader.value(zk.get_data("/kept", watch=True))[0] == b"x"
            assert reader.value(zk.exists("/kept")).data_length == 1
            assert reader.error(zk.ping()) == 0
            refused = (zk.create("/n"), zk.delete("/kept"), zk.set_data("/kept"), zk.set_acl("/kept"), zk.sync("/"),
                       zk.multi([zk.create("/n")]), zk.reconfig(leaving="3"))
            assert [reader.error(request) for request in refused] == [NOT_READ_ONLY] * len(refused)
            with pytest.raises(zk.Closed):
                zk.connect(three[0].zookeeper_endpoint)
            bring_back(three)
            reader.wait_closed(WAIT_S)
    # A session of before goes on: only a leader could have ended it.
    again = eventually(lambda: _connected(three[0], session, password), "the session is not taken up again")
    assert again.value(zk.set_data("/kept", b"y")).version == 1
    again.close()


def _connected(server, session, password):
    try:
        connection = zk.connect(server.zookeeper_endpoint, session=session, password=password)
        return connection if connection.session == session else None
    except (OSError, zk.Closed):
        return None


def test_a_member_that_starts_without_a_leader_serves_readers(three):
    with zk.connect(three[0].zookeeper_endpoint) as writer:
        writer.value(zk.create("/kept", b"x"))
        # What a member knows to be committed it knows from what came later.
        for i in range(3):
            writer.value(zk.create(f"/later{i}"))
    for server in three.servers:
        server.stop()
    three[0].start()
    with eventually(lambda: connected_to_read(three[0]), "nobody is served") as reader:
        assert reader.value(zk.get_data("/kept"))[0] == b"x"
