"""ZooKeeper's protocol by hand: records, requests and a blocking connection, for tests that compare bytes.

A Request is an opcode and the bytes of its body, so that a test can send what no client library would. Paths are str,
or bytes where they are no UTF-8, or None for a null string; data is bytes or None. Every decoder takes the whole body
and raises Undecodable when bytes are missing or left over. Times are ms, zxids and session ids signed 64-bit numbers.
"""

import base64
import hashlib
import socket
import struct
import time
from typing import NamedTuple

CREATE, DELETE, EXISTS, GET_DATA, SET_DATA, GET_ACL, SET_ACL, GET_CHILDREN, SYNC = 1, 2, 3, 4, 5, 6, 7, 8, 9
PING, GET_CHILDREN2, CHECK, MULTI, CREATE2, RECONFIG, CHECK_WATCHES, REMOVE_WATCHES = 11, 12, 13, 14, 15, 16, 17, 18
CREATE_CONTAINER, DELETE_CONTAINER, CREATE_TTL, MULTI_READ = 19, 20, 21, 22
AUTH, SET_WATCHES, SASL, GET_EPHEMERALS, GET_ALL_CHILDREN_NUMBER = 100, 101, 102, 103, 104
SET_WATCHES2, ADD_WATCH, WHO_AM_I, CLOSE_SESSION = 105, 106, 107, -11

NOTIFICATION_XID, PING_XID, AUTH_XID, SET_WATCHES_XID = -1, -2, -4, -8

OK, MARSHALLING_ERROR, UNIMPLEMENTED, BAD_ARGUMENTS = 0, -5, -6, -8
NO_NODE, NO_AUTH, BAD_VERSION, NO_CHILDREN_FOR_EPHEMERALS, NODE_EXISTS, NOT_EMPTY = -101, -102, -103, -108, -110, -111
INVALID_ACL, AUTH_FAILED, NO_WATCHER = -114, -115, -121

NODE_CREATED, NODE_DELETED, DATA_CHANGED, CHILDREN_CHANGED = 1, 2, 3, 4

PERSISTENT, EPHEMERAL, SEQUENTIAL, EPHEMERAL_SEQUENTIAL, CONTAINER, TTL, TTL_SEQUENTIAL = range(7)
READ, WRITE, CREATE_PERM, DELETE_PERM, ADMIN, ALL = 1, 2, 4, 8, 16, 31

NO_PASSWORD = bytes(16)


class Undecodable(Exception):
    """The bytes are not the record they should be."""


class Closed(Exception):
    """The server has closed the connection."""


class Acl(NamedTuple):
    perms: int
    scheme: str
    id: str


class Stat(NamedTuple):
    """A Stat in the order of the wire."""

    czxid: int
    mzxid: int
    ctime: int
    mtime: int
    version: int
    cversion: int
    aversion: int
    ephemeral_owner: int
    data_length: int
    num_children: int
    pzxid: int


OPEN = (Acl(ALL, "world", "anyone"),)


def digest_id(user_and_password):
    """The id that the digest scheme makes of "user:password"."""
    user = user_and_password.split(":", 1)[0]
    return f"{user}:{base64.b64encode(hashlib.sha1(user_and_password.encode()).digest()).decode()}"


def session_password(session):
    """The 16 bytes that every ZooKeeper server gives to this session id (java.util.Random of the id and a constant)."""
    seed = ((session ^ 0xB3415C00) ^ 0x5DEECE66D) & ((1 << 48) - 1)
    out = bytearray()
    for _ in range(4):
        seed = (seed * 0x5DEECE66D + 0xB) & ((1 << 48) - 1)
        out += struct.pack("<I", (seed >> 16) & 0xFFFFFFFF)
    return bytes(out)


# ------------------------------------------------------------------ writing records


def i32(number):
    return struct.pack(">i", number)


def i64(number):
    return struct.pack(">q", number)


def flag(value):
    return b"\1" if value else b"\0"


def buffer(data):
    return i32(-1) if data is None else i32(len(data)) + data


def text(value):
    return buffer(value.encode("utf-8", "surrogatepass") if isinstance(value, str) else value)


def vector(items, write):
    return i32(-1) if items is None else i32(len(items)) + b"".join(write(item) for item in items)


def acl(entry):
    return i32(entry.perms) + text(entry.scheme) + text(entry.id)


# ------------------------------------------------------------------ requests


class Request(NamedTuple):
    """`xid` is for the opcodes that have one of their own; None takes the connection's next."""

    op: int
    body: bytes = b""
    xid: int | None = None


def _created(op, path, data, acls, flags):
    return Request(op, text(path) + buffer(data) + vector(acls, acl) + i32(flags))


def create(path, data=b"", acls=OPEN, flags=PERSISTENT):
    return _created(CREATE, path, data, acls, flags)


def create2(path, data=b"", acls=OPEN, flags=PERSISTENT):
    return _created(CREATE2, path, data, acls, flags)


def create_container(path, data=b"", acls=OPEN, flags=CONTAINER):
    return _created(CREATE_CONTAINER, path, data, acls, flags)


def create_ttl(path, ttl_ms, data=b"", acls=OPEN, flags=TTL):
    request = _created(CREATE_TTL, path, data, acls, flags)
    return request._replace(body=request.body + i64(ttl_ms))


def delete(path, version=-1):
    return Request(DELETE, text(path) + i32(version))


def delete_container(path):
    return Request(DELETE_CONTAINER, text(path))


def exists(path, watch=False):
    return Request(EXISTS, text(path) + flag(watch))


def get_data(path, watch=False):
    return Request(GET_DATA, text(path) + flag(watch))


def set_data(path, data=b"", version=-1):
    return Request(SET_DATA, text(path) + buffer(data) + i32(version))


def get_acl(path):
    return Request(GET_ACL, text(path))


def set_acl(path, acls=OPEN, version=-1):
    return Request(SET_ACL, text(path) + vector(acls, acl) + i32(version))


def get_children(path, watch=False):
    return Request(GET_CHILDREN, text(path) + flag(watch))


def get_children2(path, watch=False):
    return Request(GET_CHILDREN2, text(path) + flag(watch))


def sync(path="/"):
    return Request(SYNC, text(path))


def ping():
    return Request(PING, b"", PING_XID)


def check(path, version):
    """For multi only: alone it breaks ZooKeeper 3.8's log (ZOOKEEPER-2623), and `Connection` refuses to send it."""
    return Request(CHECK, text(path) + i32(version))


def _many(op, requests):
    parts = (i32(r.op) + flag(False) + i32(-1) + r.body for r in requests)
    return Request(op, b"".join(parts) + i32(-1) + flag(True) + i32(-1))


def multi(requests):
    return _many(MULTI, requests)


def multi_read(requests):
    return _many(MULTI_READ, requests)


def reconfig(joining=None, leaving=None, members=None, config_id=-1):
    return Request(RECONFIG, text(joining) + text(leaving) + text(members) + i64(config_id))


def check_watches(path, kind):
    return Request(CHECK_WATCHES, text(path) + i32(kind))


def remove_watches(path, kind):
    return Request(REMOVE_WATCHES, text(path) + i32(kind))


def add_watch(path, mode):
    return Request(ADD_WATCH, text(path) + i32(mode))


def set_watches(zxid, data=(), exist=(), child=()):
    return Request(SET_WATCHES, i64(zxid) + b"".join(vector(v, text) for v in (data, exist, child)), SET_WATCHES_XID)


def set_watches2(zxid, data=(), exist=(), child=(), persistent=(), recursive=()):
    vectors = (data, exist, child, persistent, recursive)
    return Request(SET_WATCHES2, i64(zxid) + b"".join(vector(v, text) for v in vectors), SET_WATCHES_XID)


def auth(scheme, data, kind=0):
    return Request(AUTH, i32(kind) + text(scheme) + buffer(data), AUTH_XID)


def sasl(token):
    return Request(SASL, buffer(token))


def get_ephemerals(prefix):
    return Request(GET_EPHEMERALS, text(prefix))


def get_all_children_number(path):
    return Request(GET_ALL_CHILDREN_NUMBER, text(path))


def who_am_i():
    return Request(WHO_AM_I)


def close_session():
    return Request(CLOSE_SESSION)


# ------------------------------------------------------------------ reading records


class Reader:
    """Takes records from the front of `data`."""

    def __init__(self, data):
        self._data = data
        self._at = 0

    def take(self, size):
        piece = self._data[self._at:self._at + size]
        if size < 0 or len(piece) < size:
            raise Undecodable(f"{size} bytes wanted at {self._at} of {self._data.hex()}")
        self._at += size
        return piece

    def int(self):
        return struct.unpack(">i", self.take(4))[0]

    def long(self):
        return struct.unpack(">q", self.take(8))[0]

    def bool(self):
        return self.take(1) != b"\0"

    def buffer(self):
        size = self.int()
        return None if size == -1 else bytes(self.take(size))

    def text(self):
        raw = self.buffer()
        return None if raw is None else raw.decode("utf-8", "surrogateescape")

    def vector(self, read):
        count = self.int()
        return None if count == -1 else [read() for _ in range(count)]

    def stat(self):
        return Stat(*struct.unpack(">qqqqiiiqiiq", self.take(68)))

    def acl(self):
        return Acl(self.int(), self.text(), self.text())

    def left(self):
        return len(self._data) - self._at

    def end(self):
        if self.left():
            raise Undecodable(f"{self.left()} bytes left over of {self._data.hex()}")


class Result(NamedTuple):
    """One part of a multi's or multiRead's answer; the header's type is -1 for an error."""

    type: int
    err: int
    value: object


def _read_results(reader):
    results = []
    while True:
        kind, done, err = reader.int(), reader.bool(), reader.int()
        if done:
            if (kind, err) != (-1, -1):
                raise Undecodable(f"a multi ends in {kind}, {err}")
            return results
        value = reader.int() if kind == -1 else _REPLIES[kind](reader)
        results.append(Result(kind, err, value))


_REPLIES = {
    CREATE: Reader.text,
    CREATE2: lambda r: (r.text(), r.stat()),
    CREATE_CONTAINER: lambda r: (r.text(), r.stat()),
    CREATE_TTL: lambda r: (r.text(), r.stat()),
    EXISTS: Reader.stat,
    GET_DATA: lambda r: (r.buffer(), r.stat()),
    SET_DATA: Reader.stat,
    GET_ACL: lambda r: (r.vector(r.acl), r.stat()),
    SET_ACL: Reader.stat,
    GET_CHILDREN: lambda r: r.vector(r.text),
    GET_CHILDREN2: lambda r: (r.vector(r.text), r.stat()),
    SYNC: Reader.text,
    MULTI: _read_results,
    MULTI_READ: _read_results,
    RECONFIG: lambda r: (r.buffer(), r.stat()),
    SASL: Reader.buffer,
    GET_EPHEMERALS: lambda r: r.vector(r.text),
    GET_ALL_CHILDREN_NUMBER: Reader.int,
    ADD_WATCH: Reader.int,
    WHO_AM_I: lambda r: r.vector(lambda: (r.text(), r.text())),
    DELETE: lambda r: None,
    CHECK: lambda r: None,
}


def decode(op, body):
    """What a successful reply to `op` says; None for those without a body."""
    reader = Reader(body)
    value = _REPLIES.get(op, lambda r: None)(reader)
    reader.end()
    return value


class Reply(NamedTuple):
    """`value` is decoded when err is 0; otherwise the body must be empty, and stands here undecoded when it is not."""

    xid: int
    zxid: int
    err: int
    value: object
    body: bytes


class Event(NamedTuple):
    type: int
    state: int
    path: str
    zxid: int


class ConnectReply(NamedTuple):
    """`read_only` is None when the reply was without that byte."""

    protocol: int
    timeout_ms: int
    session: int
    password: bytes
    read_only: bool | None


def decode_connect_reply(frame):
    reader = Reader(frame)
    fields = reader.int(), reader.int(), reader.long(), reader.buffer()
    read_only = reader.bool() if reader.left() else None
    reader.end()
    return ConnectReply(*fields, read_only)


def decode_event(frame):
    reader = Reader(frame)
    xid, zxid, err = reader.int(), reader.long(), reader.int()
    event = Event(reader.int(), reader.int(), reader.text(), zxid)
    reader.end()
    if (xid, err) != (NOTIFICATION_XID, 0):
        raise Undecodable(f"no notification: {frame.hex()}")
    return event


def decode_reply(op, frame):
    reader = Reader(frame)
    xid, zxid, err = reader.int(), reader.long(), reader.int()
    body = frame[16:]
    if err or op is None:
        return Reply(xid, zxid, err, body or None, body)
    return Reply(xid, zxid, err, decode(op, body), body)


# ------------------------------------------------------------------ a connection


class Connection:
    """One TCP connection. Requests wait for their replies in `unanswered`, in order; events gather in `events`."""

    PATIENCE_S = 20

    def __init__(self, endpoint, timeout_s=None):
        host, port = endpoint.rsplit(":", 1)
        self.timeout_s = timeout_s or self.PATIENCE_S
        self.socket = socket.create_connection((host, int(port)), self.timeout_s)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.session = 0
        self.password = NO_PASSWORD
        self.events = []
        self.unanswered = []
        self._buffer = bytearray()
        self._last_xid = 0

    # -- bytes

    def send_bytes(self, data):
        """False when the connection is gone."""
        try:
            self.socket.sendall(data)
            return True
        except (BrokenPipeError, ConnectionResetError):
            return False

    def send_frame(self, payload):
        return self.send_bytes(i32(len(payload)) + payload)

    def read_frame(self, timeout_s=None):
        """The next packet's payload; raises Closed at the end of the stream and TimeoutError when none comes."""
        deadline = time.monotonic() + (self.timeout_s if timeout_s is None else timeout_s)
        while True:
            if len(self._buffer) >= 4:
                size = struct.unpack_from(">i", self._buffer)[0]
                if len(self._buffer) >= 4 + size:
                    frame = bytes(self._buffer[4:4 + size])
                    del self._buffer[:4 + size]
                    return frame
            self._fill(deadline)

    def _fill(self, deadline):
        left = deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError(f"no packet came; {len(self._buffer)} bytes of one are here")
        self.socket.settimeout(left)
        try:
            data = self.socket.recv(1 << 16)
        except ConnectionResetError:
            data = b""
        if not data:
            if self._buffer:
                raise Undecodable(f"closed inside a packet: {bytes(self._buffer).hex()}")
            raise Closed
        self._buffer += data

    def wait_closed(self, timeout_s=None):
        """Reads to the end of the stream; raises AssertionError when a packet comes instead."""
        try:
            frame = self.read_frame(timeout_s)
        except Closed:
            return
        raise AssertionError(f"a packet instead of the end: {frame.hex()}")

    def close(self):
        """Without a word to the server, as a client that dies."""
        self.socket.close()

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.close()

    # -- a session

    @staticmethod
    def connect_packet(timeout_ms=30000, session=0, password=NO_PASSWORD, last_zxid=0, read_only=False, protocol=0):
        """`read_only` None leaves the byte out, as clients up to 3.3 do."""
        packet = i32(protocol) + i64(last_zxid) + i32(timeout_ms) + i64(session) + buffer(password)
        return packet if read_only is None else packet + flag(read_only)

    def connect(self, **fields):
        """A new session, or with `session` and `password` an old one; a refused one answers with session 0."""
        if not self.send_frame(self.connect_packet(**fields)):
            raise Closed
        return self.connected()

    def connected(self):
        """The answer to a connect packet that was sent."""
        answer = decode_connect_reply(self.read_frame())
        self.session, self.password = answer.session, answer.password
        return answer

    # -- requests

    def pack(self, request):
        """The packet of a request, which counts as sent from now on."""
        if request.op == CHECK:
            raise ValueError("a stand-alone check breaks the original's log")
        xid = request.xid
        if xid is None:
            self._last_xid += 1
            xid = self._last_xid
        self.unanswered.append((xid, request.op))
        payload = i32(xid) + i32(request.op) + request.body
        return i32(len(payload)) + payload

    def send(self, *requests):
        """Sends them in one piece, without waiting; False when the connection is gone."""
        return self.send_bytes(b"".join(self.pack(r) for r in requests))

    def next(self, timeout_s=None):
        """The next Event, or the Reply to the oldest unanswered request; raises Closed."""
        frame = self.read_frame(timeout_s)
        if len(frame) >= 4 and Reader(frame).int() == NOTIFICATION_XID:
            event = decode_event(frame)
            self.events.append(event)
            return event
        if not self.unanswered:
            raise Undecodable(f"a reply that nobody asked for: {frame.hex()}")
        xid, op = self.unanswered.pop(0)
        reply = decode_reply(op, frame)
        if reply.xid != xid:
            raise Undecodable(f"reply to {reply.xid}, expected {xid}")
        return reply

    def reply(self, timeout_s=None):
        """The reply to the oldest unanswered request."""
        while True:
            got = self.next(timeout_s)
            if isinstance(got, Reply):
                return got

    def call(self, request, timeout_s=None):
        if not self.send(request):
            raise Closed
        while len(self.unanswered) > 1:
            self.reply(timeout_s)
        return self.reply(timeout_s)

    def value(self, request):
        """What a request that must succeed returns."""
        reply = self.call(request)
        assert reply.err == OK, f"{request}: error {reply.err}"
        return reply.value

    def error(self, request):
        """The error code of a request, 0 for none."""
        return self.call(request).err

    def event(self, timeout_s=None):
        """The oldest event not taken yet; waits for it."""
        while not self.events:
            self.next(timeout_s)
        return self.events.pop(0)


def connect(endpoint, timeout_s=None, **fields):
    """A connection with a session; raises Closed when the server ends it without an answer."""
    connection = Connection(endpoint, timeout_s)
    try:
        connection.connect(**fields)
    except BaseException:
        connection.close()
        raise
    return connection


def four_letter_word(endpoint, word, timeout_s=10):
    """The whole answer to a four-letter word."""
    host, port = endpoint.rsplit(":", 1)
    with socket.create_connection((host, int(port)), timeout_s) as s:
        s.sendall(word.encode())
        parts = []
        while part := s.recv(1 << 16):
            parts.append(part)
    return b"".join(parts).decode("utf-8", "replace")
