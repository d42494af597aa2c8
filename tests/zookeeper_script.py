"""Random scripts for zookeeper_differential.py: what a number of clients do, as data made from a seed alone.

Few paths, few identities and much that is wrong, so that requests collide and every refusal is met. What the two
servers are known to do differently is kept out here where it can be (zookeeper_differential.Plan does the rest), and
what ends the original: a stand-alone check, a TTL of -1 for a node without one, a recursive watch of no path (its
connection cannot be closed any more), reads of /zookeeper/config, limits below /zookeeper/quota, ends of TTL nodes and
containers.
"""

import random
from typing import NamedTuple

import zk_client as zk


class Call(NamedTuple):
    """A request by the name of its function in zk_client; those of a multi are Calls themselves."""

    name: str
    args: tuple


class Point(NamedTuple):
    """The zxid that the server had so many steps ago."""

    back: int


class Step(NamedTuple):
    action: str
    client: int
    args: tuple


PATHS = ["/a", "/a/b", "/a/b/c", "/a/c", "/b", "/b/d", "/b/d/e/f", "/c", "/\u00e9", "/\u00e9/\u6587"]
PARENTS = ["/", "/a", "/a/b", "/b", "/c"]
SYSTEM = ["/", "/zookeeper", "/zookeeper/quota", "/zookeeper/quota/x"]
BAD_PATHS = [
    None, "", "a", "/a/", "//", "/a//b", "/a/.", "/a/./b", "/a/../b", "/..", "/a\0b", "/a\x01", "/a\x1f", "/a\x7f",
    "/a\x9f", "/a\xa0", "/\ud800", "/\U0001f600", "/\uf8ff", "/\uf900", "/\uffef", "/\ufff0", "/\uffff", b"/\xff",
    b"/\xc3", b"/\xc0\x80", b"/a\xed\xa0\x80", "/zookeeper/config/x", "/a/" + "long" * 60,
]
USERS = ["u1:p1", "u2:p2"]
DATA = [None, b"", b"0", b"data", b"\0\xff" * 3, b"x" * 90]
TTLS = [0, -1, 1 << 40, (1 << 40) - 1, 1 << 62]
WAIT_MS = 10_000_000  # a TTL that does not end while a script runs
FLAGS = [zk.PERSISTENT, zk.PERSISTENT, zk.PERSISTENT, zk.EPHEMERAL, zk.SEQUENTIAL, zk.EPHEMERAL_SEQUENTIAL]
BAD_FLAGS = [zk.CONTAINER, zk.TTL, zk.TTL_SEQUENTIAL, 7, 8, -1, 1 << 20]
SEQUENTIAL = (zk.SEQUENTIAL, zk.EPHEMERAL_SEQUENTIAL, zk.TTL_SEQUENTIAL)
AUTHS = [("digest", b"u1:p1"), ("digest", b"u1:p1"), ("digest", b"u2:p2"), ("digest", b"u2:p2"), ("digest", b"u1"),
         ("digest", b""), ("digest", b"u1:p1:x"), ("ip", b""), ("world", b"anyone"), ("nonsense", b"x"), ("", b"")]
UNKNOWN_OPS = [0, -1, 10, 23, 24, 99, 108, 1000, -2, 1 << 30, -(1 << 31)]

_WRITES = [("create", 20), ("create2", 10), ("create_container", 4), ("create_ttl", 5), ("delete", 16),
           ("set_data", 14), ("set_acl", 4)]
_READS = [("exists", 7), ("get_data", 10), ("get_acl", 3), ("get_children", 7), ("get_children2", 7)]
_OTHERS = [("multi", 12), ("multi_read", 4), ("sync", 1), ("check_watches", 3), ("remove_watches", 3),
           ("add_watch", 6), ("set_watches", 2), ("set_watches2", 2), ("get_ephemerals", 2), ("who_am_i", 1),
           ("get_all_children_number", 2), ("ping", 1), ("reconfig", 1), ("delete_container", 1)]
_CALLS = _WRITES + _READS + _OTHERS
_ACTIONS = [("call", 800), ("auth", 30), ("drop", 20), ("connect", 30), ("close", 14), ("stranger", 10),
            ("sweep", 14), ("packet", 12), ("mangled", 30), ("bytes", 5)]


class Script:
    """The steps of a seed: `Script(seed).steps(n)` begins with the steps of every smaller n."""

    def __init__(self, seed, clients=5):
        self.rng = random.Random(seed)
        self.clients = clients

    def steps(self, count):
        return [self.step() for _ in range(count)]

    def pick(self, weighted):
        names, weights = zip(*weighted)
        return self.rng.choices(names, weights)[0]

    def chance(self, percent):
        return self.rng.randrange(100) < percent

    def step(self):
        action = self.pick(_ACTIONS)
        client = self.rng.randrange(1, self.clients)
        if action == "call":
            # The superuser sometimes, because it alone gets past every ACL.
            client = 0 if self.chance(10) else client
            return Step("call", client, (self.calls(),))
        if action == "auth":
            return Step("call", client, ((Call("auth", self.rng.choice(AUTHS)),),))
        return Step(action, client, getattr(self, action + "_args")())

    def calls(self):
        count = self.rng.randint(2, 6) if self.chance(20) else 1
        return tuple(self.call() for _ in range(count))

    def call(self, kinds=None):
        name = self.pick(kinds or _CALLS)
        return Call(name, getattr(self, "_" + name)())

    # -- parts of requests

    def path(self, bad=4):
        kind = self.rng.randrange(100)
        if kind < bad:
            return self.rng.choice(BAD_PATHS)
        if kind < bad + 4:
            return self.rng.choice(SYSTEM)
        if kind < bad + 16:
            return f"{self.rng.choice(['/a/', '/b/', '/', '/a/s'])}{self.rng.randrange(8):010d}"
        return self.rng.choice(PATHS)

    def version(self):
        return self.rng.choice([-1, -1, -1, -1, 0, 0, 1, 2, 3, -2, -(1 << 31), (1 << 31) - 1])

    def data(self):
        return self.rng.choice(DATA)

    def acl(self):
        one, two = (zk.digest_id(user) for user in USERS)
        everything = zk.ALL
        return self.rng.choice([
            (zk.Acl(everything, "digest", one),), (zk.Acl(everything, "digest", two),),
            (zk.Acl(everything, "auth", ""),),
            (zk.Acl(zk.READ, "auth", "ignored"), zk.Acl(zk.ADMIN, "world", "anyone")),
            (zk.Acl(zk.READ, "world", "anyone"), zk.Acl(everything, "digest", one)),
            (zk.Acl(zk.READ | zk.ADMIN, "digest", one), zk.Acl(zk.WRITE | zk.CREATE_PERM, "digest", two)),
            (zk.Acl(everything & ~zk.DELETE_PERM, "world", "anyone"),), (zk.Acl(zk.ADMIN, "world", "anyone"),),
            (zk.Acl(everything, "ip", "127.0.0.1"),), (zk.Acl(everything, "ip", "127.0.0.0/8"),),
            (zk.Acl(everything, "ip", "10.0.0.1"), zk.Acl(zk.ADMIN, "world", "anyone")),
            (zk.Acl(everything, "world", "anyone"),) * 2, (zk.Acl(0, "world", "anyone"), *zk.OPEN),
            # And those that must be refused.
            None, (), (zk.Acl(everything, "nonsense", "x"),), (zk.Acl(everything, "world", "someone"),),
            (zk.Acl(everything, "digest", "u1"),), (zk.Acl(everything, "digest", "a:b:c"),),
            (zk.Acl(everything, "ip", "no address"),), (zk.Acl(everything, "ip", "127.0.0.1/64"),),
            (zk.Acl(everything, None, None),), (zk.Acl(32, "world", "anyone"), *zk.OPEN),
        ])

    def acls(self):
        return self.acl() if self.chance(15) else zk.OPEN

    # -- the arguments of each request

    def _create(self):
        flags = self.rng.choice(BAD_FLAGS) if self.chance(4) else self.rng.choice(FLAGS)
        path = self.path()
        if flags in SEQUENTIAL and self.chance(80):
            parent = self.rng.choice(PARENTS).rstrip("/")
            path = parent + self.rng.choice(["/s", "/", "/a/s"])
        return path, self.data(), self.acls(), flags

    _create2 = _create

    def _create_container(self):
        flags = zk.CONTAINER if self.chance(90) else self.rng.choice(FLAGS + BAD_FLAGS)
        return self.path(), self.data(), self.acls(), flags

    def _create_ttl(self):
        flags = self.rng.choice(FLAGS + BAD_FLAGS) if self.chance(10) else self.rng.choice([zk.TTL, zk.TTL_SEQUENTIAL])
        ttl_ms = self.rng.choice(TTLS) if self.chance(25) else WAIT_MS
        if flags not in (zk.TTL, zk.TTL_SEQUENTIAL):
            ttl_ms = abs(ttl_ms)  # -1 with the flags of another kind of node is the end of 3.8: its log refuses it
        return self.path(), ttl_ms, self.data(), self.acls(), flags

    def _delete(self):
        return self.path(), self.version()

    def _delete_container(self):
        return (self.path(),)

    def _set_data(self):
        return self.path(), self.data(), self.version()

    def _set_acl(self):
        path = self.path()
        return path, self.acl() if self.chance(60) and path not in SYSTEM else zk.OPEN, self.version()

    def _exists(self):
        return self.path(), self.chance(50)

    _get_data = _get_children = _get_children2 = _exists

    def _get_acl(self):
        return (self.path(),)

    _sync = _get_acl

    def _ping(self):
        return ()

    _who_am_i = _reconfig = _ping

    def _multi(self):
        count = self.rng.choice([0, 1, 2, 2, 3, 3, 4, 6])
        return tuple(self._multi_part() for _ in range(count))

    def _multi_part(self):
        kind = self.rng.randrange(100)
        if kind < 12:
            return Call("check", (self.path(), self.version()))
        if kind < 14:
            return self.call(_READS)
        if kind == 14:
            return self.call([("sync", 1), ("who_am_i", 1), ("multi_read", 1)])
        return self.call(_WRITES)

    def _multi_read(self):
        reads = [("get_data", 10), ("get_children", 10), ("exists", 1), ("get_children2", 1)]
        calls = [self.call(reads) for _ in range(self.rng.randint(0, 4))]
        return tuple(call._replace(args=(call.args[0], False)) for call in calls)

    def _check_watches(self):
        return self.path(), self.rng.choice([1, 2, 3, 3, 3])

    _remove_watches = _check_watches

    def _add_watch(self):
        path, mode = self.path(bad=2), self.rng.choice([0, 0, 1, 1] if self.chance(95) else [2, -1, 7])
        return ("" if path is None and mode == 1 else path), mode

    def _paths(self):
        return tuple(self.path(bad=0) for _ in range(self.rng.randrange(3)))

    def _set_watches(self):
        return Point(self.rng.choice([0, 0, 1, 3, 10, 50])), self._paths(), self._paths(), self._paths()

    def _set_watches2(self):
        return *self._set_watches(), self._paths(), self._paths()

    def _get_ephemerals(self):
        return (self.rng.choice([None, "", "/", "/a", "/a/", "/b", "nonsense"]),)

    def _get_all_children_number(self):
        return (self.path(),)

    # -- the arguments of the other actions

    def drop_args(self):
        return ()

    close_args = drop_args

    def connect_args(self):
        return (self.rng.choice([{}, {}, {}, {"wrong": True}, {"ahead": 1 << 40}, {"read_only": None},
                                 {"read_only": True}, {"timeout_ms": 1}, {"timeout_ms": 45_000}]),)

    def stranger_args(self):
        return (self.rng.choice([
            {"timeout_ms": 0}, {"timeout_ms": -5}, {"timeout_ms": (1 << 31) - 1}, {"protocol": 7}, {"password": b""},
            {"password": None}, {"password": b"x" * 40}, {"session": 0x1234}, {"session": -1}, {"read_only": None},
            {"session": 0x1234, "read_only": None}, {"ahead": 1 << 50, "read_only": None}, {"last_zxid": -1},
        ]),)

    def sweep_args(self):
        return (self.rng.choice(PARENTS),)

    def packet_args(self):
        """Too short for a header, or with an opcode that there is not."""
        if self.chance(30):
            return (bytes(self.rng.randrange(8)),)
        return (zk.i32(77) + zk.i32(self.rng.choice(UNKNOWN_OPS)) + zk.text(self.path()),)

    def bytes_args(self):
        return (self.rng.choice([zk.i32(-1), zk.i32(-(1 << 31)), zk.i32(2_000_000), zk.i32(0x100000), b"\xff" * 20]),)

    def mangled_args(self):
        """A request that asks for no watch, so that what stays armed is known."""
        kinds = _WRITES[:-1] + [("get_data", 5), ("get_children2", 5), ("multi", 5), ("get_acl", 3), ("set_acl", 3),
                                ("multi_read", 3), ("sync", 2), ("get_all_children_number", 1), ("get_ephemerals", 1)]
        call = self.call(kinds)
        if call.name in ("get_data", "get_children2"):
            call = call._replace(args=(call.args[0], False))
        kind = self.rng.randrange(3)
        if kind == 0:
            return call, self.rng.choice([0, 1, 2, 3, 4, 5, 6, 8, 11, 14, 20, 30]), (), b""
        if kind == 1:
            return call, None, (), bytes(self.rng.randrange(1, 20))
        number = self.rng.choice([-1, -2, -(1 << 31), 0, 1, 5, 1000, 1 << 21, (1 << 31) - 1])
        return call, None, ((self.rng.choice([0, 0, 0, 6, 7, 8, 10, 13, 16, 20]), number),), b""
