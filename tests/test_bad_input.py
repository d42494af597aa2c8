"""What must not work: wrong starts, damaged disks, hostile clients. Each with its own clear end."""

import os
import pathlib
import random
import re
import socket
import struct
import subprocess

import grpc
import pytest

import client
import h2raw
import harness
import protos

rpc = protos.rpc

only_witan = pytest.mark.skipif(
    harness.subject_kind() != "witan", reason="about the texts and files of the server under test alone")


# ---------------------------------------------------------------- wrong starts


# What an ordinary start says before it comes to the point: a time, then the level.
ORDINARY = re.compile(r"[\d:.TZ-]+ (INFO|DEBUG) ")


def _must_refuse(server, *words):
    """It ends by itself, not with 0, and one line says what is wrong: the line has all of `words`."""
    server.start()
    try:
        status = server.wait_exit(20)
    except subprocess.TimeoutExpired:
        pytest.fail(f"it did not end; its log:\n{server.log_tail()}", pytrace=False)
    output = server.output.text()
    assert status != 0, f"it ended with 0:\n{output}"
    assert status > 0, f"it died of signal {-status}:\n{output}"
    lines = [x for x in output.splitlines() if x.strip() and not ORDINARY.match(x)]
    assert len(lines) == 1, f"expected one line that complains, got {len(lines)}:\n{output}"
    missing = [w for w in words if w.lower() not in lines[0].lower()]
    assert not missing, f"the complaint does not mention {missing}: {lines[0]}"
    return lines[0]


@pytest.fixture
def one(tmp_path):
    """make(name, **options): single servers, not started, gone after the test."""
    servers = []

    def make(name="n1", directory=None, **options):
        kind = harness.KINDS[harness.subject_kind()]
        server = kind(name, directory or tmp_path / f"s{len(servers)}", harness.Options(**options))
        servers.append(server)
        return server

    yield make
    for s in servers:
        s.dispose()


@only_witan
@pytest.mark.parametrize("extra, words", [
    (("--frobnicate",), ["--frobnicate"]),
    (("--heartbeat-ms", "abc"), ["heartbeat-ms", "abc"]),
    (("--heartbeat-ms", "0"), ["heartbeat-ms"]),
    (("--election-ms", "50"), ["election-ms", "heartbeat"]),
    (("--election-ms", "-1"), ["election-ms"]),
    (("--etcd-listen", "nonsense"), ["etcd-listen", "nonsense"]),
    (("--etcd-listen", "127.0.0.1:99999"), ["etcd-listen", "99999"]),
    (("--peer-listen", "127.0.0.1:"), ["peer-listen"]),
    (("--initial-cluster-state", "maybe"), ["initial-cluster-state", "maybe"]),
    (("--initial-cluster", "n1"), ["initial-cluster"]),
    (("--log-level", "loud"), ["log-level", "loud"]),
    (("--log-format", "xml"), ["log-format", "xml"]),
    (("--snapshot-entries", "0"), ["snapshot-entries"]),
    (("--max-request-bytes", "-5"), ["max-request-bytes"]),
    (("--auto-compaction", "soon"), ["auto-compaction", "soon"]),
    (("--api-threads", "100000"), ["api-threads"]),
    (("--config", "/nonexistent/witan.toml"), ["/nonexistent/witan.toml"]),
    (("surplus",), ["surplus"]),
])
def test_bad_flags(one, extra, words):
    server = one(extra=extra)
    # A flag given twice is refused as such, so the good one goes.
    argv = server.argv()
    if extra[0] in argv[:-len(extra)]:
        at = argv.index(extra[0])
        argv = argv[:at] + argv[at + 2:]
    server.argv = lambda: argv
    _must_refuse(server, *words)


@only_witan
def test_bad_environment(one):
    _must_refuse(one(env={"WITAN_API_THREADS": "many"}), "api", "many")


@only_witan
@pytest.mark.parametrize("text, words", [
    ("api-threads = \"many\"\n", ["api-threads"]),
    ("frobnicate = 1\n", ["frobnicate"]),
    ("api-threads = = 2\n", ["witan.toml"]),
])
def test_bad_configuration_file(one, tmp_path, text, words):
    path = tmp_path / "witan.toml"
    path.write_text(text)
    _must_refuse(one(extra=("--config", str(path))), *words)


@only_witan
def test_listening_everywhere_needs_an_address_to_tell(one):
    server = one()
    argv = server.argv()
    argv[argv.index("--etcd-listen") + 1] = f"0.0.0.0:{server.client_port.number}"
    at = argv.index("--etcd-advertise")
    server.argv = lambda: argv[:at] + argv[at + 2:]
    _must_refuse(server, "0.0.0.0", "advertise")


@only_witan
def test_initial_cluster_without_itself(one):
    server = one()
    server.initial_cluster = "other=127.0.0.1:1"
    _must_refuse(server, "n1", "initial-cluster")


@only_witan
def test_initial_cluster_with_another_address_for_itself(one):
    server = one()
    server.initial_cluster = "n1=127.0.0.1:1"
    _must_refuse(server, "127.0.0.1:1", server.peer_port.address)


@only_witan
@pytest.mark.parametrize("which", ["client_port", "peer_port"])
def test_a_port_in_use(one, which):
    server = one()
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        port = getattr(server, which)
        server.initial_cluster = server.initial_cluster.replace(port.address, address)
        port.address = address
        _must_refuse(server, address, "in use")


@only_witan
def test_a_second_process_on_one_directory(one):
    first = one().start().wait_ready()
    second = one()
    second.data_dir = first.data_dir
    _must_refuse(second, str(first.data_dir))
    with client.Client(first.endpoint) as c:
        c.put(b"a", b"1")


@only_witan
def test_a_directory_of_another_member(one):
    first = one().start().wait_ready()
    first.stop()
    other = one("n2")
    other.data_dir = first.data_dir
    _must_refuse(other, "n1", "n2", str(first.data_dir))


@only_witan
def test_a_directory_of_another_cluster(make_cluster):
    """A member of one cluster started with the data of its namesake in another one."""
    ours, theirs = make_cluster(3, token="ours"), make_cluster(3, token="theirs")
    ours[2].stop()
    theirs[2].stop()
    stranger = ours[2]
    stranger.data_dir = theirs[2].data_dir
    stranger.initial_cluster = ours[0].initial_cluster
    _must_refuse(stranger, "cluster")
    with client.Client(ours[0].endpoint) as c:
        c.put(b"a", b"1")


@only_witan
def test_a_data_directory_that_cannot_be(one, tmp_path):
    blocked = tmp_path / "file"
    blocked.write_text("")
    server = one()
    server.data_dir = blocked
    _must_refuse(server, str(blocked))
    server = one()
    server.data_dir = blocked / "below"
    _must_refuse(server, str(blocked))


@only_witan
def test_help_and_version_say_what_they_should():
    binary = harness.require_witan()
    told = subprocess.run([binary, "--help"], capture_output=True, text=True, timeout=10)
    assert told.returncode == 0 and "serve" in told.stdout and "version" in told.stdout
    told = subprocess.run([binary, "serve", "--help"], capture_output=True, text=True, timeout=10)
    assert told.returncode == 0
    for flag in ("--name", "--data-dir", "--etcd-listen", "--peer-advertise", "--initial-cluster-token",
                 "--snapshot-bytes", "--history-bytes", "--log-format", "--config"):
        assert flag in told.stdout, flag
    told = subprocess.run([binary, "version"], capture_output=True, text=True, timeout=10)
    assert told.returncode == 0 and re.search(r"\d+\.\d+", told.stdout)


@only_witan
def test_flags_environment_and_file_say_the_same(one, tmp_path):
    """A flag wins over the environment, the environment over the file."""
    path = tmp_path / "witan.toml"
    path.write_text('max-request-bytes = 1000\nname = "from-file"\n')
    for env, extra, limit in (({}, (), 1000),
                              ({"WITAN_MAX_REQUEST_BYTES": "2000"}, (), 2000),
                              ({"WITAN_MAX_REQUEST_BYTES": "2000"}, ("--max-request-bytes", "3000"), 3000)):
        server = one(env=env, extra=("--config", str(path), *extra)).start().wait_ready()
        with client.Client(server.endpoint) as c:
            assert c.call("MemberList").members[0].name == "n1"
            c.put(b"k", b"x" * (limit - 200))
            assert c.refusal("Put", key=b"k", value=b"x" * limit)[0] == "INVALID_ARGUMENT"
        server.stop()
        assert server.process.returncode == 0


# ---------------------------------------------------------------- damaged disks


def _find(directory, needle):
    """(file, offset) of the first place where the bytes stand on disk."""
    for path in sorted(p for p in pathlib.Path(directory).rglob("*") if p.is_file()):
        at = path.read_bytes().find(needle)
        if at >= 0:
            return path, at
    raise AssertionError(f"{needle} is nowhere in {directory}")


def _written(server, count, size=100):
    """A server that took `count` puts of recognisable values and was killed."""
    server.start().wait_ready()
    with client.Client(server.endpoint) as c:
        for i in range(count):
            c.put(b"k%03d" % i, b"<value %03d>" % i + b"." * size)
    server.kill()


@only_witan
def test_a_flipped_byte_in_the_log_is_damage(one):
    """Never silently served around, never cut off: valid records follow it."""
    server = one()
    _written(server, 200)
    path, at = _find(server.data_dir, b"<value 020>")
    with open(path, "r+b") as f:
        f.seek(at + 3)
        f.write(b"#")
    _must_refuse(server, str(path), "offset")
    with open(path, "r+b") as f:  # the damage repaired, nothing else has changed
        f.seek(at + 3)
        f.write(b"l")
    server.start().wait_ready()
    with client.Client(server.endpoint) as c:
        assert c.prefix(b"k").count == 200


def test_a_torn_last_record_is_recovered(one):
    """What a crash leaves of a write that was never synced: the beginning of it, then zeros."""
    server = one()
    _written(server, 50)
    if server.kind == "etcd":
        needle_dir = server.data_dir / "member" / "wal"
    else:
        needle_dir = server.data_dir
    path, at = _find(needle_dir, b"<value 049>")
    size = path.stat().st_size
    with open(path, "r+b") as f:
        f.seek(at + 5)
        f.write(b"\0" * (size - at - 5))
    if server.kind == "etcd":
        return  # its database file has the value already; only that it is found is of use here
    server.start().wait_ready()
    with client.Client(server.endpoint) as c:
        assert c.prefix(b"k").count == 49
        assert c.value(b"k048").startswith(b"<value 048>")
        c.put(b"k049", b"again")
    server.kill()
    server.start().wait_ready()
    with client.Client(server.endpoint) as c:
        assert c.value(b"k049") == b"again"


@only_witan
def test_a_missing_log_file_is_damage(one):
    server = one()
    _written(server, 50)
    path, _ = _find(server.data_dir, b"<value 020>")
    path.rename(path.with_suffix(".gone"))
    _must_refuse(server, str(server.data_dir))


@pytest.fixture
def small_disk(tmp_path):
    """A file system of its own: remount(megabytes) sets its size."""
    path = tmp_path / "disk"
    path.mkdir()

    def mount(megabytes, *more):
        subprocess.run(["mount", "-t", "tmpfs", "-o", ",".join([f"size={megabytes}m", *more]), "tmpfs", path],
                       check=True)

    mount(200)
    yield path, lambda megabytes: mount(megabytes, "remount")
    subprocess.run(["umount", "-l", path], check=True)


def test_a_full_disk(one, small_disk):
    """The server ends and says why; with room again, everything it acknowledged is there."""
    path, remount = small_disk
    server = one()
    server.data_dir = path / "data"
    server.start().wait_ready()
    acknowledged = []
    with client.Client(server.endpoint, timeout_s=5) as c:
        for i in range(400):
            try:
                c.put(b"k%03d" % i, b"%03d" % i + os.urandom(1_000_000))
            except grpc.RpcError:
                break
            acknowledged.append(i)
        else:
            pytest.fail("400 MB fitted on a disk of 200")
    status = server.wait_exit(20)
    assert status != 0
    if server.kind == "witan":
        assert status > 0, f"it died of signal {-status}"
        lines = [x for x in server.output.text().splitlines() if "No space left" in x and " INFO " not in x]
        assert len(lines) == 1, server.log_tail()
    remount(1000)
    server.start().wait_ready()
    with client.Client(server.endpoint) as c:
        for i in acknowledged:
            assert c.value(b"k%03d" % i)[:3] == b"%03d" % i
        c.put(b"more", b"room")


# ---------------------------------------------------------------- hostile clients


@pytest.fixture(scope="module")
def target(subject):
    return subject[0]


@pytest.fixture(autouse=True)
def _still_serves(request):
    """After every test with the shared server it is the same process, and it serves others."""
    if "target" not in request.fixturenames:
        yield
        return
    server = request.getfixturevalue("target")
    pid = server.pid
    before = _resident(pid)
    yield
    assert server.running() and server.pid == pid, "the server ended"
    with client.Client(server.endpoint) as c:
        c.put(b"alive", b"yes")
        assert c.value(b"alive") == b"yes"
    grown = _resident(pid) - before
    if server.kind == "witan":  # etcd grows by 400 MB for ten lazy readers of 20 MB
        assert grown < 300 << 20, f"it grew by {grown >> 20} MiB"


def _resident(pid):
    """Resident bytes of a process."""
    text = pathlib.Path(f"/proc/{pid}/status").read_text()
    return int(re.search(r"VmRSS:\s+(\d+) kB", text).group(1)) * 1024


def test_random_bytes(target):
    rng = random.Random(7)
    for size in (1, 9, 24, 100, 5000, 200_000):
        with h2raw.Connection(target.endpoint, greet=False) as c:
            c.send(rng.randbytes(size))
            c.finish()
    for size in (9, 100, 5000, 200_000):
        with h2raw.Connection(target.endpoint) as c:
            c.send(rng.randbytes(size))
            c.finish()


def test_an_http1_request(target):
    """An answer or a close, not silence."""
    with h2raw.Connection(target.endpoint, greet=False) as c:
        c.send(b"GET /nothing HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        answer = b""
        while data := c.socket.recv(65536):
            answer += data
        assert not answer or answer.startswith(b"HTTP/1.1 "), answer[:100]


PUT_A = h2raw.message(rpc.PutRequest(key=b"a", value=b"1").SerializeToString())
PUT = b"/etcdserverpb.KV/Put"

# Each is a whole connection's worth of bytes after the preface; the connection must be closed.
FATAL_FRAMES = {
    "frame of 16 MiB": h2raw.frame(h2raw.DATA, 0, 1, b"x" * 100, length=(1 << 24) - 1),
    "headers on stream 0": h2raw.frame(h2raw.HEADERS, 5, 0, h2raw.grpc_headers(PUT)),
    "data on an idle stream": h2raw.frame(h2raw.DATA, 0, 5, b"abc"),
    "even stream": h2raw.frame(h2raw.HEADERS, 5, 2, h2raw.grpc_headers(PUT)),
    "settings of odd size": h2raw.frame(h2raw.SETTINGS, 0, 0, b"12345"),
    "broken compression": h2raw.frame(h2raw.HEADERS, 5, 1, b"\xff\xff\xff\xff\xff\xff\xff\xff"),
    "push promise from a client": h2raw.frame(h2raw.PUSH, 4, 1, b"\0\0\0\2" + h2raw.grpc_headers(PUT)),
    "continuation without headers": h2raw.frame(h2raw.CONTINUATION, 4, 1, b"abc"),
    "window beyond 2^31": h2raw.frame(h2raw.WINDOW_UPDATE, 0, 0, struct.pack(">I", 0x7FFFFFFF)) * 2,
    "ping of odd size": h2raw.frame(h2raw.PING, 0, 0, b"123"),
}


@pytest.mark.parametrize("name", FATAL_FRAMES)
def test_frames_that_end_a_connection(target, name):
    with h2raw.Connection(target.endpoint) as c:
        c.send(FATAL_FRAMES[name])
        c.finish()


# Each is one stream's worth; the stream must end, and a good call on the same connection must work.
BAD_STREAMS = {
    "message cut off": [(PUT_A[:7], True)],
    "message longer than said": [(PUT_A + b"\0\0", True)],
    "message shorter than said": [(h2raw.message(b"abc", length=50), True)],
    "no message": [(b"", True)],
    "two messages in a unary call": [(PUT_A + PUT_A, True)],
    "message of 4 GiB": [(h2raw.message(b"abc", length=0xFFFFFFFF), False)],
    "compressed without saying how": [(h2raw.message(b"abc", compressed=1), True)],
    "unknown flag": [(h2raw.message(b"abc", compressed=77), True)],
    "malformed protobuf": [(h2raw.message(b"\x0a\xff\xff\xff\xff\x0f"), True)],
    "deeply nested transaction": [(None, True)],
}


def _varint(value):
    out = bytearray()
    while value >= 128:
        out.append(value % 128 + 128)
        value //= 128
    out.append(value)
    return bytes(out)


def _nested(depth):
    """A transaction in a transaction in a ..., as bytes: no library would build it."""
    data = b""
    for _ in range(depth):
        op = b"\x22" + _varint(len(data)) + data      # RequestOp.request_txn
        data = b"\x12" + _varint(len(op)) + op        # TxnRequest.success
    return data


@pytest.mark.parametrize("name", BAD_STREAMS)
def test_streams_that_end_alone(target, name):
    with h2raw.Connection(target.endpoint) as c:
        for body, end in BAD_STREAMS[name]:
            path = PUT
            if body is None:
                path, body = b"/etcdserverpb.KV/Txn", h2raw.message(_nested(3000))
            c.call(1, path, body, end)
            frames = c.until_end_of(1)
        kinds = [f[0] for f in frames]
        assert h2raw.GOAWAY not in kinds and frames, f"the connection went with the stream: {kinds}"
        c.call(3, PUT, PUT_A)
        frames = c.until_end_of(3)
        assert any(f[0] == h2raw.DATA and f[2] == 3 and f[3] for f in frames), "no answer on the next stream"


def test_a_wrong_content_type_and_method(target):
    for fields in ([(b":method", b"GET"), (b":scheme", b"http"), (b":path", PUT), (b":authority", b"x")],
                   [(b":method", b"POST"), (b":scheme", b"http"), (b":path", PUT), (b":authority", b"x"),
                    (b"content-type", b"text/plain")],
                   [(b":method", b"POST"), (b":scheme", b"http"), (b":path", b"nonsense"), (b":authority", b"x"),
                    (b"content-type", b"application/grpc")]):
        with h2raw.Connection(target.endpoint) as c:
            c.send(h2raw.frame(h2raw.HEADERS, 4, 1, h2raw.hpack(fields)) + h2raw.frame(h2raw.DATA, 1, 1, PUT_A))
            assert c.until_end_of(1)


@only_witan  # Debian's etcd takes them all
def test_endless_headers(target):
    """CONTINUATION without end (CVE-2024-24549 and its kin): cut off, not collected."""
    with h2raw.Connection(target.endpoint) as c:
        c.send(h2raw.frame(h2raw.HEADERS, 0, 1, h2raw.grpc_headers(PUT)))
        block = h2raw.hpack([(b"x-%d" % i, b"y" * 1000) for i in range(15)])
        for _ in range(4000):
            if not c.send(h2raw.frame(h2raw.CONTINUATION, 0, 1, block)):
                break
        else:
            pytest.fail("60 MB of headers were taken")


def test_rapid_resets(target):
    """HEADERS and RST_STREAM, over and over (CVE-2023-44487)."""
    with h2raw.Connection(target.endpoint) as c:
        for stream in range(1, 40_001, 2):
            sent = c.send(h2raw.frame(h2raw.HEADERS, 4, stream, h2raw.grpc_headers(PUT))
                          + h2raw.frame(h2raw.RST_STREAM, 0, stream, struct.pack(">I", 8)))
            if not sent:
                break


def test_floods_of_pings_and_settings(target):
    """Answers that nobody reads must not pile up."""
    for flood in (h2raw.frame(h2raw.PING, 0, 0, b"12345678"), h2raw.frame(h2raw.SETTINGS, 0, 0, b"")):
        with h2raw.Connection(target.endpoint) as c:
            c.socket.settimeout(3)
            try:
                for _ in range(300):
                    if not c.send(flood * 1000):
                        break
            except TimeoutError:
                pass  # it stopped reading from one that does not read: as good


def test_idle_connections(target):
    connections = [h2raw.Connection(target.endpoint, greet=i % 2 == 0) for i in range(300)]
    for c in connections[::2]:
        c.send(h2raw.frame(h2raw.HEADERS, 4, 1, h2raw.grpc_headers(PUT)) + h2raw.frame(h2raw.DATA, 0, 1, b"\0\0"))
    with client.Client(target.endpoint) as c:
        c.put(b"a", b"1")
    for c in connections:
        c.socket.close()


def test_many_streams(target):
    """Two hundred watches, each on its own stream of one connection, all told of one put."""
    with client.Client(target.endpoint) as c:
        watches = [c.watch() for _ in range(200)]
        for w in watches:
            w.create(b"many")
        for w in watches:
            assert w.receive(30).created
        c.put(b"many", b"1")
        for w in watches:
            assert w.events(1, 30)[0].kv.key == b"many"
        for w in watches:
            w.close()


def test_many_watches_on_one_stream(target):
    with client.Client(target.endpoint) as c, c.watch() as watch:
        for _ in range(2000):
            watch.create(b"many")
        ids = {watch.receive(30).watch_id for _ in range(2000)}
        assert ids == set(range(2000))
        c.put(b"many", b"1")
        assert {watch.receive(30).watch_id for _ in range(2000)} == ids


class SlowReader:
    """A watch over a raw connection that reads only when told to."""

    def __init__(self, endpoint, key):
        self.connection = h2raw.Connection(endpoint)
        request = rpc.WatchRequest(create_request=rpc.WatchCreateRequest(key=key))
        self.connection.call(1, b"/etcdserverpb.Watch/Watch", h2raw.message(request.SerializeToString()), end=False)
        self._data = bytearray()
        assert self.next_response().created

    def next_response(self):
        """The next message, with flow control windows opened as data is taken."""
        while True:
            if len(self._data) >= 5:
                size = int.from_bytes(self._data[1:5], "big")
                if len(self._data) >= 5 + size:
                    body = bytes(self._data[5:5 + size])
                    del self._data[:5 + size]
                    return rpc.WatchResponse.FromString(body)
            got = self.connection.read_frame()
            assert got is not None, "the server closed the connection of a slow reader"
            kind, _, stream, payload = got
            if kind == h2raw.DATA and payload:
                self._data += payload
                grow = struct.pack(">I", len(payload))
                self.connection.send(h2raw.frame(h2raw.WINDOW_UPDATE, 0, 0, grow)
                                     + h2raw.frame(h2raw.WINDOW_UPDATE, 0, stream, grow))


def test_slow_readers_of_a_watch(make_cluster):
    """Twenty watchers that stop reading while 60 MB pass by: the server must not keep that for each of
    them, and each still gets every event once it reads again."""
    server = make_cluster(1)[0]
    readers = [SlowReader(server.endpoint, b"slow") for _ in range(20)]
    before = _resident(server.pid)
    with client.Client(server.endpoint) as c:
        for i in range(600):
            c.put(b"slow", b"%04d" % i + b"x" * 100_000)
        grown = _resident(server.pid) - before
        assert grown < 500 << 20, f"it grew by {grown >> 20} MiB for 60 MB of events"
        for reader in (readers[0], readers[-1]):
            seen = []
            while len(seen) < 600:
                seen.extend(e.kv.version for e in reader.next_response().events)
            assert seen == list(range(1, 601))
        c.put(b"a", b"1")
    for reader in readers:
        reader.connection.socket.close()


def test_a_reader_of_a_big_range_that_does_not_read(target):
    """Its answer waits, bounded; others are served meanwhile."""
    with client.Client(target.endpoint) as c:
        for i in range(20):
            c.put(b"wide/%d" % i, b"x" * 1_000_000)
        lazy = [h2raw.Connection(target.endpoint) for _ in range(10)]
        request = rpc.RangeRequest(key=b"wide/", range_end=b"wide0").SerializeToString()
        for connection in lazy:
            connection.call(1, b"/etcdserverpb.KV/Range", h2raw.message(request))
        for i in range(50):
            c.put(b"a", b"%d" % i)
        for connection in lazy:
            connection.socket.close()
        c.delete(b"wide/", range_end=b"wide0")
