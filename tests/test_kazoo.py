"""kazoo's own tests, as Debian's python3-kazoo brings them, against three members of ours.

kazoo's harness writes a zoo.cfg for each member and starts `java` from the PATH: zookeeper_java.py stands there.
WITAN_TEST_SUBJECT=zookeeper runs the same with the real java, which is how ALLOWED was learned: 476 pass, 2 are
skipped and test_read_only fails, in about two and a half minutes.
"""

import importlib.util
import os
import pathlib
import signal
import socket
import subprocess
import sys
import xml.etree.ElementTree as ElementTree

import pytest

import harness
import zookeeper_java
import zookeeper_server

MEMBERS = 3
PORTS_OF_A_MEMBER = 10  # how far apart kazoo's harness puts the ports of its members
TIME_S = 1500
TESTS_AT_LEAST = 470  # of the 479 there are: a run that skips or loses more proves nothing

# What may fail, with the reason. Nothing is added here that a client could notice in earnest.
ALLOWED_OF_THE_ORIGINAL = {
    "test_connection.TestReadOnlyMode.test_read_only":
        "waits 6 s to become a read-only client after two of three members are gone, which takes ZooKeeper longer",
}
ALLOWED = {}
SKIPPED = {
    "test_sasl.TestSASLGSSAPIAuthentication.test_connect_gssapi_auth": "needs a Kerberos server",
    "test_sasl.TestSASLGSSAPIAuthentication.test_invalid_gssapi_auth": "needs a Kerberos server",
}


def _missing():
    wanted = ("kazoo", "mock", "objgraph", "eventlet", "gevent", "puresasl")
    return [name for name in wanted if importlib.util.find_spec(name) is None]


def _free_ports(count):
    """The first of `count` ports in a row that nobody listens on, below the range that connections come from."""
    first = 12000 + os.getpid() % 15000
    for start in range(first, 31000, count):
        sockets = []
        try:
            for number in range(start, start + count):
                sockets.append(socket.socket())
                sockets[-1].setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                sockets[-1].bind(("127.0.0.1", number))
            return start
        except OSError:
            continue
        finally:
            for s in sockets:
                s.close()
    raise RuntimeError("no free ports in a row")


def _environment(directory, original):
    """The settings that kazoo's harness reads; TRAVIS makes it run the tests that depend on the version."""
    env = {k: v for k, v in os.environ.items() if not k.startswith(("ZOOKEEPER_", "PYTEST_"))}
    env |= {
        "TRAVIS": "true", "ZOOKEEPER_VERSION": "3.8.0" if original else "3.9.5",
        "ZOOKEEPER_CLASSPATH": str(zookeeper_server.JAR),
        "ZOOKEEPER_CLUSTER_SIZE": str(MEMBERS), "TMPDIR": str(directory),
        "ZOOKEEPER_PORT_OFFSET": str(_free_ports(MEMBERS * PORTS_OF_A_MEMBER)),
    }
    if not original:
        stand_in = directory / "bin" / "java"
        stand_in.parent.mkdir()
        stand_in.write_text(f"#!/bin/sh\nexec {sys.executable} {zookeeper_java.__file__} \"$@\"\n")
        stand_in.chmod(0o755)
        env |= {"PATH": f"{stand_in.parent}:{env['PATH']}", "WITAN_BIN": harness.require_witan()}
    return env


def _run(directory, original):
    """Runs kazoo's tests in a process group of their own, which is gone afterwards with its servers."""
    results = directory / "kazoo.xml"
    log = directory / "kazoo.log"
    with open(log, "wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-q", "--timeout=120", "--tb=short",
             f"--rootdir={directory}", f"--junitxml={results}", "--pyargs", "kazoo.tests"],
            cwd=directory, env=_environment(directory, original), stdin=subprocess.DEVNULL, stdout=output,
            stderr=subprocess.STDOUT, start_new_session=True)
        try:
            process.wait(TIME_S)
        finally:
            try:
                os.killpg(process.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
            process.wait()
    assert results.exists(), f"kazoo's tests came to no end:\n{_tail(log)}"
    return results, log


def _tail(log, size=6000):
    return log.read_bytes()[-size:].decode("utf-8", "replace")


def _outcomes(results):
    """name -> (outcome, message) of each test in a JUnit file."""
    outcomes = {}
    for case in ElementTree.parse(results).iter("testcase"):
        name = f"{case.get('classname').removeprefix('kazoo.tests.')}.{case.get('name')}"
        outcomes[name] = ("passed", "")
        for kind in ("failure", "error", "skipped"):
            found = case.find(kind)
            if found is not None:
                outcomes[name] = (kind, found.get("message", ""))
    return outcomes


def _judge(outcomes, allowed):
    """Complaints about outcomes: failures and skips that no list allows, and entries of the lists that do not fail."""
    complaints = []
    for name, (outcome, message) in sorted(outcomes.items()):
        if outcome in ("failure", "error") and name not in allowed:
            complaints.append(f"{name}: {outcome}: {message[:300]}")
        elif outcome == "skipped" and name not in SKIPPED:
            complaints.append(f"{name} was skipped: {message[:300]}")
        elif outcome == "passed" and name in allowed:
            complaints.append(f"{name} passes: take it off the list")
    if len(outcomes) < TESTS_AT_LEAST:
        complaints.append(f"only {len(outcomes)} tests ran")
    return complaints


def test_kazoos_own_tests(tmp_path, capsys):
    if _missing():
        pytest.skip(f"not installed: {', '.join(_missing())}; run ./dev packages")
    original = zookeeper_server.is_original()
    if not original:
        known = subprocess.run([harness.require_witan(), "zookeeper", "--help"], capture_output=True, timeout=30)
        assert known.returncode == 0, "there is no `witan zookeeper` to start"
    results, log = _run(pathlib.Path(tmp_path), original)
    outcomes = _outcomes(results)
    complaints = _judge(outcomes, ALLOWED_OF_THE_ORIGINAL if original else ALLOWED)
    passed = sum(outcome == "passed" for outcome, _ in outcomes.values())
    with capsys.disabled():
        print(f"\n  kazoo's tests: {passed} of {len(outcomes)} pass")
    assert not complaints, "\n".join([*complaints, "the end of the log:", _tail(log)])


# ---------------------------------------------------------------- what the test is made of


def test_the_stand_in_translates():
    arguments = ["-cp", "/x/zookeeper.jar", "-Dfile.encoding=UTF-8", "-Dreadonlymode.enabled=true",
                 "-Dzookeeper.log.dir=/x", "-Dlog4j.configuration=file:/x", "-Djava.awt.headless=true",
                 "-Djava.security.auth.login.config=/x/jaas.conf",
                 "-Dzookeeper.DigestAuthenticationProvider.superDigest=super:x=", zookeeper_java.MAIN, "/x/zoo.cfg"]
    assert zookeeper_java.translated(arguments, "/bin/witan") == [
        "/bin/witan", "zookeeper", "/x/zoo.cfg", "-Dreadonlymode.enabled=true",
        "-Djava.security.auth.login.config=/x/jaas.conf",
        "-Dzookeeper.DigestAuthenticationProvider.superDigest=super:x="]


@pytest.mark.parametrize("arguments", [
    [], [zookeeper_java.MAIN], ["Other", "/x/zoo.cfg"], ["-Dsomething=1", zookeeper_java.MAIN, "/x/zoo.cfg"],
    ["-version", zookeeper_java.MAIN, "/x/zoo.cfg"], [zookeeper_java.MAIN, "/x/zoo.cfg", "more"],
])
def test_the_stand_in_refuses(arguments):
    with pytest.raises(ValueError):
        zookeeper_java.translated(arguments, "/bin/witan")


def test_the_judge_rejects():
    good = {f"t{i}": ("passed", "") for i in range(TESTS_AT_LEAST)}
    assert not _judge(good, {})
    assert _judge(good | {"bad": ("failure", "why")}, {}) == ["bad: failure: why"]
    assert not _judge(good | {"bad": ("error", "why")}, {"bad": "reason"})
    assert _judge(good | {"bad": ("passed", "")}, {"bad": "reason"}) == ["bad passes: take it off the list"]
    assert _judge(good | {"slow": ("skipped", "no")}, {}) == ["slow was skipped: no"]
    assert not _judge(good | {next(iter(SKIPPED)): ("skipped", "no")}, {})
    assert _judge({"t1": ("passed", "")}, {}) == ["only 1 tests ran"]
