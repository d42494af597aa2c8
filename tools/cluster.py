"""./dev cluster N: members on this machine, in one terminal, ending together."""

import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
from pathlib import Path

import house
from house import Failed, say

# etcd's; its peers' is the next. Member i has all its ports 10 * (i - 1) higher.
FIRST_PORT = 2379
FIRST_ZOOKEEPER_PORT = 2181
READY = "ready to serve client requests"
PATIENCE_S = 30
GRACE_S = 10


class Member:
    """One process, its addresses, and a thread that prints its lines with its name before them."""

    def __init__(self, number, folder):
        self.name = f"n{number}"
        self.client = f"127.0.0.1:{FIRST_PORT + 10 * (number - 1)}"
        self.peer = f"127.0.0.1:{FIRST_PORT + 1 + 10 * (number - 1)}"
        self.zookeeper = f"127.0.0.1:{FIRST_ZOOKEEPER_PORT + 10 * (number - 1)}"
        self.data = folder / self.name
        self.ready = threading.Event()
        self.process = None
        self.reported = False

    def addresses(self):
        return self.client, self.zookeeper, self.peer

    def start(self, everyone, extra):
        command = [
            str(house.witan()), "serve", "--name", self.name, "--data-dir", str(self.data),
            "--etcd-listen", self.client, "--zookeeper-listen", self.zookeeper, "--peer-listen", self.peer,
            "--initial-cluster", ",".join(f"{member.name}={member.peer}" for member in everyone), *extra,
        ]
        # A session of its own: Ctrl-C in the terminal is ours to pass on, once.
        self.process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            errors="replace", start_new_session=True,
        )
        threading.Thread(target=self._print_lines, daemon=True).start()

    def _print_lines(self):
        for line in self.process.stdout:
            print(f"{self.name} | {line.rstrip()}", flush=True)
            if READY in line:
                self.ready.set()

    def alive(self):
        return self.process.poll() is None

    def report_end(self):
        """Says once that the process has ended, and how."""
        if self.alive() or self.reported:
            return
        self.reported = True
        code = self.process.returncode
        how = f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with status {code}"
        say(f"{self.name} {how}")


def add_arguments(parser):
    parser.add_argument("members", nargs="?", type=int, default=3, help="how many (default 3)")
    parser.add_argument("--data-dir", help="keep the data here (default: a temporary folder, removed at the end)")


def refuse_busy_ports(members):
    for address in (address for member in members for address in member.addresses()):
        host, port = address.split(":")
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((host, int(port)))
            except OSError:
                hint = f"ss -ltnp 'sport = :{port}' shows what listens there"
                raise Failed(f"{address} is in use; {hint}") from None


def wait_until_ready(members):
    """True when all serve; False when one ended or time ran out, which is then said."""
    deadline = time.monotonic() + PATIENCE_S
    for member in members:
        while not member.ready.wait(0.1):
            if not member.alive() or time.monotonic() > deadline:
                return False
    return True


def greet(members):
    print()
    for member in members:
        addresses = f"etcd {member.client}  ZooKeeper {member.zookeeper}  peers {member.peer}"
        say(f"{member.name}  {addresses}  data {member.data}  pid {member.process.pid}")
    endpoints = ",".join(member.client for member in members)
    say("try it from another terminal:")
    print(f"\n  ETCDCTL_API=3 etcdctl --endpoints={endpoints} endpoint status -w table\n", flush=True)
    say("Ctrl-C ends them all")


def stop(members):
    started = [member for member in members if member.process]
    for member in started:
        if member.alive():
            member.process.terminate()
    for member in started:
        try:
            member.process.wait(GRACE_S)
        except subprocess.TimeoutExpired:
            say(f"{member.name} did not stop within {GRACE_S} s; killing it")
            member.process.kill()
            member.process.wait()


def raise_interrupt(*_):
    raise KeyboardInterrupt


def command(options, extra):
    if not 1 <= options.members <= 9:
        raise Failed("a cluster here has 1 to 9 members")
    house.build("release", "witan")
    folder = Path(options.data_dir).resolve() if options.data_dir else Path(tempfile.mkdtemp(prefix="witan-cluster-"))
    members = [Member(number, folder) for number in range(1, options.members + 1)]
    for ending in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(ending, raise_interrupt)
    try:
        refuse_busy_ports(members)
        for member in members:
            member.start(members, extra)
        if wait_until_ready(members):
            greet(members)
        else:
            for member in members:
                member.report_end()
            raise Failed(f"not every member was ready within {PATIENCE_S} s; what they said is above")
        while any(member.alive() for member in members):
            for member in members:
                member.report_end()
            time.sleep(0.2)
        raise Failed("no member is left")
    except KeyboardInterrupt:
        print()
        say("stopping")
    finally:
        stop(members)
        if not options.data_dir:
            shutil.rmtree(folder, ignore_errors=True)
