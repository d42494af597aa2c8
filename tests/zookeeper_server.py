"""Servers that speak ZooKeeper's protocol, for tests and benchmarks: Debian's ZooKeeper, and witan.

WITAN_TEST_SUBJECT set to anything but witan puts Debian's ZooKeeper into the role of the server under test.
"""

import dataclasses
import pathlib
import time

import pytest

import harness
import zk_client as zk

JAR = pathlib.Path("/usr/share/java/zookeeper.jar")
LOGGER = "/usr/share/java/slf4j-simple.jar"
JAVA = "/usr/bin/java"
# What a start costs less for a server that does not live long.
QUICK_START = ("-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-Xshare:auto")
MODES = ("leader", "follower", "standalone")
SUPER = "super:secret"
SUPER_DIGEST = zk.digest_id(SUPER)


@dataclasses.dataclass
class Options(harness.Options):
    """Settings that both understand. The superuser's name and password are SUPER.

    Unless `durable`, the original does without the fsync that a test has no use for, and starts fast.
    """

    tick_ms: int = 2000
    min_session_ms: int | None = None
    max_session_ms: int | None = None
    four_letter_words: str = "*"
    enforce_quota: bool = False
    extended_types: bool = True
    container_check_ms: int = 60_000
    durable: bool = False
    heap_mb: int | None = 256  # None: what Java takes by itself, as where Debian's scripts start it
    properties: tuple = ()  # further lines of the original's zoo.cfg


def missing():
    """What the original lacks on this machine, or None."""
    return next((path for path in (JAVA, str(JAR), LOGGER) if not pathlib.Path(path).exists()), None)


def mode(server):
    """leader, follower or standalone; None while the server does not serve."""
    try:
        # A connection that comes while it starts may never be answered.
        for line in zk.four_letter_word(server.zookeeper_endpoint, "srvr", timeout_s=0.5).splitlines():
            name, _, value = line.partition(": ")
            if name == "Mode" and value in MODES:
                return value
    except OSError:
        pass
    return None


class RealZooKeeper(harness.Server):
    """A member of Debian's ZooKeeper, named n1, n2, ...; stand-alone when it is the only one of its cluster."""

    kind = "zookeeper"

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.election_port = harness.Port()
        self.number = int(self.name.lstrip("n"))
        self.initial_cluster = (f"server.{self.number}=127.0.0.1:{self.peer_port.number}"
                                f":{self.election_port.number};{self.client_port.address}")

    def argv(self):
        if absent := missing():
            pytest.skip(f"{absent} is not installed: run ./dev packages")
        o = self.options
        self.data_dir.mkdir(exist_ok=True)
        # It renames zoo.cfg when it first starts as one of several: the file is written anew for every start.
        config = self.directory / "zoo.cfg"
        config.write_text("\n".join(self._configuration()) + "\n")
        return [
            JAVA, *([] if o.heap_mb is None else [f"-Xmx{o.heap_mb}m"]),
            *([] if o.durable else [*QUICK_START, "-Dzookeeper.forceSync=no"]),
            "-Dfile.encoding=UTF-8", "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
            f"-Dzookeeper.extendedTypesEnabled={str(o.extended_types).lower()}",
            f"-Dznode.container.checkIntervalMs={o.container_check_ms}",
            f"-Dzookeeper.enforceQuota={str(o.enforce_quota).lower()}",
            f"-Dzookeeper.DigestAuthenticationProvider.superDigest={SUPER_DIGEST}",
            *o.extra, "-cp", f"{JAR}:{LOGGER}", "org.apache.zookeeper.server.quorum.QuorumPeerMain", str(config),
        ]

    def _configuration(self):
        o = self.options
        lines = [
            f"tickTime={o.tick_ms}", f"dataDir={self.data_dir}", "initLimit=10", "syncLimit=5", "maxClientCnxns=0",
            "admin.enableServer=false", f"4lw.commands.whitelist={o.four_letter_words}", *o.properties,
        ]
        if o.min_session_ms is not None:
            lines.append(f"minSessionTimeout={o.min_session_ms}")
        if o.max_session_ms is not None:
            lines.append(f"maxSessionTimeout={o.max_session_ms}")
        members = self.initial_cluster.split(",")
        if len(members) == 1:
            return [*lines, "clientPortAddress=127.0.0.1", f"clientPort={self.client_port.number}"]
        (self.data_dir / "myid").write_text(f"{self.number}\n")
        return [*lines, *members]

    @property
    def zookeeper_endpoint(self):
        return self.client_port.address

    def wait_ready(self, timeout_s=harness.READY_TIMEOUT_S):
        """The original logs nothing that means ready: it is when it answers with its mode."""
        deadline = time.monotonic() + timeout_s
        while mode(self) is None:
            if not self.running() or time.monotonic() > deadline:
                raise RuntimeError(f"ZooKeeper {self.name} does not serve:\n{self.log_tail()}")
            time.sleep(0.02)
        return self

    def dispose(self):
        super().dispose()
        self.election_port.release()


class WitanZooKeeper(harness.WitanServer):
    """witan with both of its ports: `endpoint` is etcd's, `zookeeper_endpoint` the one of interest."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.zookeeper_port = harness.Port()

    @property
    def zookeeper_endpoint(self):
        return self.zookeeper_port.address

    zookeeper_listen = zookeeper_endpoint

    def argv(self):
        o = self.options
        argv = super().argv() + [
            "--zookeeper-tick-ms", str(o.tick_ms), "--zookeeper-container-check-ms", str(o.container_check_ms),
            "--zookeeper-max-connections", "0",
            "--zookeeper-super-digest", SUPER_DIGEST, "--zookeeper-4lw", o.four_letter_words,
            "--zookeeper-enforce-quota", str(o.enforce_quota).lower(),
        ]
        if o.min_session_ms is not None:
            argv += ["--zookeeper-min-session-ms", str(o.min_session_ms)]
        if o.max_session_ms is not None:
            argv += ["--zookeeper-max-session-ms", str(o.max_session_ms)]
        return argv

    def dispose(self):
        super().dispose()
        self.zookeeper_port.release()


KINDS = {"zookeeper": RealZooKeeper, "witan": WitanZooKeeper}


def subject_kind():
    """Which server plays the one under test."""
    return "witan" if harness.subject_kind() == "witan" else "zookeeper"


def is_original():
    return subject_kind() == "zookeeper"


class Cluster(harness.Cluster):
    """Members of one kind that know each other."""

    def __init__(self, kind, size, directory, options=None):
        super().__init__(kind, size, directory, options or Options(), KINDS[kind])

    @property
    def zookeeper_endpoints(self):
        return [s.zookeeper_endpoint for s in self.servers]

    @property
    def hosts(self):
        """The members as client libraries take them."""
        return ",".join(self.zookeeper_endpoints)

    def leader(self, timeout_s=harness.READY_TIMEOUT_S):
        """The member that leads, once one does."""
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            for server in self.servers:
                if server.running() and mode(server) in ("leader", "standalone"):
                    return server
            time.sleep(0.02)
        raise RuntimeError(f"the cluster has no leader within {timeout_s} s")
