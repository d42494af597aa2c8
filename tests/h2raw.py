"""HTTP/2 by hand, for saying to a server what no client library would say."""

import socket
import struct

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PUSH, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = range(10)
END_STREAM, ACK, END_HEADERS = 0x1, 0x1, 0x4


def frame(kind, flags, stream, payload=b"", length=None):
    """One frame; `length` lies about the size of the payload when given."""
    size = len(payload) if length is None else length
    return struct.pack(">I", size)[1:] + bytes([kind, flags]) + struct.pack(">I", stream) + payload


def _integer(value, bits, first):
    """An HPACK integer with a prefix of `bits` bits (RFC 7541, 5.1)."""
    limit = (1 << bits) - 1
    if value < limit:
        return bytes([first | value])
    out = bytearray([first | limit])
    value -= limit
    while value >= 128:
        out.append(value % 128 + 128)
        value //= 128
    out.append(value)
    return bytes(out)


def _text(text):
    return _integer(len(text), 7, 0) + text


def hpack(fields):
    """Header fields as literals without indexing and without Huffman codes."""
    return b"".join(b"\0" + _text(name) + _text(value) for name, value in fields)


def grpc_headers(path, extra=()):
    return hpack([
        (b":method", b"POST"), (b":scheme", b"http"), (b":path", path), (b":authority", b"localhost"),
        (b"content-type", b"application/grpc"), (b"te", b"trailers"), *extra])


def message(payload, length=None, compressed=0):
    """A gRPC message with its five bytes in front; `length` lies when given."""
    size = len(payload) if length is None else length
    return bytes([compressed]) + struct.pack(">I", size) + payload


class Connection:
    """A TCP connection to a server, past the preface unless asked otherwise."""

    def __init__(self, endpoint, settings=b"", greet=True):
        host, port = endpoint.rsplit(":", 1)
        self.socket = socket.create_connection((host, int(port)), timeout=10)
        self._buffer = bytearray()
        if greet:
            self.send(PREFACE + frame(SETTINGS, 0, 0, settings))

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.socket.close()

    def send(self, data):
        """Sends; a server that has closed already is as good an answer as any."""
        try:
            self.socket.sendall(data)
            return True
        except (BrokenPipeError, ConnectionResetError):
            return False

    def finish(self):
        """Says that nothing more comes, and returns all frames up to the server's close."""
        try:
            self.socket.shutdown(socket.SHUT_WR)
        except OSError:
            pass  # it has closed already
        return self.until_closed()

    def _fill(self, size):
        while len(self._buffer) < size:
            try:
                data = self.socket.recv(65536)
            except ConnectionResetError:
                data = b""
            if not data:
                return False
            self._buffer += data
        return True

    def read_frame(self):
        """(type, flags, stream, payload), or None once the server has closed."""
        if not self._fill(9):
            return None
        size = int.from_bytes(self._buffer[:3], "big")
        kind, flags = self._buffer[3], self._buffer[4]
        stream = int.from_bytes(self._buffer[5:9], "big") & 0x7FFFFFFF
        if not self._fill(9 + size):
            return None
        payload = bytes(self._buffer[9:9 + size])
        del self._buffer[:9 + size]
        if kind == SETTINGS and not flags & ACK:
            self.send(frame(SETTINGS, ACK, 0))
        return kind, flags, stream, payload

    def until_closed(self):
        """Everything up to the server's close; raises TimeoutError when it does not close."""
        frames = []
        while (got := self.read_frame()) is not None:
            frames.append(got)
        return frames

    def until_end_of(self, stream):
        """Frames up to the end of one stream, by END_STREAM, RST_STREAM, GOAWAY or close."""
        frames = []
        while (got := self.read_frame()) is not None:
            frames.append(got)
            kind, flags, number, _ = got
            if kind == GOAWAY or (number == stream and (
                    kind == RST_STREAM or (kind in (DATA, HEADERS) and flags & END_STREAM))):
                break
        return frames

    def call(self, stream, path, body, end=True):
        """Sends a whole gRPC request in frames of a legal size; more than 64 KiB would need windows."""
        pieces = [body[i:i + 16384] for i in range(0, len(body), 16384)] or [b""]
        self.send(frame(HEADERS, END_HEADERS, stream, grpc_headers(path)))
        for piece in pieces[:-1]:
            self.send(frame(DATA, 0, stream, piece))
        self.send(frame(DATA, END_STREAM if end else 0, stream, pieces[-1]))
