"""The machine behind test_zookeeper_differential.py: one script of steps, done to two servers in lock-step, compared.

A script is data made from a seed alone (zookeeper_script.py), so a step can be left out and the rest still means
something: that is how a failure is made smaller. Each step is done to both servers; every reply, event and close is
compared; then every other client asks for a sync, so that what the step made it hear is there to be compared too.

Two servers share no zxid, time or session id. zxids in Stats must map one to one and in order; the zxid of a reply
header must lie between the same Stat zxids on both (failed writes and ends of sessions have zxids on the original
alone); a time must belong to its zxid; session ids must map one to one.
"""

import bisect
import time
from typing import NamedTuple

import zk_client as zk
import zookeeper_server
from zookeeper_script import Call, Point, Step

NAMES = ("the original", "the subject")
CLOCK_TOLERANCE_MS = 300_000


class Difference(AssertionError):
    """The two servers did not do the same."""


def _shown(item):
    text = str(item)
    return text if len(text) < 3000 else text[:3000] + "…"


# ------------------------------------------------------------------ what two servers cannot share


class Zxids:
    """The relation between the zxids of the two servers, learned from what they say."""

    def __init__(self):
        self._pairs = []  # of Stats: strictly increasing on both sides
        self._headers = []  # of reply headers: never decreasing on either side

    def stat(self, first, second):
        at = bisect.bisect_left(self._pairs, (first, second))
        near = self._pairs[max(0, at - 1):at + 1]
        if (first, second) in near:
            return
        for a, b in near:
            if (a < first) != (b < second) or a == first or b == second:
                raise Difference(f"zxid {first} here is {second} there, but {a} was {b}")
        at = bisect.bisect_left(self._headers, (first,))
        for a, b in self._headers[max(0, at - 1):at + 1]:
            if (a < first) != (b < second):
                raise Difference(f"zxid {first} here is {second} there, but a reply said {a} when the other said {b}")
        bisect.insort(self._pairs, (first, second))

    def header(self, first, second):
        if first <= 0 or second <= 0:
            if first != second:
                raise Difference(f"a reply's zxid: {first} here, {second} there")
            return
        here = bisect.bisect_right(self._pairs, (first, 1 << 63))
        there = bisect.bisect_right(self._pairs, second, key=lambda pair: pair[1])
        if here != there:
            raise Difference(f"a reply says zxid {first}, which is after {here} known ones; the other's {second}"
                             f" after {there}: {self._pairs[max(0, min(here, there) - 1):max(here, there)]}")
        at = bisect.bisect_left(self._headers, (first, second))
        if self._headers[at:at + 1] == [(first, second)]:
            return
        for a, b in self._headers[max(0, at - 1):at + 1]:
            if (a - first) * (b - second) < 0 or (a == first and b != second):
                raise Difference(f"a reply says zxid {first}, the other's {second}; before it was {a} and {b}")
        self._headers.insert(at, (first, second))


class Times:
    """One server's times: each zxid has one, near this machine's clock."""

    def __init__(self, name):
        self._name = name
        self._of = {}

    def check(self, zxid, time_ms):
        if self._of.setdefault(zxid, time_ms) != time_ms:
            raise Difference(f"{self._name}: time {time_ms} for zxid {zxid}, which had {self._of[zxid]}")
        if zxid and abs(time.time() * 1000 - time_ms) > CLOCK_TOLERANCE_MS:
            raise Difference(f"{self._name}: {time_ms} is no time of today")


class Matcher:
    """Compares what the two servers said, value by value."""

    def __init__(self):
        self.zxids = Zxids()
        self.sessions = {0: 0}
        self._times = [Times(name) for name in NAMES]

    def session(self, first, second):
        known = self.sessions.setdefault(first, second)
        if known != second or list(self.sessions.values()).count(second) != 1:
            raise Difference(f"session {first:#x} here is {second:#x} there; before it was {known:#x}")

    def owner(self, first, second):
        if self.sessions.get(first) != second:
            raise Difference(f"owned by {first:#x} here, by {second:#x} there; sessions: {self.sessions}")

    def match(self, first, second):
        if isinstance(first, zk.Stat) and isinstance(second, zk.Stat):
            self._stat(first, second)
        elif isinstance(first, list) and isinstance(second, list):
            self._list(first, second)
        elif isinstance(first, tuple) and isinstance(second, tuple) and len(first) == len(second):
            for a, b in zip(first, second):
                self.match(a, b)
        elif type(first) is not type(second) or first != second:
            raise Difference("not the same value")

    def _stat(self, first, second):
        for zxid in ("czxid", "mzxid", "pzxid"):
            self.zxids.stat(getattr(first, zxid), getattr(second, zxid))
        for times, stat in zip(self._times, (first, second)):
            times.check(stat.czxid, stat.ctime)
            times.check(stat.mzxid, stat.mtime)
        self.owner(first.ephemeral_owner, second.ephemeral_owner)
        for field in ("version", "cversion", "aversion", "data_length", "num_children"):
            if getattr(first, field) != getattr(second, field):
                raise Difference(f"{field} is {getattr(first, field)} here, {getattr(second, field)} there")

    def _list(self, first, second):
        """Names, identities and what the auth scheme expands to come out of hash sets: any order."""
        if len(first) != len(second):
            raise Difference(f"{len(first)} items here, {len(second)} there")
        if _unordered(first):
            first, second = sorted(first, key=repr), sorted(second, key=repr)
        for a, b in zip(first, second):
            self.match(a, b)


def _unordered(items):
    if all(isinstance(item, zk.Acl) for item in items):
        return sum(item.scheme == "digest" for item in items) > 1
    return all(isinstance(item, str) or (type(item) is tuple and len(item) == 2) for item in items)


# ------------------------------------------------------------------ what a client may hear


class Watches:
    """What a connection may have armed: path -> kinds, of "data", "child", "persistent" and "recursive".

    3.8 has one mode for a path and a connection: a second one replaces the first. Where modes live side by side the
    results differ, so nothing is armed that would need two.
    """

    def __init__(self):
        self.kinds = {}

    def __contains__(self, path):
        return bool(self.kinds.get(path))

    def lasting(self, path):
        return bool(self.kinds.get(path, set()) & {"persistent", "recursive"})

    def can_arm(self, path, kind):
        there = self.kinds.get(path, set())
        if kind in ("persistent", "recursive"):
            return not there - {kind}
        return not self.lasting(path)

    def arm(self, path, kind):
        """True when it may not have been armed before."""
        there = self.kinds.setdefault(path, set())
        new = kind not in there
        there.add(kind)
        return new

    def disarm(self, path, kind):
        self.kinds.get(path, set()).discard(kind)

    def told(self, event):
        if event.type != zk.CHILDREN_CHANGED:
            self.disarm(event.path, "data")
        if event.type in (zk.CHILDREN_CHANGED, zk.NODE_DELETED):
            self.disarm(event.path, "child")


class Heard(NamedTuple):
    """What came over one connection: Replies and Events in order, and whether the end followed."""

    items: list
    closed: bool


class Twin:
    """One client of the script: a connection to each server, with the session that may outlive it."""

    def __init__(self, number):
        self.number = number
        self.connections = None
        self.answers = None  # the two ConnectReplies; None without a session
        self.forget_connection()

    def forget_connection(self):
        for connection in self.connections or ():
            connection.close()
        self.connections = None
        self.watches = Watches()

    def forget_session(self):
        self.forget_connection()
        self.answers = None


def hear(connection, name, replies, timeout_s=None):
    """Reads until so many replies are there; Difference when neither they nor the end come."""
    items = []
    try:
        while replies:
            items.append(connection.next(timeout_s))
            replies -= isinstance(items[-1], zk.Reply)
        return Heard(items, False)
    except zk.Closed:
        return Heard(items, True)
    except TimeoutError as error:
        raise Difference(f"{name} says nothing more ({error}) after {_shown(items)}") from None
    except zk.Undecodable as error:
        raise Difference(f"{name}: {error}, after {_shown(items)}") from None
    finally:
        connection.events.clear()


def without_missed_events(first, second):
    """What the subject said less the news that setWatches2 brings to persistent watchers: they have a zxid.

    Where such news says what the original tells a one-shot watch, it stands for that.
    """
    kept = []
    news = []  # events since the last reply
    gaps = _news_before_set_watches(first)
    for item in second:
        if isinstance(item, zk.Event):
            news.append(item)
            continue
        if item.xid == zk.SET_WATCHES_XID:
            expected = next(gaps, [])
            if any(event.zxid > 0 for event in news):
                news = _in_the_order_of(expected, news)
        kept += [*news, item]
        news = []
    return kept + news


def _news_before_set_watches(items):
    news = []
    for item in items:
        if isinstance(item, zk.Event):
            news.append(item)
            continue
        if item.xid == zk.SET_WATCHES_XID:
            yield news
        news = []


def _in_the_order_of(expected, news):
    """The expected ones of `news`, and those that are no news of what was missed."""
    left = list(news)
    found = []
    for event in expected:
        same = next((other for other in left if other[:3] == event[:3]), None)
        if same is not None:
            left.remove(same)
            found.append(same._replace(zxid=-1))
    return found + [event for event in left if event.zxid == -1]


# ------------------------------------------------------------------ one run


class Run:
    """A script done to two servers. `excuse` says whether the subject may differ where 3.9 differs from 3.8."""

    CLIENTS = 5  # the first is a superuser and never loses its connection

    def __init__(self, endpoints, excuse):
        self.endpoints = endpoints
        self.excuse = excuse
        self.matcher = Matcher()
        self.twins = [Twin(i) for i in range(self.CLIENTS)]
        self.points = [(0, 0)]  # zxids of both servers after each step
        self.trace = []
        self._now = (0, 0)

    def close(self):
        for twin in self.twins:
            twin.forget_connection()

    def go(self, steps):
        self.connect(self.twins[0])
        self.exchange(self.twins[0], [Call("auth", ("digest", zookeeper_server.SUPER.encode()))])
        for step in steps:
            self.trace.append(step)
            getattr(self, "do_" + step.action)(self.twins[step.client % self.CLIENTS], *step.args)
        self.trace.append(Step("compare everything", 0, ()))
        self.compare_everything()

    # -- connections

    def attached(self, twin):
        """The client with a connection, whatever it takes."""
        if twin.connections is None:
            self.connect(twin)
        return twin

    def connect(self, twin, ahead=0, wrong=False, **fields):
        """A session, the old one when there is one; `ahead` is added to the zxids that the client has seen."""
        old = twin.connections
        twin.connections, twin.watches = None, Watches()
        pair = [zk.Connection(endpoint) for endpoint in self.endpoints]
        answers = []
        for side, connection in enumerate(pair):
            session = {"last_zxid": self.points[-1][side] + ahead}
            if twin.answers:
                password = bytes(16) if wrong else twin.answers[side].password
                session |= {"session": twin.answers[side].session, "password": password}
            try:
                answers.append(connection.connect(**({"timeout_ms": 600_000} | session | fields)))
            except zk.Closed:
                answers.append(None)
        self.compare_answers(answers, known=bool(twin.answers) and not wrong)
        for side, connection in enumerate(old or ()):
            if answers[side] is not None:
                self.expect_end(connection, NAMES[side], may_stay=side == 0 or not self.excuse)
            connection.close()
        if answers[0] is None or not answers[0].session:
            if answers[0] is not None and not wrong:
                twin.answers = None  # the session is over
            for side, connection in enumerate(pair):
                if answers[side] is not None:
                    self.expect_end(connection, NAMES[side])
                connection.close()
        else:
            twin.connections, twin.answers = pair, answers

    def compare_answers(self, answers, known):
        first, second = answers
        if (first is None) != (second is None):
            raise Difference(f"connect: {first} here, {second} there")
        if first is None:
            return
        for name, answer in zip(NAMES, answers):
            expected = zk.session_password(answer.session) if answer.session else zk.NO_PASSWORD
            if answer.password != expected:
                raise Difference(f"{name}: the password of a session is not what its id gives: {answer}")
        if known:
            self.matcher.owner(first.session, second.session)
        else:
            self.matcher.session(first.session, second.session)
        same = [answer._replace(session=0, password=b"") for answer in answers]
        if same[0] != same[1]:
            raise Difference(f"connect: {same[0]} here, {same[1]} there")

    @staticmethod
    def expect_end(connection, name, may_stay=False):
        """Reads to the end. 3.8 overlooks a moved session's connection when one before it broke a moment ago."""
        try:
            heard = hear(connection, name, 1, 0.5 if may_stay else 5)
        except Difference:
            if may_stay:
                return
            raise
        if not heard.closed or any(isinstance(item, zk.Reply) for item in heard.items):
            raise Difference(f"{name}: {heard} where the connection should end")

    # -- requests

    def build(self, call, side):
        """The Request of a Call for one of the servers."""
        if call.name in ("multi", "multi_read"):
            return getattr(zk, call.name)([self.build(part, side) for part in call.args])
        args = [self.points[-1 - arg.back % len(self.points)][side] if isinstance(arg, Point) else arg
                for arg in call.args]
        return getattr(zk, call.name)(*args)

    def exchange(self, twin, calls, sort=False):
        """Sends calls in one piece to both servers and compares what comes, up to the replies or the end."""
        for side, connection in enumerate(twin.connections):
            connection.send(*(self.build(call, side) for call in calls))
        return self.compare(twin, calls, self.hear_both(twin, len(calls)), sort)

    @staticmethod
    def hear_both(twin, replies):
        return [hear(c, name, replies) for c, name in zip(twin.connections, NAMES)]

    def compare(self, twin, calls, heard, sort=False):
        """Compares what was heard; the replies of the original are returned. A closed connection is given up."""
        first, second = (h.items for h in heard)
        if sort:
            first, second = (sorted(i, key=lambda x: (isinstance(x, zk.Reply), x[:3])) for i in (first, second))
        if self.excuse:
            second = without_missed_events(first, second)
        context = f"\n--- {NAMES[0]}\n{_shown(heard[0])}\n--- {NAMES[1]}\n{_shown(heard[1])}"
        kinds = [[type(item) for item in items] for items in (first, second)]
        if kinds[0] != kinds[1] or heard[0].closed != heard[1].closed:
            raise Difference(f"client {twin.number} heard not the same{context}")
        replies = []
        try:
            for a, b in zip(first, second):
                if isinstance(a, zk.Event):
                    self.compare_events(a, b)
                else:
                    call = calls[len(replies)]
                    if not self.is_left_over(twin, call, a, b):
                        self.compare_replies(call, a, b, len(replies) == len(calls) - 1)
                    replies.append(a)
        except Difference as difference:
            raise Difference(f"client {twin.number}: {difference}{context}") from None
        for event in (item for item in heard[0].items if isinstance(item, zk.Event)):
            twin.watches.told(event)
        if heard[0].closed:
            twin.forget_connection()
        return replies

    def is_left_over(self, twin, call, a, b):
        """Whether 3.8 says that a watch is there where somebody's was, or somebody else's is."""
        return (self.excuse and call.name == "check_watches" and call.args[0] not in twin.watches
                and (a.err, b.err) == (zk.OK, zk.NO_WATCHER))

    def compare_events(self, a, b):
        if a[:3] != b[:3]:
            raise Difference(f"{a} here, {b} there")
        if a.zxid != -1 or (not self.excuse and b.zxid != -1):
            raise Difference(f"an event of 3.8 has no zxid: {a}, {b}")
        if b.zxid != -1 and b.zxid <= self.points[-1][1]:
            raise Difference(f"an event is older than what was known before: {b}, known {self.points[-1][1]}")

    def compare_replies(self, call, a, b, last):
        if a.err != b.err:
            raise Difference(f"{call}: error {a.err} here, {b.err} there")
        if a.err:
            # Clients skip what follows an error, and 3.8 sometimes has half an answer there.
            if b.body and self.excuse:
                raise Difference(f"{call}: something follows error {b.err}")
            a, b = a._replace(value=None), b._replace(value=None)
        if last or a.zxid <= 0 or b.zxid <= 0:
            self.matcher.zxids.header(a.zxid, b.zxid)
        try:
            self.matcher.match(a.value, b.value)
        except Difference as difference:
            raise Difference(f"{call}: {difference}") from None

    # -- after a step

    def barrier(self, twin, sort=False):
        for connection in twin.connections:
            connection.send(zk.sync("/"))
        heard = self.hear_both(twin, 1)
        replies = self.compare(twin, [Call("sync", ("/",))], heard, sort)
        if replies:
            self._now = tuple(h.items[-1].zxid for h in heard)

    def finish(self, sort=False):
        """Ends a step: every client hears what the step made it hear, and this moment becomes a point."""
        for twin in self.twins:
            if twin.connections:
                self.barrier(twin, sort)
        self.points.append(self._now)

    def superuser(self, name, *args):
        """The reply to a call that no ACL is in the way of."""
        return self.exchange(self.twins[0], [Call(name, args)])[0]

    # -- the actions of a script

    def do_drop(self, twin):
        """The client's connections break; its session stays."""
        if twin.number:
            twin.forget_connection()

    def do_connect(self, twin, options):
        """Attaches again, to a session whose connection is open or gone, or takes a first session."""
        if not twin.number:
            return
        if options.get("wrong") or options.get("ahead"):
            # 3.8 ends the session's open connection before it has looked at the password: not the question here.
            twin.forget_connection()
        self.connect(twin, **options)
        self.finish()

    def do_close(self, twin):
        """Ends the session; what it owned goes in any order."""
        if twin.number and twin.answers:
            self.exchange(self.attached(twin), [Call("close_session", ())], sort=True)
            if twin.connections:
                self.expect_both_end(twin)
            twin.forget_session()
            self.finish(sort=True)

    def expect_both_end(self, twin):
        for connection, name in zip(twin.connections, NAMES):
            self.expect_end(connection, name)

    def do_stranger(self, _, options):
        """A connect packet like no client's, on a connection of its own."""
        stranger = Twin(self.CLIENTS)
        self.connect(stranger, **options)
        if stranger.connections:
            self.exchange(stranger, [Call("close_session", ())])
            stranger.forget_connection()

    def do_sweep(self, _, path):
        """A superuser deletes everything below a path."""
        children = self.superuser("get_children", path).value
        for child in sorted(children or ()):
            child = path.rstrip("/") + "/" + child
            if child not in ("/zookeeper", "/zookeeper/config", "/zookeeper/quota"):
                self.do_sweep(_, child)
                self.superuser("delete", child)
        self.finish()

    def do_packet(self, twin, payload):
        """Bytes that are no request of any client, as one packet."""
        self.do_bytes(twin, zk.i32(len(payload)) + payload)

    def do_bytes(self, twin, data):
        """Bytes that need not be a packet."""
        if twin.number:
            self.raw(self.attached(twin), data, None)

    def do_mangled(self, twin, call, cut, patches, tail):
        """A request with its body cut short, written over or made longer."""
        twin = self.attached(twin)
        request = self.build(call, 0)
        body = bytearray(request.body[:cut])
        for at, number in patches:
            if at + 4 <= len(body):
                body[at:at + 4] = zk.i32(number)
        self.raw(twin, zk.i32(8 + len(body) + len(tail)) + zk.i32(77) + zk.i32(request.op) + body + tail, request.op)

    def raw(self, twin, data, op):
        """Sends bytes and compares whether a reply comes, or silence, or the end."""
        heard = []
        for connection, name in zip(twin.connections, NAMES):
            connection.unanswered.append((77, op))
            connection.send_bytes(data)
            if heard and not heard[0].items and not heard[0].closed:
                heard.append(Heard([], False))
                continue
            try:
                heard.append(hear(connection, name, 1, 5 if heard else 0.3))
            except Difference:
                if heard or connection._buffer:
                    raise
                heard.append(Heard([], False))
        if not heard[0].items and not heard[0].closed:
            for connection in twin.connections:
                connection.unanswered.pop()
        self.compare(twin, [Call(f"opcode {op}", (data,))], heard)
        self.finish()

    def do_call(self, twin, calls):
        twin = self.attached(twin)
        plan = Plan(self, twin, calls)
        if not plan.calls:
            return
        replies = []
        for part in _behind_each_set_acl(plan.calls):
            if twin.connections:
                replies += self.exchange(twin, part)
        plan.learn(replies)
        if twin.connections and any(reply.err in (zk.UNIMPLEMENTED, zk.AUTH_FAILED) for reply in replies):
            self.barrier(twin)
        if any(call.name not in _CHANGES_NOTHING for call in plan.calls):
            self.finish()

    def compare_everything(self, path="/"):
        """The whole tree as a superuser sees it."""
        for name in ("get_data", "get_acl", "get_children2"):
            if path != "/zookeeper/config":
                reply = self.superuser(name, path)
        if path != "/zookeeper/config":
            for child in sorted(reply.value[0]):
                self.compare_everything(path.rstrip("/") + "/" + child)


_CHANGES_NOTHING = (
    "exists", "get_data", "get_acl", "get_children", "get_children2", "multi_read", "sync", "ping", "who_am_i",
    "check_watches", "remove_watches", "add_watch", "get_ephemerals", "get_all_children_number",
)
_WATCH_KIND = {"get_data": "data", "exists": "data", "get_children": "child", "get_children2": "child"}
_LASTING = {0: "persistent", 1: "recursive"}
_CHANGES_ACLS = ("create", "create2", "create_container", "create_ttl", "set_acl", "multi")


def _behind_each_set_acl(calls):
    """What is sent in one piece: ZooKeeper checks what is right behind a set_acl by the old list or by the new one, as
    it happens (its PrepRequestProcessor keeps no list of changes that are under way)."""
    parts = [[]]
    for call in calls:
        parts[-1].append(call)
        if call.name == "set_acl":
            parts.append([])
    return [part for part in parts if part]


class Plan:
    """The calls of one step, without what the two servers are known to do differently."""

    def __init__(self, run, twin, calls):
        self.run = run
        self.twin = twin
        self._armed = []  # per call: what it armed that was not armed before
        self.calls = []
        for call in calls:
            if not twin.number and call.name in ("auth", "close_session"):
                continue
            call = self.allowed(call, calls)
            if call is not None:
                self.calls.append(call)

    def allowed(self, call, calls):
        armed = []
        watches = self.twin.watches
        if call.name == "exists" and self.run.excuse:
            call = self.readable_exists(call, calls)
        if call is None:
            return None
        if call.name in _WATCH_KIND and call.args[1]:
            kind = _WATCH_KIND[call.name]
            if not watches.can_arm(call.args[0], kind):
                call = call._replace(args=(call.args[0], False))
            elif watches.arm(call.args[0], kind):
                armed.append((call.args[0], kind))
        elif call.name == "add_watch" and call.args[1] in _LASTING:
            if not watches.can_arm(call.args[0], _LASTING[call.args[1]]):
                return None
            watches.arm(call.args[0], _LASTING[call.args[1]])
        elif call.name in ("check_watches", "remove_watches"):
            call = self.known_watches(call)
        elif call.name in ("set_watches", "set_watches2"):
            if self.run.excuse:
                call = self.readable_vectors(call, calls)
            call = self.armed_vectors(call)
        self._armed.append(armed)
        return call

    def readable_exists(self, call, calls):
        """3.8 tells whoever asks whether a node exists; 3.9 asks for READ (ZOOKEEPER-2590)."""
        if any(other.name in _CHANGES_ACLS for other in calls):
            return None
        probe = self.run.exchange(self.twin, [Call("get_data", (call.args[0], False))])
        return call if probe and probe[0].err != zk.NO_AUTH else None

    def known_watches(self, call):
        """3.8 knows kinds 1 to 3 only, and takes 1 and 2 for lasting watches as well.

        It also finds a watch for checkWatches where another connection has one, and may stumble over a path without a
        slash.
        """
        path, kind = call.args
        if self.run.excuse and not str(path).startswith("/"):
            return None
        if self.twin.watches.lasting(path):
            call = call._replace(args=(path, 3))
        others = (t for t in self.run.twins if t is not self.twin)
        if self.run.excuse and call.name == "check_watches" and any(path in t.watches for t in others):
            return None
        return call

    def readable_vectors(self, call, calls):
        """3.8 tells whoever sets watches again what became of nodes, also those who may not read them."""
        zxid, *vectors = call.args
        one_shot = vectors[:3]
        if any(other.name in _CHANGES_ACLS for other in calls):
            one_shot = [()] * 3
        elif paths := sorted({path for vector in one_shot for path in vector}):
            probes = self.run.exchange(self.twin, [Call("get_data", (path, False)) for path in paths])
            readable = {path for path, probe in zip(paths, probes) if probe.err != zk.NO_AUTH}
            one_shot = [tuple(path for path in vector if path in readable) for vector in one_shot]
        return call._replace(args=(zxid, *one_shot, *vectors[3:]))

    def armed_vectors(self, call):
        kinds = ("data", "data", "child", "persistent", "recursive")
        vectors = []
        for kind, paths in zip(kinds, call.args[1:]):
            kept = [path for path in paths if self.twin.watches.can_arm(path, kind)]
            for path in kept:
                self.twin.watches.arm(path, kind)
            vectors.append(tuple(kept))
        return call._replace(args=(call.args[0], *vectors))

    def learn(self, replies):
        """Takes back what was not armed after all, and what was removed."""
        watches = self.twin.watches
        for call, reply, armed in zip(self.calls, replies, self._armed):
            if reply.err and not (call.name == "exists" and reply.err == zk.NO_NODE):
                for path, kind in armed:
                    watches.disarm(path, kind)
            if call.name == "remove_watches" and reply.err == zk.OK:
                self.forget(*call.args)

    def forget(self, path, kind):
        for name in {1: ("child",), 2: ("data",)}.get(kind, ("child", "data", "persistent", "recursive")):
            self.twin.watches.disarm(path, name)
