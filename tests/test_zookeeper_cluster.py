"""ZooKeeper's clients on three members, one of which dies: sessions, locks and recipes go on.

With WITAN_TEST_SUBJECT=zookeeper there is one member, the original, which comes back after each death.
"""

import pathlib
import queue
import resource
import sys
import threading
import time

import pytest

import harness
import zk_client as zk
import zookeeper_server

kazoo_client = pytest.importorskip("kazoo.client", reason="python3-kazoo is not installed: run ./dev packages")
from kazoo.exceptions import KazooException  # noqa: E402 (only where kazoo is)
from kazoo.protocol.states import KazooState  # noqa: E402

ZKCLI = pathlib.Path("/usr/share/zookeeper/bin/zkCli.sh")
C_CLIENT = pathlib.Path("/usr/lib/zookeeper/bin/cli_mt")
FAILOVER_S = 15
SESSION_S = 20
RETRY = {"max_tries": -1, "delay": 0.05, "max_delay": 0.3, "backoff": 2}


class Members:
    """A cluster in which the leader can be killed, over and over."""

    def __init__(self, cluster):
        self.cluster = cluster
        self.dead = None
        self._clients = []

    @property
    def endpoints(self):
        return [s.zookeeper_endpoint for s in self.cluster.servers if s.running()]

    @property
    def hosts(self):
        return self.cluster.hosts

    def mode(self, server):
        try:
            answer = zk.four_letter_word(server.zookeeper_endpoint, "srvr", timeout_s=2)
        except OSError:
            return None
        modes = [line.split(": ")[1] for line in answer.splitlines() if line.startswith("Mode: ")]
        return modes[0] if modes else None

    def leader(self):
        def find():
            modes = {s: self.mode(s) for s in self.cluster.servers if s.running()}
            return next((s for s, mode in modes.items() if mode in ("leader", "standalone")), None)
        return eventually(find, FAILOVER_S, "nobody leads")

    def kill_leader(self):
        """kill -9; the others go on. The one that died before is back by then."""
        self.bring_back()
        self.dead = self.leader()
        self.dead.kill()
        if len(self.cluster.servers) == 1:
            self.bring_back()
        else:
            self.leader()
        return self.dead

    def bring_back(self):
        if self.dead and not self.dead.running():
            self.dead.start().wait_ready()
            eventually(lambda: self.mode(self.dead), FAILOVER_S, f"{self.dead.name} does not serve")
        self.dead = None

    def client(self):
        """A started kazoo client that never gives up, and remembers whether its session was lost."""
        c = kazoo_client.KazooClient(self.hosts, timeout=SESSION_S, connection_retry=RETRY, command_retry=RETRY)
        c.states = []
        c.add_listener(lambda state: c.states.append(state) and None)
        c.start(timeout=FAILOVER_S)
        c.first_session = c.client_id[0]
        self._clients.append(c)
        return c

    def clients(self, count):
        return [self.client() for _ in range(count)]

    def let_go(self):
        """Ends all clients; none may have lost its session on the way."""
        lost = [c.states for c in self._clients if KazooState.LOST in c.states]
        changed = [c for c in self._clients if c.client_id and c.client_id[0] != c.first_session]
        for c in self._clients:
            c.stop()
            c.close()
        self._clients = []
        assert not lost, f"sessions were lost: {lost}"
        assert not changed


def eventually(attempt, timeout_s, complaint):
    """What `attempt` returns once that is true: what other processes do gives no event to wait for."""
    deadline = time.monotonic() + timeout_s
    while True:
        found = attempt()
        if found:
            return found
        assert time.monotonic() < deadline, f"{complaint} (after {timeout_s} s)"
        time.sleep(0.02)


@pytest.fixture(scope="module")
def members(tmp_path_factory):
    directory = tmp_path_factory.mktemp("zookeeper-cluster")
    cluster = zookeeper_server.Cluster(
        zookeeper_server.subject_kind(), 3, directory, zookeeper_server.Options(heap_mb=768))
    with cluster:
        yield Members(cluster)


@pytest.fixture
def three(members, request):
    """The members, with a path of the test's own, and every client's session intact at the end."""
    members.bring_back()
    members.path = f"/{request.node.name}"
    yield members
    members.let_go()


# ---------------------------------------------------------------- sessions


def _attach(endpoints, holder, timeout_s=FAILOVER_S, timeout_ms=SESSION_S * 1000):
    """The session on any of the endpoints; a member that does not serve yet is asked again."""
    deadline = time.monotonic() + timeout_s
    while True:
        for endpoint in endpoints:
            try:
                return zk.connect(
                    endpoint, session=holder.session, password=holder.password, timeout_ms=timeout_ms)
            except (OSError, zk.Closed):
                assert time.monotonic() < deadline, "nobody serves"
        time.sleep(0.05)


def test_a_session_goes_on_elsewhere(three):
    """Each member's sessions, the leader's among them, keep their id and what they own."""
    held = [zk.connect(endpoint, timeout_ms=SESSION_S * 1000) for endpoint in three.endpoints]
    for i, c in enumerate(held):
        c.value(zk.create(f"/owned{i}", b"", zk.OPEN, zk.EPHEMERAL))
    three.kill_leader()
    for i, c in enumerate(held):
        c.close()
        again = _attach(three.endpoints[i % len(three.endpoints):] + three.endpoints, c)
        assert again.session == c.session
        assert again.value(zk.sync("/")) == "/"
        assert again.value(zk.get_ephemerals("/")) == [f"/owned{i}"]
        assert again.value(zk.exists(f"/owned{i}")).ephemeral_owner == c.session
        again.value(zk.close_session())
        again.close()


def test_a_session_moves_between_members(three):
    first = zk.connect(three.endpoints[0], timeout_ms=SESSION_S * 1000)
    first.value(zk.create("/moved", b"", zk.OPEN, zk.EPHEMERAL))
    second = _attach(three.endpoints[-1:], first)
    assert second.session == first.session
    second.value(zk.set_data("/moved", b"second"))
    try:
        # The old owner may answer reads until it hears of the move, but a write of the old connection ends it.
        reply = first.call(zk.set_data("/moved", b"first"))
        assert False, f"the connection that the session left still writes: {reply}"
    except zk.Closed:
        pass
    assert second.value(zk.get_data("/moved"))[0] == b"second"
    second.value(zk.close_session())


def test_a_member_that_follows_keeps_its_sessions_alive(three):
    """Renewals reach the leader: a session that only pings its own member outlives its timeout."""
    held = [zk.connect(endpoint, timeout_ms=4000) for endpoint in three.endpoints]
    silent = zk.connect(three.endpoints[0], timeout_ms=4000)
    for i, c in enumerate([*held, silent]):
        c.value(zk.create(f"/alive{i}", b"", zk.OPEN, zk.EPHEMERAL))
    silent.close()
    until = time.monotonic() + 10
    while time.monotonic() < until:
        for c in held:
            assert c.call(zk.ping()).err == zk.OK
        time.sleep(0.5)  # much less than a session's time: that is what this is about
    for i, c in enumerate(held):
        c.value(zk.sync("/"))
        assert c.value(zk.exists(f"/alive{i}")).ephemeral_owner == c.session
        assert c.error(zk.exists(f"/alive{len(held)}")) == zk.NO_NODE
    for c in held:
        c.value(zk.close_session())


def test_a_sync_shows_what_was_written_elsewhere(three):
    writer, *readers = [zk.connect(endpoint) for endpoint in [*three.endpoints, *three.endpoints]]
    writer.value(zk.create("/synced"))
    for i in range(200):
        writer.value(zk.set_data("/synced", b"%d" % i))
        for reader in readers:
            reader.send(zk.sync("/synced"), zk.get_data("/synced"))
            assert reader.reply().err == zk.OK
            assert reader.reply().value[0] == b"%d" % i
    writer.value(zk.delete("/synced"))


def test_a_watcher_hears_of_writes_on_any_member(three):
    watcher = zk.connect(three.endpoints[-1])
    watcher.value(zk.add_watch("/watched", 1))
    for i, endpoint in enumerate(three.endpoints):
        with zk.connect(endpoint) as writer:
            writer.value(zk.create(f"/watched{'/x' * i}"))
    for i, _ in enumerate(three.endpoints):
        assert watcher.event()[:3] == (zk.NODE_CREATED, 3, f"/watched{'/x' * i}")
    for i in reversed(range(len(three.endpoints))):
        watcher.value(zk.delete(f"/watched{'/x' * i}"))


# ---------------------------------------------------------------- recipes


class Fence:
    """What a lock protects: notices two holders at a time, and a holder whose turn came before another's."""

    def __init__(self):
        self._mutex = threading.Lock()
        self._holder = None
        self._highest = 0
        self.entered = 0
        self.violations = []

    def enter(self, name, token):
        with self._mutex:
            if self._holder is not None:
                self.violations.append(f"{name} with {token} while {self._holder} is inside")
            if token <= self._highest:
                self.violations.append(f"{name} with {token} after {self._highest}")
            self._holder, self._highest = name, max(token, self._highest)
            self.entered += 1

    def leave(self):
        with self._mutex:
            self._holder = None


def test_the_fence_notices():
    fence = Fence()
    fence.enter("a", 5)
    fence.leave()
    fence.enter("b", 6)
    assert not fence.violations
    fence.enter("c", 7)
    fence.leave()
    fence.enter("d", 6)
    assert [v.split()[0] for v in fence.violations] == ["c", "d"]


class Workers:
    """Threads that repeat something until told to stop; what they raise fails the test."""

    def __init__(self, work, arguments):
        self._stopping = threading.Event()
        self._errors = queue.Queue()
        self._threads = [threading.Thread(target=self._run, args=(work, a), daemon=True) for a in arguments]
        for thread in self._threads:
            thread.start()

    def _run(self, work, argument):
        try:
            while not self._stopping.is_set():
                work(argument)
        except Exception as error:  # whatever it is, it belongs to the test
            self._errors.put(error)

    def stop(self):
        self._stopping.set()
        for thread in self._threads:
            thread.join(60)
            assert not thread.is_alive(), "a worker hangs"
        if not self._errors.empty():
            raise self._errors.get()


def test_a_lock_is_never_held_twice(three):
    """The counter is read and written without a version: only the lock keeps an increment from being lost."""
    clients = three.clients(5)
    clients[0].create(three.path, b"0")
    fence = Fence()

    def work(client):
        lock = client.Lock(three.path + "/lock")
        with lock:
            token = client.retry(client.get, f"{three.path}/lock/{lock.node}")[1].czxid
            fence.enter(client.client_id, token)
            count = int(client.retry(client.get, three.path)[0])
            client.retry(client.set, three.path, b"%d" % (count + 1))
            fence.leave()

    workers = Workers(work, clients)
    for _ in range(2):
        before = fence.entered
        eventually(lambda: fence.entered > before + 20, 30, "the lock does not go round")
        three.kill_leader()
    before = fence.entered
    eventually(lambda: fence.entered > before + 20, 30, "the lock does not go round any more")
    workers.stop()
    assert not fence.violations
    assert int(clients[0].retry(clients[0].get, three.path)[0]) == fence.entered


def test_one_is_elected(three):
    clients = three.clients(3)
    terms, ends = queue.Queue(), {c: threading.Event() for c in clients}
    fence = Fence()

    def lead(client):
        fence.enter(client, len(terms.queue) + 1 + fence.entered)
        terms.put(client)
        assert ends[client].wait(60)
        fence.leave()

    threads = [threading.Thread(target=c.Election(three.path).run, args=(lead, c), daemon=True) for c in clients]
    for thread in threads:
        thread.start()
    elected = []
    for _ in clients:
        elected.append(terms.get(timeout=20))
        three.kill_leader()
        time.sleep(0.5)  # nobody else may be elected while the first leads: there is no event for that
        assert terms.empty()
        ends[elected[-1]].set()
    for thread in threads:
        thread.join(30)
        assert not thread.is_alive()
    assert set(elected) == set(clients) and not fence.violations


def test_a_barrier_holds_and_opens(three):
    one, two = three.clients(2)
    barrier = one.Barrier(three.path)
    barrier.create()
    passed = threading.Event()

    def wait():
        # kazoo takes a one-shot watch for fired when its connection breaks, and its barrier does not ask again.
        while not two.retry(two.Barrier(three.path).wait, 1):
            if ending.is_set():
                return
        passed.set()

    ending = threading.Event()
    waiting = threading.Thread(target=wait, daemon=True)
    waiting.start()
    three.kill_leader()
    assert not passed.wait(0.5)
    one.retry(barrier.remove)
    opened = passed.wait(20)
    ending.set()
    waiting.join(20)
    assert opened


def test_a_double_barrier(three):
    clients = three.clients(3)
    entered, left = [], []

    def work(client):
        barrier = client.DoubleBarrier(three.path, len(clients))
        barrier.enter()
        entered.append(client)
        ready.wait(60)
        barrier.leave()
        left.append(client)

    ready = threading.Event()
    threads = [threading.Thread(target=work, args=(c,), daemon=True) for c in clients]
    for thread in threads[:2]:
        thread.start()
    three.kill_leader()
    assert not entered
    threads[2].start()
    eventually(lambda: len(entered) == 3, 30, "not everyone got in")
    assert not left
    ready.set()
    for thread in threads:
        thread.join(30)
    assert len(left) == 3


@pytest.mark.parametrize("recipe", ["Queue", "LockingQueue"])
def test_a_queue_loses_nothing(three, recipe):
    producer, consumer = three.clients(2)
    path = f"/queue{recipe}"
    incoming, outgoing = getattr(producer, recipe)(path), getattr(consumer, recipe)(path)
    items = [b"%03d" % i for i in range(60)]
    for item in items[:30]:
        incoming.put(item)
    three.kill_leader()
    for item in items[30:]:
        producer.retry(incoming.put, item)
    taken = []
    while len(set(taken)) < len(items):
        if recipe == "Queue":
            got = consumer.retry(outgoing.get)
        else:
            got = outgoing.get(timeout=20)
            assert consumer.retry(outgoing.consume)
        assert got is not None, f"missing: {set(items) - set(taken)}"
        taken.append(got)
    # A put that was answered by a lost connection is put once more; order holds all the same.
    assert list(dict.fromkeys(taken)) == items


def test_a_party_knows_its_guests(three):
    clients = three.clients(3)
    parties = [c.Party(three.path, f"guest{i}") for i, c in enumerate(clients)]
    for party in parties:
        party.join()
    three.kill_leader()
    eventually(lambda: sorted(clients[0].retry(lambda: list(parties[0]))) == [f"guest{i}" for i in range(3)],
               20, "a guest is missing")
    clients[2].retry(parties[2].leave)
    eventually(lambda: clients[0].retry(lambda: len(parties[0])) == 2, 20, "a guest stays")


def test_a_counter_counts(three):
    """None is lost, whoever counts.

    A change whose answer went with its connection kazoo makes once more: with every connection that breaks one may
    count twice.
    """
    clients = three.clients(3)
    breaks = []
    for client in clients:
        client.add_listener(lambda state: breaks.append(state) if state == KazooState.SUSPENDED else None)
    counters = [c.Counter(three.path) for c in clients]
    done = [0] * len(clients)
    unsure = [0] * len(clients)

    def work(i):
        try:
            counters[i] += 1
            done[i] += 1
        except KazooException:
            unsure[i] += 1  # the answer was lost with the connection

    workers = Workers(work, range(len(clients)))
    eventually(lambda: sum(done) > 30, 30, "nobody counts")
    three.kill_leader()
    before = sum(done)
    eventually(lambda: sum(done) > before + 30, 30, "nobody counts any more")
    workers.stop()
    clients[0].retry(clients[0].sync, three.path)
    assert sum(done) <= counters[0].value <= sum(done) + sum(unsure) + len(breaks)


def test_watches_of_data_and_children(three):
    """kazoo arms them again on another member with setWatches: the last state is always seen."""
    watcher, writer = three.clients(2)
    writer.create(three.path, b"start")
    data, children = [], []
    watcher.DataWatch(three.path, lambda value, stat: data.append(value) and None)
    watcher.ChildrenWatch(three.path, lambda names: children.append(sorted(names)) and None)
    for number in range(3):
        three.kill_leader()
        writer.retry(writer.set, three.path, b"%d" % number)
        writer.retry(writer.create, f"{three.path}/{number}")
        eventually(lambda: data[-1] == b"%d" % number, 20, f"the data was not seen: {data}")
        eventually(lambda: children[-1] == [str(n) for n in range(number + 1)], 20, f"not seen: {children}")
    assert data == list(dict.fromkeys(data)), "a state was shown twice"


# ---------------------------------------------------------------- other clients


class Typed(harness.RunningProcess):
    """A client program that is typed to."""

    def expect(self, text, timeout_s=30):
        """Reads lines until one has `text`; that line."""
        deadline = time.monotonic() + timeout_s
        while True:
            try:
                line = self.line(max(0.01, deadline - time.monotonic()))
            except queue.Empty:
                line = None
            assert line is not None, f"'{text}' did not come in:\n" + "\n".join(self.lines[-40:])
            if text in line:
                return line

    def ask(self, command, text, timeout_s=30):
        self.send(command + "\n")
        return self.expect(text, timeout_s)


def _need(program):
    if not program.exists():
        pytest.skip(f"{program.name} is not installed: run ./dev packages")


def test_zkcli_through_the_death_of_the_leader(three):
    _need(ZKCLI)
    with Typed([str(ZKCLI), "-server", three.hosts, "-timeout", str(SESSION_S * 1000)]) as cli:
        cli.ask("create -e /cli before", "Created /cli", timeout_s=60)
        owner = cli.ask("stat /cli", "ephemeralOwner = 0x")
        three.kill_leader()
        eventually(lambda: _answers(cli), 60, "zkCli.sh does not come back")
        assert cli.ask("stat /cli", "ephemeralOwner = 0x") == owner
        cli.send("set /cli after\n")
        cli.ask("get /cli", "after")
        cli.ask("create /cli2 x", "Created /cli2")
        cli.send("delete /cli2\n")
        cli.ask("stat /cli2", "Node does not exist: /cli2")
        cli.ask("get /cli", "after")  # quit ends with the status of the command before it
        cli.send("quit\n")
        assert cli.wait(30) == 0


def _answers(cli):
    """Whether zkCli.sh gets an answer; a lost connection is what it says meanwhile."""
    cli.send("get /cli\n")
    try:
        return cli.expect("before", timeout_s=3)
    except AssertionError:
        return None


def test_the_c_client_through_the_death_of_the_leader(three):
    _need(C_CLIENT)
    with Typed([str(C_CLIENT), "-h", three.hosts]) as cli:
        cli.ask("create +e /c", "Creating [/c] node")
        with zk.connect(three.endpoints[0]) as other:
            owner = eventually(lambda: other.call(zk.exists("/c")).value, 20, "/c is not there").ephemeral_owner
        three.kill_leader()

        def changed():
            cli.send("set /c after\n")
            with zk.connect(three.endpoints[0]) as other:
                other.value(zk.sync("/"))
                data, stat = other.value(zk.get_data("/c"))
                assert stat.ephemeral_owner == owner
                return data == b"after"

        eventually(changed, 30, "the C client does not come back")
        cli.send("quit\n")
        assert cli.wait(30) == 0
    eventually(lambda: _gone(three, "/c"), 60, "the C client's node outlives its session")


def _gone(three, path):
    with zk.connect(three.endpoints[0]) as other:
        return other.error(zk.exists(path)) == zk.NO_NODE


# ---------------------------------------------------------------- many sessions at once


class Healthy(threading.Thread):
    """Sessions that ping in time, and attach elsewhere when a member dies; `complaints` says what befell them."""

    TIMEOUT_MS = 4000

    def __init__(self, endpoints, count):
        super().__init__(daemon=True)
        self._endpoints = endpoints
        self._stopping = threading.Event()
        self.complaints = []
        self.longest_s = 0
        self._held = []
        for i in range(count):
            c = zk.connect(endpoints[i % len(endpoints)], timeout_ms=self.TIMEOUT_MS)
            c.value(zk.create(f"/healthy{i}", b"", zk.OPEN, zk.EPHEMERAL))
            self._held.append(c)
        self._sessions = [c.session for c in self._held]
        self.start()

    def run(self):
        while not self._stopping.wait(0.3):
            started = time.monotonic()
            for c in self._held:
                c.send(zk.ping())
            for i, c in enumerate(self._held):
                try:
                    c.reply(10)
                except (zk.Closed, TimeoutError):
                    if not self._attach_again(i):
                        return
            self.longest_s = max(self.longest_s, time.monotonic() - started)

    def _attach_again(self, i):
        self._held[i] = _attach(self._endpoints, self._held[i], timeout_ms=self.TIMEOUT_MS)
        if self._held[i].session == self._sessions[i]:
            return True
        self.complaints.append(f"session {self._sessions[i]:#x} is over")
        return False

    def _keeps_its_node(self, i):
        """A connection may go with its leader, or when the disks stall; the session must not."""
        while True:
            try:
                return self._held[i].call(zk.exists(f"/healthy{i}")).err == zk.OK
            except (zk.Closed, TimeoutError):
                if not self._attach_again(i):
                    return False

    def stop(self):
        self._stopping.set()
        self.join(60)
        for i in range(len(self._held)):
            if not self._keeps_its_node(i):
                self.complaints.append(f"/healthy{i} is gone")
            self._held[i].call(zk.close_session())
        return self.complaints


class Crowd:
    """Processes with thousands of sessions each (zookeeper_sessions.py)."""

    PROCESSES = 4

    def __init__(self, count, timeout_ms, endpoints):
        script = pathlib.Path(__file__).with_name("zookeeper_sessions.py")
        share = str(count // self.PROCESSES)
        self._processes = [
            harness.RunningProcess([sys.executable, str(script), share, str(timeout_ms), *endpoints])
            for _ in range(self.PROCESSES)]

    def ask(self, command, timeout_s=120):
        """(how many have what the command asks for, how many sessions are over)."""
        for process in self._processes:
            process.send(command + "\n")
        answers = [process.line(timeout_s).split() for process in self._processes]
        assert all(answer[0] == command.split()[0] for answer in answers), answers
        return tuple(sum(int(answer[i]) for answer in answers) for i in (1, 2))

    def close(self):
        for process in self._processes:
            process.close()


def _come_back(three, count, capsys):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < count + 2000:
        pytest.skip(f"{count} connections need more open files than {hard}: raise ulimit -n")
    crowd = Crowd(count, 40_000, three.endpoints)
    try:
        assert crowd.ask("open") == (count, 0)
        dying = three.leader()
        staying = [s.zookeeper_endpoint for s in three.cluster.servers if s is not dying] or three.endpoints
        healthy = Healthy(staying, 24)
        if len(staying) > 1:
            three.kill_leader()
        started = time.monotonic()
        assert crowd.ask(f"again {' '.join(staying)}") == (count, 0)
        took_s = time.monotonic() - started
        assert crowd.ask("ping")[0] == count
        assert not healthy.stop()
        with capsys.disabled():
            print(f"\n  {count} sessions were back after {took_s:.1f} s; the slowest round of healthy pings took"
                  f" {healthy.longest_s:.2f} s")
    finally:
        crowd.close()


def test_two_thousand_sessions_come_back_at_once(three, capsys):
    _come_back(three, 2000, capsys)


@pytest.mark.long
def test_ten_thousand_sessions_come_back_at_once(three, capsys):
    """Not one healthy session ends while they do."""
    _come_back(three, 10_000, capsys)
