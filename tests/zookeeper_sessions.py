"""A process with thousands of ZooKeeper sessions on raw sockets, for tests of how many come back at once.

    /usr/bin/python3 zookeeper_sessions.py COUNT TIMEOUT_MS ENDPOINT...

Each line on its input is a command, each answered by one line: `open` makes the sessions, spread over the endpoints;
`again ENDPOINT...` breaks every connection and attaches each session anew; `ping` is sent by every session; `end`
stops. An answer is the command, how many sessions have what it asks for, and how many were told that theirs is over.
"""

import selectors
import socket
import struct
import sys
import time

import zk_client as zk

AT_ONCE = 500  # connections being made at a time, within what a listener's queue holds
PATIENCE_S = 60


class Session:
    """One session and its connection of the moment."""

    def __init__(self, timeout_ms):
        self.timeout_ms = timeout_ms
        self.id, self.password = 0, zk.NO_PASSWORD
        self.socket = None
        self.received = b""
        self.wanted = None  # the greeting or the pong it waits for

    def begin(self, endpoint):
        """Starts connecting; the packet follows once the socket can be written."""
        host, port = endpoint.rsplit(":", 1)
        self.socket = socket.socket()
        self.socket.setblocking(False)
        self.socket.connect_ex((host, int(port)))
        self.received = b""

    def greet(self):
        packet = zk.Connection.connect_packet(self.timeout_ms, self.id, self.password)
        self.socket.send(zk.i32(len(packet)) + packet)

    def ping(self):
        self.socket.send(zk.i32(8) + zk.i32(zk.PING_XID) + zk.i32(zk.PING))

    def frame(self):
        """The next packet, b"" while there is none, None at the end of the connection."""
        try:
            data = self.socket.recv(4096)
        except BlockingIOError:
            return b""
        except OSError:
            return None
        if not data:
            return None
        self.received += data
        size = struct.unpack(">i", self.received[:4])[0] if len(self.received) >= 4 else 1 << 30
        if len(self.received) < 4 + size:
            return b""
        frame, self.received = self.received[4:4 + size], self.received[4 + size:]
        return frame

    def close(self):
        if self.socket:
            self.socket.close()
            self.socket = None


class Crowd:
    def __init__(self, count, timeout_ms, endpoints):
        self.sessions = [Session(timeout_ms) for _ in range(count)]
        self.endpoints = endpoints
        self.over = 0

    def attach(self, endpoints):
        """Connects every session; whoever is refused or cut off tries the next endpoint. How many have one."""
        self.over = 0
        deadline = time.monotonic() + PATIENCE_S
        waiting = [(session, i) for i, session in enumerate(self.sessions)]
        attached = 0
        with selectors.DefaultSelector() as selector:
            while (waiting or selector.get_map()) and time.monotonic() < deadline:
                while waiting and len(selector.get_map()) < AT_ONCE:
                    session, turn = waiting.pop()
                    session.begin(endpoints[turn % len(endpoints)])
                    selector.register(session.socket, selectors.EVENT_WRITE, (session, turn))
                for key, _ in selector.select(0.1):
                    done = self._advance(selector, key)
                    if done is False:
                        waiting.insert(0, (key.data[0], key.data[1] + 1))
                    attached += done is True
        return attached

    def _advance(self, selector, key):
        """True when the session is attached, False when it must try again, None while it waits or is over."""
        session, _ = key.data
        try:
            if key.events & selectors.EVENT_WRITE:
                session.greet()
                selector.modify(session.socket, selectors.EVENT_READ, key.data)
                return None
            frame = session.frame()
        except OSError:
            frame = None
        if frame == b"":
            return None
        selector.unregister(session.socket)
        if frame is None:
            session.close()
            return False
        answer = zk.decode_connect_reply(frame)
        if not answer.session or session.id not in (0, answer.session):
            self.over += 1
            session.close()
            return None
        session.id, session.password = answer.session, answer.password
        return True

    def again(self, endpoints):
        for session in self.sessions:
            session.close()
        return self.attach(endpoints)

    def ping(self):
        """How many pings are answered."""
        deadline = time.monotonic() + PATIENCE_S
        answered = 0
        with selectors.DefaultSelector() as selector:
            for session in self.sessions:
                if session.socket:
                    try:
                        session.ping()
                        selector.register(session.socket, selectors.EVENT_READ, session)
                    except OSError:
                        continue
            while selector.get_map() and time.monotonic() < deadline:
                for key, _ in selector.select(0.1):
                    frame = key.data.frame()
                    if frame == b"":
                        continue
                    selector.unregister(key.data.socket)
                    answered += frame is not None
        return answered


def main():
    crowd = Crowd(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3:])
    for line in sys.stdin:
        command, *arguments = line.split()
        if command == "end":
            return
        count = {"open": lambda: crowd.attach(crowd.endpoints), "again": lambda: crowd.again(arguments),
                 "ping": crowd.ping}[command]()
        print(command, count, crowd.over, flush=True)


if __name__ == "__main__":
    main()
