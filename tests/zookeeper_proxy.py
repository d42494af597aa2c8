"""A proxy that spoils what a ZooKeeper says: the differential tester must notice each of its faults.

A fault is a function (opcode, frame) -> list of frames to pass on instead; `opcode` is that of the request answered,
or NOTIFICATION. Frames are payloads without their length. None in the list ends the connection.
"""

import socket
import struct
import threading

import zk_client as zk

NOTIFICATION = "notification"
CONNECT = "connect"


class Proxy:
    """Listens on a port of the kernel's choice until closed."""

    def __init__(self, endpoint, fault):
        self._target = endpoint
        self._fault = fault
        self._sockets = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.endpoint = f"127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self):
        self._listener.close()
        for s in self._sockets:
            s.close()

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.close()

    def _accept(self):
        host, port = self._target.rsplit(":", 1)
        while True:
            try:
                client, _ = self._listener.accept()
                server = socket.create_connection((host, int(port)))
            except OSError:
                return
            for s in (client, server):
                s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._sockets += [client, server]
            asked = []
            threading.Thread(target=self._requests, args=(client, server, asked), daemon=True).start()
            threading.Thread(target=self._replies, args=(server, client, asked), daemon=True).start()

    @staticmethod
    def _requests(client, server, asked):
        """Passes bytes on at once, and notes the opcodes of whole packets before their last byte goes."""
        pending, first = b"", True
        try:
            while data := client.recv(1 << 16):
                pending += data
                while len(pending) >= 4 and len(pending) >= 4 + max(0, struct.unpack(">i", pending[:4])[0]):
                    size = max(0, struct.unpack(">i", pending[:4])[0])
                    packet, pending = pending[4:4 + size], pending[4 + size:]
                    asked.append(CONNECT if first else struct.unpack(">i", packet[4:8])[0] if size >= 8 else None)
                    first = False
                server.sendall(data)
            server.shutdown(socket.SHUT_WR)
        except OSError:
            pass

    def _replies(self, server, client, asked):
        buffer = b""
        try:
            while data := server.recv(1 << 16):
                buffer += data
                while len(buffer) >= 4 and len(buffer) >= 4 + struct.unpack(">i", buffer[:4])[0]:
                    size = struct.unpack(">i", buffer[:4])[0]
                    frame, buffer = buffer[4:4 + size], buffer[4 + size:]
                    self._pass_on(client, asked, frame)
            client.close()
        except OSError:
            client.close()

    def _pass_on(self, client, asked, frame):
        is_event = asked[0] != CONNECT and frame[:4] == zk.i32(-1) if asked else True
        for part in self._fault(NOTIFICATION if is_event else asked.pop(0), frame):
            if part is None:
                client.close()
                return
            client.sendall(zk.i32(len(part)) + part)
