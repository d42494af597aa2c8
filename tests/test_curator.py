"""Apache Curator's recipes, in the Java program of tests/curator, against three members and through the leader's death.

The checks are the program's; a line of its output stands for each. The same runs against Debian's ZooKeeper show that
what they ask for is what ZooKeeper's clients know.
"""

import pathlib
import re
import subprocess
import time

import pytest

import harness
import zookeeper_server

SOURCES = sorted((harness.REPOSITORY / "tests" / "curator").glob("*.java"))
JARS = [pathlib.Path("/usr/share/java") / f"{name}.jar"
        for name in ("curator-recipes", "curator-x-discovery", "slf4j-simple")]
JAVAC = pathlib.Path("/usr/bin/javac")
HOLD_S = 12
# Within this time containers without children and TTL nodes that nobody touches are removed.
REAP_S = 15
QUICK_START = ("-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1")


@pytest.fixture(scope="module")
def program(tmp_path_factory):
    """The command that runs the compiled program, without its arguments."""
    absent = [str(path) for path in (JAVAC, *JARS) if not path.exists()]
    if absent:
        pytest.skip(f"Curator needs {', '.join(absent)}: run ./dev packages")
    classes = tmp_path_factory.mktemp("curator")
    jars = ":".join(map(str, JARS))
    compiled = subprocess.run(
        [str(JAVAC), "-J-XX:+UseSerialGC", "-Xlint:all,-try,-path,-classfile", "-Werror", "-d", str(classes),
         "-cp", jars, *map(str, SOURCES)], capture_output=True, text=True, timeout=120)
    assert compiled.returncode == 0, compiled.stdout + compiled.stderr
    return [zookeeper_server.JAVA, *QUICK_START, "-Xmx256m", "-Dorg.slf4j.simpleLogger.defaultLogLevel=error",
            "-cp", f"{classes}:{jars}", "CuratorChecks"]


@pytest.fixture
def make(tmp_path):
    """make(kind, size): a started cluster, gone after the test; failures show the ends of its logs."""
    clusters = []

    def start(kind, size):
        if kind == "zookeeper" and (absent := zookeeper_server.missing()):
            pytest.skip(f"Debian's ZooKeeper needs {absent}: run ./dev packages")
        options = zookeeper_server.Options(
            tick_ms=1000, container_check_ms=500)
        clusters.append(zookeeper_server.Cluster(kind, size, tmp_path, options))
        return clusters[-1].start()

    yield start
    for cluster in clusters:
        cluster.dispose()
        for server in cluster.servers:
            if server in harness.started_servers:
                harness.started_servers.remove(server)


class Run:
    """The program at work."""

    def __init__(self, program, directory, *arguments):
        self._errors = open(directory / "curator-errors.txt", "w+", encoding="utf-8", errors="replace")
        self._process = subprocess.Popen([*program, *arguments], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                         stderr=self._errors)
        self._output = harness.OutputReader(self._process.stdout, directory / "curator.txt")

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait()
        self._errors.close()

    def wait_for(self, text, timeout_s):
        assert self._output.wait_for(text, timeout_s), f"no line '{text}':\n{self._all()}"

    def lines(self, timeout_s):
        """What it printed, when it ended in time and every check held."""
        try:
            status = self._process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            pytest.fail(f"not done within {timeout_s} s:\n{self._all()}")
        self._output.join(timeout_s)
        assert status == 0, self._all()
        lines = self._output.text().splitlines()
        assert lines[-1] == "all checks held", lines
        print("\n".join(lines))
        return lines

    def _all(self):
        self._errors.seek(0)
        return self._output.text() + self._errors.read()[-4000:]


def kinds():
    """The server under test; in long runs also the original for reference."""
    if harness.subject_kind() != "witan":
        return ["zookeeper"]
    return ["witan", pytest.param("zookeeper", marks=pytest.mark.long)]


@pytest.mark.parametrize("kind", kinds())
def test_every_recipe_of_curator_keeps_its_promise(program, make, tmp_path, kind):
    cluster = make(kind, 3 if kind == "witan" else 1)
    further = ["--side-by-side"] if kind == "witan" else []
    with Run(program, tmp_path, "--reap", str(REAP_S), *further, cluster.hosts) as run:
        lines = run.lines(120)
    assert sum(line.startswith("ok ") for line in lines) >= 45


@pytest.mark.parametrize("kind", kinds())
def test_recipes_go_on_through_the_death_of_the_leader(program, make, tmp_path, kind):
    """No session lost, no lock held twice, and the caches are equal to the tree."""
    cluster = make(kind, 3)
    with Run(program, tmp_path, "--hold", str(HOLD_S), cluster.hosts) as run:
        run.wait_for("holding", 60)
        time.sleep(HOLD_S / 4)  # The recipes have been at work for a while: nothing is waited for.
        cluster.leader().kill()
        lines = run.lines(HOLD_S + 90)
    sessions = next(line for line in lines if "sessions lost: 0" in line)
    suspended, again = map(int, re.search(r"(\d+) times suspended, (\d+) times connected again", sessions).groups())
    assert suspended > 0 and again == suspended, f"the leader had clients, and they came back: {sessions}"
