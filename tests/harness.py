"""Real server processes for the black-box tests: Debian's etcd and witan behind one interface.

Every test drives a `Server` or a `Cluster` and never asks which of the two it holds, except to look
up a known difference. WITAN_BIN names the binary under test (default build/release/witan below the
repository). WITAN_TEST_SUBJECT=etcd puts Debian's etcd into the role of the server under test: it is
how the tests themselves are tested.
"""

import dataclasses
import os
import pathlib
import queue
import signal
import socket
import subprocess
import threading
import time

REPOSITORY = pathlib.Path(__file__).resolve().parent.parent
READY_TIMEOUT_S = 30
STOP_TIMEOUT_S = 20

# Every server ever started by the running test, so that a failure can show the ends of their logs.
started_servers = []


def witan_binary():
    return pathlib.Path(os.environ.get("WITAN_BIN", REPOSITORY / "build" / "release" / "witan")).absolute()


def require_witan():
    """The binary under test; raises with what to do when there is none: a missing server never passes."""
    path = witan_binary()
    if not os.access(path, os.X_OK):
        raise RuntimeError(f"no server to test: {path} is not there. Run ./dev build, or set WITAN_BIN.")
    return str(path)


class Port:
    """A loopback port of the kernel's choice that stays ours while servers come and go on it.

    The socket stays bound without listening. With SO_REUSEADDR on both sides a server can still
    listen there, while the kernel gives the number neither to another bind(0) nor to a connection.
    """

    def __init__(self):
        self._socket = socket.socket()
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._socket.bind(("127.0.0.1", 0))
        self.number = self._socket.getsockname()[1]
        self.address = f"127.0.0.1:{self.number}"

    def release(self):
        self._socket.close()


@dataclasses.dataclass
class Options:
    """Settings that both kinds of server understand; None leaves the server's default."""

    heartbeat_ms: int = 100
    election_ms: int = 1000
    snapshot_entries: int | None = None
    max_request_bytes: int | None = None
    quota_bytes: int | None = None
    token: str = "t1"
    extra: tuple = ()
    env: dict = dataclasses.field(default_factory=dict)


class OutputReader(threading.Thread):
    """Copies a process's output to a file and wakes whoever waits for a line."""

    def __init__(self, pipe, path):
        super().__init__(daemon=True)
        self._pipe = pipe
        self._path = path
        self._lines = []
        self._changed = threading.Condition()
        self._closed = False
        self.start()

    def run(self):
        with open(self._path, "ab", buffering=0) as log:
            for line in self._pipe:
                log.write(line)
                with self._changed:
                    self._lines.append(line.decode("utf-8", "replace"))
                    self._changed.notify_all()
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def wait_for(self, text, timeout_s):
        """True once a line with `text` was read, False when the output ended or time is up."""
        deadline = time.monotonic() + timeout_s
        seen = 0
        with self._changed:
            while True:
                for line in self._lines[seen:]:
                    if text in line:
                        return True
                seen = len(self._lines)
                left = deadline - time.monotonic()
                if self._closed or left <= 0:
                    return False
                self._changed.wait(left)

    def text(self):
        with self._changed:
            return "".join(self._lines)


class Server:
    """One member: its addresses, its directory, and the process that may be running on them."""

    kind = "?"
    ready_line = "?"
    peer_scheme = ""

    def __init__(self, name, directory, options=None, client_port=None, peer_port=None):
        self.name = name
        self.directory = pathlib.Path(directory)
        self.directory.mkdir(parents=True, exist_ok=True)
        self.data_dir = self.directory / "data"
        self.log_path = self.directory / "log.txt"
        self.options = options or Options()
        self.client_port = client_port or Port()
        self.peer_port = peer_port or Port()
        self.initial_cluster = f"{name}={self.peer_scheme}{self.peer_port.address}"
        self.initial_state = "new"
        self.process = None
        self.output = None

    def argv(self):
        raise NotImplementedError

    def environment(self):
        inherited = {k: v for k, v in os.environ.items() if not k.startswith(("ETCD_", "WITAN_"))}
        return inherited | self.options.env

    @property
    def endpoint(self):
        return self.client_port.address

    @property
    def pid(self):
        return self.process.pid

    def running(self):
        return self.process is not None and self.process.poll() is None

    def start(self):
        """Starts the process without waiting for it. Main thread only: the kernel ends the child with
        the thread that started it, so that no server outlives an interrupted test run."""
        assert threading.current_thread() is threading.main_thread()
        assert not self.running()
        self.process = subprocess.Popen(
            ["/usr/bin/setpriv", "--pdeathsig", "KILL", *self.argv()],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=self.environment(),
        )
        self.output = OutputReader(self.process.stdout, self.log_path)
        if self not in started_servers:
            started_servers.append(self)
        return self

    def wait_ready(self, timeout_s=READY_TIMEOUT_S):
        if not self.output.wait_for(self.ready_line, timeout_s):
            raise RuntimeError(
                f"{self.kind} {self.name} did not say '{self.ready_line}' within {timeout_s} s"
                f" (exit status {self.process.poll()}):\n{self.log_tail()}"
            )
        return self

    def wait_exit(self, timeout_s=STOP_TIMEOUT_S):
        """The exit status of a process that ends by itself."""
        status = self.process.wait(timeout_s)
        self.output.join(timeout_s)
        return status

    def stop(self):
        """Graceful: SIGTERM. Raises when the server does not end in time."""
        if self.running():
            self.process.send_signal(signal.SIGTERM)
            self.wait_exit()

    def kill(self):
        """kill -9, as a power cut for one process."""
        if self.running():
            self.process.kill()
            self.wait_exit()

    def pause(self):
        self.process.send_signal(signal.SIGSTOP)

    def resume(self):
        self.process.send_signal(signal.SIGCONT)

    def log_tail(self, lines=30, width=300):
        try:
            tail = self.log_path.read_text("utf-8", "replace").splitlines()[-lines:]
            return "\n".join(line[:width] for line in tail)
        except FileNotFoundError:
            return "(no log)"

    def dispose(self):
        self.kill()
        self.client_port.release()
        self.peer_port.release()


class EtcdServer(Server):
    """Debian's etcd: the reference, and the stand-in that shows a test can pass."""

    kind = "etcd"
    ready_line = "serving client traffic insecurely"  # 3.4 with zap logs this once it has a leader
    peer_scheme = "http://"

    def argv(self):
        o = self.options
        argv = [
            "/usr/bin/etcd", "--name", self.name, "--data-dir", str(self.data_dir),
            "--listen-client-urls", f"http://{self.client_port.address}",
            "--advertise-client-urls", f"http://{self.client_port.address}",
            "--listen-peer-urls", f"http://{self.peer_port.address}",
            "--initial-advertise-peer-urls", f"http://{self.peer_port.address}",
            "--initial-cluster", self.initial_cluster,
            "--initial-cluster-state", self.initial_state,
            "--initial-cluster-token", o.token,
            "--heartbeat-interval", str(o.heartbeat_ms), "--election-timeout", str(o.election_ms),
            "--pre-vote", "--logger", "zap", "--log-level", "info",
        ]
        if o.snapshot_entries is not None:
            argv += ["--snapshot-count", str(o.snapshot_entries)]
        if o.max_request_bytes is not None:
            argv += ["--max-request-bytes", str(o.max_request_bytes)]
        if o.quota_bytes is not None:
            argv += ["--quota-backend-bytes", str(o.quota_bytes)]
        return argv + list(o.extra)


class WitanServer(Server):
    kind = "witan"
    ready_line = "ready to serve client requests"
    zookeeper_listen = "off"

    def argv(self):
        o = self.options
        argv = [
            require_witan(), "serve", "--name", self.name, "--data-dir", str(self.data_dir),
            "--etcd-listen", self.client_port.address, "--etcd-advertise", self.client_port.address,
            "--peer-listen", self.peer_port.address, "--peer-advertise", self.peer_port.address,
            "--zookeeper-listen", self.zookeeper_listen,
            "--initial-cluster", self.initial_cluster,
            "--initial-cluster-state", self.initial_state,
            "--initial-cluster-token", o.token,
            "--heartbeat-ms", str(o.heartbeat_ms), "--election-ms", str(o.election_ms),
        ]
        if o.snapshot_entries is not None:
            argv += ["--snapshot-entries", str(o.snapshot_entries)]
        if o.max_request_bytes is not None:
            argv += ["--max-request-bytes", str(o.max_request_bytes)]
        if o.quota_bytes is not None:
            argv += ["--memory-quota", str(o.quota_bytes)]
        return argv + list(o.extra)


KINDS = {"etcd": EtcdServer, "witan": WitanServer}


def subject_kind():
    """Which server plays the one under test."""
    return os.environ.get("WITAN_TEST_SUBJECT", "witan")


class Cluster:
    """One or more members of one kind that know each other."""

    def __init__(self, kind, size, directory, options=None, server_class=None):
        self.kind = kind
        self.directory = pathlib.Path(directory)
        self.options = options or Options()
        self._server_class = server_class or KINDS[kind]
        self.servers = [
            self._server_class(f"n{i + 1}", self.directory / f"{kind}-n{i + 1}", self.options) for i in range(size)
        ]
        initial = ",".join(s.initial_cluster for s in self.servers)
        for s in self.servers:
            s.initial_cluster = initial

    def __enter__(self):
        try:
            return self.start()
        except BaseException:
            self.dispose()
            raise

    def __exit__(self, *exc):
        self.dispose()

    def start(self):
        for s in self.servers:
            s.start()
        for s in self.servers:
            s.wait_ready()
        return self

    def __getitem__(self, index):
        return self.servers[index]

    @property
    def endpoints(self):
        return ",".join(s.endpoint for s in self.servers)

    def new_member(self, name):
        """A further process that is not part of the cluster yet: add it with MemberAdd, then start it."""
        joiner = self._server_class(name, self.directory / f"{self.kind}-{name}", self.options)
        joiner.initial_cluster = f"{self.servers[0].initial_cluster},{joiner.initial_cluster}"
        joiner.initial_state = "existing"
        self.servers.append(joiner)
        return joiner

    def dispose(self):
        for s in self.servers:
            s.dispose()


@dataclasses.dataclass
class CtlResult:
    code: int
    out: str
    err: str


def _ctl_argv(endpoints, args):
    return ["/usr/bin/etcdctl", f"--endpoints={endpoints}", *args]


def _ctl_environment():
    env = {k: v for k, v in os.environ.items() if not k.startswith("ETCDCTL_")}
    env["ETCDCTL_API"] = "3"
    return env


def etcdctl(endpoints, *args, stdin="", timeout_s=30):
    """Runs Debian's etcdctl to its end; a command that hangs is a failed test, not a hung one."""
    done = subprocess.run(
        _ctl_argv(endpoints, args), input=stdin, capture_output=True, text=True,
        errors="replace", env=_ctl_environment(), timeout=timeout_s,
    )
    return CtlResult(done.returncode, done.stdout, done.stderr)


class RunningProcess:
    """A client program that goes on: lines of its output can be waited for while it runs, and it can be typed to."""

    def __init__(self, argv, interactive=True, env=None):
        self.process = subprocess.Popen(
            argv, stdin=subprocess.PIPE if interactive else subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace", env=env,
        )
        self._queue = queue.Queue()
        self.lines = []
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self):
        for line in self.process.stdout:
            self._queue.put(line.rstrip("\n"))
        self._queue.put(None)

    def line(self, timeout_s=10):
        """The next line; None when the output has ended."""
        got = self._queue.get(timeout=timeout_s)
        if got is not None:
            self.lines.append(got)
        return got

    def read(self, count, timeout_s=10):
        """The next `count` lines; raises with what did come when they do not."""
        got = []
        try:
            for _ in range(count):
                got.append(self.line(timeout_s))
        except queue.Empty:
            raise AssertionError(f"expected {count} lines of output, got {got}") from None
        return got

    def send(self, text):
        self.process.stdin.write(text)
        self.process.stdin.flush()

    def interrupt(self, timeout_s=15):
        """Ctrl-C, as a person ends such a command; the exit status."""
        self.process.send_signal(signal.SIGINT)
        return self.wait(timeout_s)

    def wait(self, timeout_s=15):
        status = self.process.wait(timeout_s)
        self._thread.join(timeout_s)
        return status

    def close(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.close()


class RunningCtl(RunningProcess):
    """An etcdctl that goes on (watch, lock, elect)."""

    def __init__(self, endpoints, *args, interactive=False):
        super().__init__(_ctl_argv(endpoints, args), interactive, _ctl_environment())
