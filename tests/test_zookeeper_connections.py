"""How many connections one address may have (maxClientCnxns): over the whole server, whichever thread serves them."""

import time

import pytest

import harness
import zk_client as zk
import zookeeper_server

MOST = 5
THREADS = 4  # which do not divide MOST
WAIT_S = 20


class _Bounded(zookeeper_server.WitanZooKeeper):
    def argv(self):
        argv = super().argv()
        argv[argv.index("--zookeeper-max-connections") + 1] = str(MOST)
        return [*argv, "--api-threads", str(THREADS)]


@pytest.fixture
def server(tmp_path):
    kind = zookeeper_server.subject_kind()
    options = zookeeper_server.Options(properties=(f"maxClientCnxns={MOST}",), four_letter_words="srvr")
    server_class = _Bounded if kind == "witan" else zookeeper_server.RealZooKeeper
    with harness.Cluster(kind, 1, tmp_path, options, server_class) as cluster:
        yield cluster.servers[0]


def _enter(server):
    """A connection with a session; None when the server closes it instead."""
    try:
        return zk.connect(server.zookeeper_endpoint)
    except (zk.Closed, OSError):
        return None


def _enter_in_time(server):
    """The same, once the server has noticed that another one is gone."""
    deadline = time.monotonic() + WAIT_S
    while time.monotonic() < deadline:
        if connection := _enter(server):
            return connection
        time.sleep(0.05)
    raise AssertionError("nobody is let in although there is room")


def test_connections_of_an_address_are_counted_over_all_threads(server):
    # The harness asked with a connection of its own whether the server is there.
    connections = [_enter_in_time(server)]
    connections += [_enter(server) for _ in range(4 * MOST)]
    inside = [c for c in connections if c is not None]
    try:
        assert len(inside) == MOST
        assert connections.index(None) == MOST, "none is refused before there are as many as may be"
        for gone in (0, -1):
            inside.pop(gone).close()
        inside += [_enter_in_time(server), _enter_in_time(server)]
        assert [_enter(server) for _ in range(2 * THREADS)] == [None] * (2 * THREADS)
        assert all(connection.error(zk.exists("/")) == zk.OK for connection in inside), "who is inside is served"
    finally:
        for connection in inside:
            connection.close()
