"""Debian's etcdctl against Debian's etcd and against the server under test: it must print the same.

Every step runs the same command line on both servers and compares exit status, output and error text.
What cannot be equal is replaced first, by `Normaliser`: ids (numbered in order of appearance), raft
terms and indexes, addresses, sizes, hashes, times. Revisions are compared as they are.

Debian's etcdctl and etcd are 3.4; the server under test follows 3.7. Where the two differ, the step
names an entry of KNOWN_DIFFERENCES, and what the server under test must print stands there.
"""

import concurrent.futures
import json
import re
import time

import pytest

import client
import harness

# name -> (exit status, output and error text that the server under test gives instead; reason).
# A step that names an entry compares the subject with this; with etcd as the subject it is not used.
# Not here: "version" of endpoint status (3.7.1 against 3.4.23) is masked and pinned in its test; the
# order of a lease's keys is any order in etcd itself.
KNOWN_DIFFERENCES = {
    "snapshot status": (
        (1, "", "Error: invalid database\n"),
        "etcdctl opens the file itself, as etcd's bbolt database; ours is a format of its own."),
}


class Normaliser:
    """Replaces what may differ between two servers that did the same; one per server and test."""

    # Order matters: an address first, so that its port is not taken for anything else.
    MASKS = [
        (re.compile(r'"ts":"[^"]*"'), '"ts":"-"'),
        (re.compile(r'endpoint://client-[0-9a-f-]+/'), "endpoint://client/"),
        (re.compile(r'\b(Member|cluster) +(?=[0-9a-f]{13,16}\b)'), r"\1 "),  # sixteen columns for the id
        (re.compile(r'"(raft_term|raftTerm|raftIndex|raftAppliedIndex)":\d+'), r'"\1":0'),
        (re.compile(r'"(RaftTerm|RaftIndex|RaftAppliedIndex)" : \d+'), r'"\1" : 0'),
        (re.compile(r'"(dbSize|dbSizeInUse)":\d+'), r'"\1":0'),
        (re.compile(r'"(DBSize|DbSize|DbSizeInUse)" : \d+'), r'"\1" : 0'),
        (re.compile(r'"version":"[\d.]+"'), '"version":"-"'),
        (re.compile(r'"Version" : "[\d.]+"'), '"Version" : "-"'),
        (re.compile(r'took = [\d.]+(ms|µs|us|s)'), "took = -"),
        (re.compile(r'"took":"[^"]*"'), '"took":"-"'),
        (re.compile(r'"(hash|Hash)":\d+'), r'"\1":0'),
        (re.compile(r'"Hash" : \d+'), '"Hash" : 0'),
        (re.compile(r'remaining\(\d+s\)'), "remaining(-)"),
        (re.compile(r'"ttl":\d+'), '"ttl":0'),
        (re.compile(r'"TTL" : \d+'), '"TTL" : 0'),
    ]
    HEX_ID = re.compile(r"\b[0-9a-f]{13,16}\b")
    DECIMAL_ID = re.compile(r"(?<![\d.])\d{16,20}(?![\d.])")
    TABLE_ROW = re.compile(r"^[|+].*$", re.MULTILINE)  # as wide as its longest id and address
    RUN = re.compile(r"(?<=[ -])[ -]+")

    def __init__(self, cluster):
        self._cluster = cluster
        self._ids = {}

    def _name(self, number):
        return self._ids.setdefault(number, f"<id{len(self._ids) + 1}>")

    def __call__(self, text):
        for i, server in enumerate(self._cluster.servers, 1):
            text = text.replace(server.client_port.address, f"<client{i}>")
            text = text.replace(server.peer_port.address, f"<peer{i}>")
        for pattern, mask in self.MASKS:
            text = pattern.sub(mask, text)
        text = self.DECIMAL_ID.sub(lambda m: self._name(int(m.group())), text)
        text = self.HEX_ID.sub(lambda m: self._name(int(m.group(), 16)), text)
        return self.TABLE_ROW.sub(lambda m: self.RUN.sub("", m.group()), text)


class Both:
    """The two servers of one test, and the steps that both of them do, at the same time."""

    pool = concurrent.futures.ThreadPoolExecutor(2)

    def __init__(self, reference, subject):
        self.clusters = (reference, subject)
        self.normalise = tuple(Normaliser(c) for c in self.clusters)
        self.variables = ({}, {})
        self.subject_is_etcd = subject.kind == "etcd"
        for cluster, normalise in zip(self.clusters, self.normalise):
            # Member ids are known before anything else, so that they get the same numbers.
            with client.Client(cluster[0].endpoint) as c:
                members = sorted(c.call("MemberList").members, key=lambda m: m.name)
                normalise(" ".join(str(m.ID) for m in members))
                normalise(str(c.call("MemberList").header.cluster_id))

    def revisions(self):
        found = []
        for cluster in self.clusters:
            with client.Client(cluster[0].endpoint) as c:
                found.append(c.get(b"\0").header.revision)
        return found

    def set_variable(self, name, pattern, results):
        """Remembers what `pattern` captures in each server's raw output as {name} of later steps."""
        for variables, result in zip(self.variables, results):
            match = re.search(pattern, result.out)
            assert match, f"no {pattern!r} in {result}"
            variables[name] = match.group(1)

    def _arguments(self, side, args):
        return [a.format(**self.variables[side]) if "{" in a else a for a in args]

    def raw(self, *args, stdin="", endpoints=None, timeout_s=30):
        """Both results as they came."""
        def one(side):
            cluster = self.clusters[side]
            where = (endpoints or "{all}").format(all=cluster.endpoints, **{
                f"c{i}": s.endpoint for i, s in enumerate(cluster.servers, 1)})
            return harness.etcdctl(
                where, *self._arguments(side, args), stdin=stdin, timeout_s=timeout_s)

        return list(self.pool.map(one, (0, 1)))

    def compare(self, results, what, known=None, order=lambda text: text):
        seen = []
        for normalise, result in zip(self.normalise, results):
            seen.append((result.code, order(normalise(result.out)), order(normalise(result.err))))
        expected = seen[0]
        if known and not self.subject_is_etcd:
            expected = KNOWN_DIFFERENCES[known][0]
        if seen[1] != expected:
            pytest.fail(f"etcdctl {what}\n--- expected (etcd)\n{_show(expected)}"
                        f"\n--- got (subject)\n{_show(seen[1])}")
        return results

    def run(self, *args, stdin="", known=None, order=lambda text: text, code=None, **where):
        """One command on both; the results must agree. `code` also pins the exit status."""
        results = self.raw(*args, stdin=stdin, **where)
        if code is not None:
            assert results[0].code == code, f"the reference itself: {results[0]}"
        return self.compare(results, " ".join(args), known, order)

    def ok(self, *args, **options):
        """A command that must succeed on both."""
        return self.run(*args, code=0, **options)

    def fails(self, *args, **options):
        """A command that must fail on both, in the same way."""
        results = self.run(*args, **options)
        assert results[0].code != 0, f"the reference accepted it: {results[0]}"
        return results

    def start(self, *args, interactive=False):
        """The same command running on both, until closed."""
        return BothRunning(self, [
            harness.RunningCtl(c.endpoints, *self._arguments(side, args), interactive=interactive)
            for side, c in enumerate(self.clusters)
        ], " ".join(args))


class BothRunning:
    """A command that goes on, on both servers."""

    def __init__(self, both, commands, what):
        self.both = both
        self.commands = commands
        self.what = what

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        for command in self.commands:
            command.close()

    def expect(self, count, timeout_s=10):
        """The next `count` lines of each, which must agree; the reference's are returned."""
        seen = []
        for normalise, command in zip(self.both.normalise, self.commands):
            seen.append([normalise(line) for line in command.read(count, timeout_s)])
        assert seen[1] == seen[0], f"etcdctl {self.what}\n--- etcd\n{seen[0]}\n--- subject\n{seen[1]}"
        return seen[0]

    def send(self, text):
        for command in self.commands:
            command.send(text)

    def interrupt(self):
        """Ctrl-C on both: exit status and what was still printed must agree."""
        ends = [(c.interrupt(), [n(x) for x in _rest(c)]) for n, c in zip(self.both.normalise, self.commands)]
        assert ends[1] == ends[0], f"etcdctl {self.what} at its end: {ends}"
        return ends[0]

    def finish(self):
        """Waits until both end by themselves: exit status and the rest of the output must agree."""
        ends = [(c.wait(), [n(x) for x in _rest(c)]) for n, c in zip(self.both.normalise, self.commands)]
        assert ends[1] == ends[0], f"etcdctl {self.what} at its end: {ends}"
        return ends[0]


def _rest(command):
    rest = []
    while (line := command.line(5)) is not None:
        rest.append(line)
    return rest


def _show(seen):
    code, out, err = seen
    return f"exit status {code}\nstdout:\n{out}stderr:\n{err}"


@pytest.fixture(scope="module")
def pairs(tmp_path_factory):
    """Hands out a pair of single servers, new ones whenever the last test left them unequal."""
    made = []

    def fresh():
        directory = tmp_path_factory.mktemp("pair")
        pair = [harness.Cluster("etcd", 1, directory / "reference"),
                harness.Cluster(harness.subject_kind(), 1, directory / "subject")]
        made.append(pair)
        for cluster in pair:
            cluster.start()
        return pair

    yield made, fresh
    for pair in made:
        for cluster in pair:
            cluster.dispose()


def _is_clean(both):
    empty = []
    for cluster in both.clusters:
        with client.Client(cluster[0].endpoint) as c:
            kept = c.get(b"\0", range_end=b"\0", count_only=True).count
            empty.append(kept == 0 and not c.call("LeaseLeases").leases)
    revisions = both.revisions()
    return all(empty) and revisions[0] == revisions[1]


def _clean(both):
    for cluster in both.clusters:
        with client.Client(cluster[0].endpoint) as c:
            for lease in c.call("LeaseLeases").leases:
                c.call("LeaseRevoke", ID=lease.ID)
            c.delete(b"\0", range_end=b"\0")


@pytest.fixture
def both(pairs):
    """A pair of single servers, empty and at one revision."""
    made, fresh = pairs
    if made:
        pair = Both(*made[-1])
        _clean(pair)
        if _is_clean(pair):
            return pair
        for cluster in made[-1]:
            cluster.dispose()
    return Both(*fresh())


@pytest.fixture
def both_of_three(make_cluster):
    """A pair of clusters of three."""
    return Both(make_cluster(3, "etcd"), make_cluster(3))


# ---------------------------------------------------------------- put and get


def test_put_and_get(both):
    both.ok("put", "a", "1")
    both.ok("get", "a")
    both.ok("get", "nothing")
    both.ok("put", "a", "2", "--prev-kv")
    both.ok("put", "new", "1", "--prev-kv")
    both.ok("put", "from-stdin", stdin="several\nlines\n")
    both.ok("get", "from-stdin")
    both.ok("put", "empty", "")
    both.ok("get", "empty")
    both.ok("put", "--", "-dash", "-value")
    both.ok("get", "--", "-dash")


def test_put_ignoring_the_value_or_the_lease(both):
    granted = both.ok("lease", "grant", "600")
    both.set_variable("lease", r"lease (\S+) granted", granted)
    both.ok("put", "k", "v", "--lease={lease}")
    both.ok("put", "k", "--ignore-value", "-w", "json")
    both.ok("get", "k", "-w", "json")
    both.ok("put", "k", "w", "--lease={lease}")
    both.ok("put", "k", "x", "--ignore-lease")
    both.ok("get", "k", "-w", "json")
    both.fails("put", "missing", "--ignore-value")
    both.fails("put", "missing", "x", "--ignore-lease")
    both.fails("put", "k", "value", "--ignore-value")


@pytest.fixture
def some_keys(both):
    """Keys of one prefix whose create and mod revisions, versions and values all sort differently."""
    for key, value in [("k/c", "5"), ("k/a", "3"), ("k/e", "1"), ("k/b", "4"), ("k/d", "2")]:
        both.ok("put", key, value)
    both.ok("put", "outside", "x")
    for key, times in [("k/d", 4), ("k/a", 3), ("k/b", 2), ("k/c", 1)]:
        for i in range(times):
            both.ok("put", key, f"{key[-1]}{i}")
    return both


RANGES = [
    ("k/", "--prefix"),
    ("k/", "--prefix", "--keys-only"),
    ("k/", "--prefix", "--print-value-only"),
    ("k/", "--prefix", "--limit=2"),
    ("k/", "--prefix", "--limit=5"),
    ("k/", "--prefix", "--limit=100"),
    ("k/a", "k/c"),
    ("k/c", "k/a"),
    ("k/c", "--from-key"),
    ("zzz", "--from-key"),
    ("", "--prefix"),
    ("", "--from-key"),
    ("k/", "--prefix", "--rev=4"),
    ("k/", "--prefix", "--rev=4", "--limit=1"),
    ("k/", "--prefix", "--consistency=s"),
    ("k/", "--prefix", "--consistency=l"),
]


@pytest.mark.parametrize("form", ["simple", "json", "fields"])
def test_get_of_ranges(some_keys, form):
    for arguments in RANGES:
        # print-value-only is refused with any other form, by etcdctl itself.
        some_keys.run("get", *arguments, "-w", form)


@pytest.mark.parametrize("target", ["CREATE", "KEY", "MODIFY", "VALUE", "VERSION"])
def test_get_sorted(some_keys, target):
    for order in ("ASCEND", "DESCEND"):
        sort = (f"--sort-by={target}", f"--order={order}")
        some_keys.ok("get", "k/", "--prefix", *sort)
        some_keys.ok("get", "k/", "--prefix", *sort, "--limit=2", "-w", "json")
        some_keys.ok("get", "k/", "--prefix", *sort, "--keys-only")
    some_keys.ok("get", "k/", "--prefix", f"--sort-by={target}")


def test_get_that_cannot_be(some_keys):
    some_keys.fails("get", "k/a", "-w", "table")
    some_keys.fails("get", "")
    some_keys.fails("get", "k/a", "--sort-by=nothing", "--order=ASCEND")
    some_keys.fails("get", "k/a", "--prefix", "--from-key")
    some_keys.fails("get", "k/a", "--rev=1000000")
    some_keys.ok("get", "k/a", "--hex")
    some_keys.ok("put", "bin\x01", "\x02\x03")
    some_keys.ok("get", "bin", "--prefix", "--hex")
    some_keys.ok("get", "bin", "--prefix", "-w", "json")


def test_bad_keys_and_leases(both):
    both.fails("put", "", "x")
    both.fails("put", "k", "v", "--lease=123456789abcdef")
    both.fails("put", "k", "v", "--lease=zz")
    both.fails("del", "")
    both.fails("lease", "revoke", "123456789abcdef")
    both.fails("lease", "revoke", "zz")
    both.ok("lease", "timetolive", "123456789abcdef")
    both.fails("lease", "grant", "9000000001")
    both.fails("lease", "grant", "x")
    both.fails("compaction", "x")


# ---------------------------------------------------------------- del


@pytest.mark.parametrize("form", ["simple", "json", "fields"])
def test_del(some_keys, form):
    both = some_keys
    both.ok("del", "nothing", "-w", form)
    both.ok("del", "k/a", "--prev-kv", "-w", form)
    both.ok("del", "k/a", "-w", form)
    both.ok("del", "k/b", "k/d", "--prev-kv", "-w", form)
    both.ok("put", "k/b", "again", "-w", form)
    both.ok("get", "k/b", "-w", form)
    both.ok("del", "k/", "--prefix", "-w", form)
    both.ok("del", "o", "--from-key", "-w", form)
    both.ok("get", "", "--from-key", "-w", form)


# ---------------------------------------------------------------- txn

# Compares of a lease are left to the gRPC tests: this etcdctl panics on them before it sends anything.
TXNS = {
    "value equal": 'value("t/a") = "1"\n\nput t/x "yes"\nget t/a\n\nput t/x "no"\n\n',
    "value differs": 'value("t/a") = "other"\n\nput t/x "yes"\n\nput t/x "no"\nget t/ --prefix\n\n',
    "value greater": 'value("t/a") > "0"\n\nget t/a\n\nget t/b\n\n',
    "value less": 'value("t/a") < "0"\n\nget t/a\n\nget t/b\n\n',
    "value of a missing key": 'value("t/none") = ""\n\nget t/a\n\nget t/b\n\n',
    "version of a missing key": 'version("t/none") = "0"\n\nput t/none made\n\nget t/none\n\n',
    "version": 'version("t/a") > "1"\n\nget t/a\n\ndel t/b\n\n',
    "create": 'create("t/a") < "1000000"\n\ndel t/a\nget t/a\n\nget t/b\n\n',
    "mod": 'mod("t/a") > "1000000"\n\ndel t/a\n\nput t/a 5\nget t/a\n\n',
    "two compares, one false": 'mod("t/a") > "0"\nversion("t/b") = "7"\n\nget t/a\n\nget t/b\n\n',
    "no compare": "\nput t/a 9\nput t/b 9\ndel t/c\nget t/ --prefix\n\n\n",
    "nothing at all": "\n\n\n",
    "delete of a range": "\ndel t/ --prefix\nget t/ --prefix\n\n\n",
    "put after read": "\nget t/a\nput t/a 77\nget t/a\n\n\n",
    "prev-kv": "\nput t/a 8 --prev-kv\ndel t/b --prev-kv\n\n\n",
    "value with quotes": '\nput t/q "a \\"quoted\\" word"\nget t/q\n\n\n',
    "sorted and limited": "\nget t/ --prefix --order=DESCEND --sort-by=KEY --limit=2\n\n\n",
    "duplicate key": "\nput t/a 1\nput t/a 2\n\n\n",
    "put inside a deleted range": "\nput t/a 1\ndel t/ --prefix\n\n\n",
    "future revision": "\nget t/a --rev=1000000\nput t/a 3\n\n\n",
    "missing lease": "\nput t/a 1 --lease=123456789abcdef\n\n\n",
    "bad compare": 'nonsense("t/a") > "0"\n\nget t/a\n\nget t/b\n\n',
    "bad operation": "\nfrobnicate t/a\n\n\n",
}


@pytest.mark.parametrize("form", ["simple", "json", "fields"])
def test_txn(both, form):
    for script in TXNS.values():
        both.ok("txn", stdin="\nput t/a 1\nput t/b 1\nput t/c 1\n\n\n")
        both.run("txn", "-w", form, stdin=script)
        both.ok("get", "t/", "--prefix", "-w", "json")


def test_txn_interactive(both):
    both.ok("put", "t/a", "1")
    for script in TXNS.values():
        both.run("txn", "--interactive", stdin=script)


# ---------------------------------------------------------------- watch


def test_watch_from_a_past_revision(both):
    first = both.revisions()[0] + 1
    both.ok("put", "w/a", "1")
    both.ok("put", "w/b", "2")
    both.ok("del", "w/a")
    both.ok("put", "w/a", "3")
    both.ok("put", "other", "4")
    for form, lines in (("simple", 12), ("json", 1), ("fields", 32)):
        with both.start("watch", "w/", "--prefix", f"--rev={first}", "-w", form) as watch:
            watch.expect(lines)
    with both.start("watch", "w/", "--prefix", f"--rev={first + 2}", "--prev-kv") as watch:
        watch.expect(8)
    with both.start("watch", "w/a", "w/b", f"--rev={first}") as watch:
        watch.expect(8)
    with both.start("watch", "w/b", "--from-key", f"--rev={first}") as watch:
        watch.expect(3)


def test_watch_of_the_future(both):
    with both.start("watch", "--interactive", interactive=True) as watch:
        watch.send("watch --prefix f/\nprogress\n")
        watch.expect(1)
        both.ok("put", "f/a", "1")
        watch.expect(3)
        both.ok("del", "f/", "--prefix")
        watch.expect(3)
        watch.send("watch other --prev-kv\nprogress\n")
        watch.expect(1)
        both.ok("put", "other", "1")
        both.ok("put", "other", "2")
        watch.expect(8)


def test_watch_of_one_transaction(both):
    first = both.revisions()[0] + 1
    both.ok("txn", stdin="\nput w/a 1\nput w/b 2\ndel w/c\n\n\n")
    with both.start("watch", "w/", "--prefix", f"--rev={first}", "-w", "json") as watch:
        watch.expect(1)


def test_watch_with_progress_notify_and_command(both):
    first = both.revisions()[0] + 1
    both.ok("put", "w/a", "1")
    with both.start("watch", "w/a", f"--rev={first}", "--progress-notify") as watch:
        watch.expect(3)
    command = ("sh", "-c", "env | grep ETCD_WATCH | sort; echo end")
    with both.start("watch", "w/a", f"--rev={first}", "--", *command) as watch:
        watch.expect(8)


def test_watch_of_a_compacted_revision(both):
    for i in range(4):
        both.ok("put", "w/a", str(i))
    now = both.revisions()[0]
    both.ok("compaction", str(now - 1))
    with both.start("watch", "w/a", f"--rev={now - 2}") as watch:
        watch.finish()
    with both.start("watch", "w/a", f"--rev={now - 1}") as watch:
        watch.expect(6)


# ---------------------------------------------------------------- lease


def _by_word(text):
    """etcd lists the keys of a lease in any order."""
    return " ".join(sorted(re.split(r"[\s,\[\]()]+", text)))


def test_lease(both):
    for form in ("simple", "json", "fields"):
        granted = both.ok("lease", "grant", "600", "-w", form)
        pattern = {"simple": r"lease (\S+) granted", "json": r'"ID":(\d+)', "fields": r'"ID" : (\d+)'}
        both.set_variable("lease", pattern[form], granted)
        for variables in both.variables:
            if form != "simple":
                variables["lease"] = f"{int(variables['lease']):x}"
        both.ok("put", f"l/{form}/b", "1", "--lease={lease}")
        both.ok("put", f"l/{form}/a", "1", "--lease={lease}")
        both.ok("lease", "timetolive", "{lease}", "-w", form)
        both.ok("lease", "timetolive", "{lease}", "--keys", "-w", form, order=_by_word)
        both.ok("lease", "keep-alive", "{lease}", "--once", "-w", form)
        both.ok("lease", "list", "-w", form)
        both.ok("get", "l/", "--prefix", "-w", "json")
        both.ok("lease", "revoke", "{lease}", "-w", form)
        both.ok("get", "l/", "--prefix")
        both.ok("lease", "timetolive", "{lease}", "-w", form)
        both.fails("lease", "revoke", "{lease}", "-w", form)
        both.run("lease", "keep-alive", "{lease}", "--once", "-w", form)
        both.ok("lease", "list", "-w", form)


def test_lease_ends_by_itself(both):
    """A key vanishes with its lease: the watch sees the delete, and the lease is gone."""
    first = both.revisions()[0] + 1
    granted = both.ok("lease", "grant", "1")  # raised to the smallest TTL, 2 s
    both.set_variable("lease", r"lease (\S+) granted", granted)
    both.ok("put", "e/b", "1", "--lease={lease}")
    both.ok("put", "e/a", "1", "--lease={lease}")
    with both.start("watch", "e/", "--prefix", f"--rev={first}") as watch:
        watch.expect(12, timeout_s=15)
    with both.start("watch", "e/", "--prefix", f"--rev={first}", "-w", "json") as watch:
        watch.expect(1)
    both.ok("get", "e/", "--prefix")
    both.ok("lease", "timetolive", "{lease}")


def test_a_key_that_changed_its_lease_stays(both):
    granted = both.ok("lease", "grant", "600")
    both.set_variable("first", r"lease (\S+) granted", granted)
    granted = both.ok("lease", "grant", "600")
    both.set_variable("second", r"lease (\S+) granted", granted)
    both.ok("put", "k", "1", "--lease={first}")
    both.ok("put", "k", "2", "--lease={second}")
    both.ok("put", "loose", "1", "--lease={first}")
    both.ok("put", "loose", "2")
    both.ok("lease", "timetolive", "{first}", "--keys", order=_by_word)
    both.ok("lease", "revoke", "{first}")
    both.ok("get", "", "--prefix", "-w", "json")
    both.ok("lease", "revoke", "{second}")
    both.ok("get", "", "--prefix", "-w", "json")


# ---------------------------------------------------------------- compaction


def test_compaction(both):
    for i in range(5):
        both.ok("put", "c", str(i))
    now = both.revisions()[0]
    both.ok("compaction", str(now - 2))
    both.fails("compaction", str(now - 2))
    both.fails("compaction", str(now - 3))
    both.fails("compaction", str(now + 1))
    both.fails("get", "c", f"--rev={now - 3}")
    both.ok("get", "c", f"--rev={now - 2}")
    both.ok("get", "c", f"--rev={now - 1}")
    both.ok("compaction", str(now), "--physical")
    both.ok("get", "c", "-w", "json")
    both.fails("get", "c", f"--rev={now - 1}")
    both.fails("txn", stdin=f"\nget c --rev={now - 1}\nput c lost\n\n\n")
    both.ok("get", "c", "-w", "json")


# ---------------------------------------------------------------- lock and election


def test_lock_with_a_command(both):
    both.ok("lock", "l", "echo", "held")
    both.ok("lock", "l", "--", "sh", "-c", "echo key=$ETCD_LOCK_KEY rev=$ETCD_LOCK_REV")
    both.ok("get", "l", "--prefix")


def test_lock_waits_for_its_holder(both):
    """Each side's second process gets the lock when, and only when, the first has let go."""
    with both.start("lock", "l") as holder:
        holder.expect(1)
        with both.start("lock", "l") as waiter:
            for command in waiter.commands:
                with pytest.raises(AssertionError, match="expected 1 lines"):
                    command.read(1, timeout_s=0.5)
            assert holder.interrupt()[0] == 0
            waiter.expect(1)
            both.ok("get", "l", "--prefix", "--keys-only")
            assert waiter.interrupt()[0] == 0
    both.ok("get", "l", "--prefix", "--keys-only")


def test_elect(both):
    with both.start("elect", "e", "first") as leader:
        leader.expect(2)
        with both.start("elect", "--listen", "e") as observer:
            observer.expect(2)
            with both.start("elect", "e", "second") as candidate:
                both.ok("get", "e", "--prefix", "--print-value-only", "--limit=1")
                leader.interrupt()
                candidate.expect(2)
                observer.expect(2)
                candidate.interrupt()
    both.ok("get", "e", "--prefix")


# ---------------------------------------------------------------- members


def test_member_list(both):
    for form in ("simple", "json", "fields", "table"):
        both.ok("member", "list", "-w", form)


def _by_line(text):
    return "\n".join(sorted(text.splitlines()))


def _by_member(text):
    """Members come by id, in both servers, and what id a member gets is chance: here they come by name."""
    def sorted_list(match):
        return f'="{",".join(sorted(match.group(1).split(",")))}"'

    return _by_line(re.sub(r'="([^"]*)"', sorted_list, text))


def test_member_update_and_errors(both):
    listed = both.ok("member", "list")
    both.set_variable("id", r"^([0-9a-f]+),", listed)
    peers = [c[0].peer_port.address for c in both.clusters]
    for variables, peer in zip(both.variables, peers):
        variables["peer"] = f"http://{peer}"
    both.ok("member", "update", "{id}", "--peer-urls={peer}")
    both.fails("member", "update", "{id}")
    both.fails("member", "update", "123456789abcdef", "--peer-urls=http://127.0.0.1:1")
    both.fails("member", "update", "zz", "--peer-urls=http://127.0.0.1:1")
    both.fails("member", "remove", "123456789abcdef")
    both.fails("member", "promote", "123456789abcdef")
    both.fails("member", "promote", "{id}")
    both.fails("member", "add", "n2")
    both.fails("member", "add", "n2", "--peer-urls=nonsense")
    both.fails("member", "add", "n2", "--peer-urls={peer}")


def test_member_add_as_learner_and_remove(both):
    """Added but never started: it has no name, and cannot be promoted."""
    for variables in both.variables:
        variables["peer"] = "http://127.0.0.1:1"
    added = both.ok("member", "add", "n2", "--learner", "--peer-urls={peer}", order=_by_member)
    both.set_variable("new", r"Member\s+([0-9a-f]+) added", added)
    both.ok("member", "list", order=_by_member)
    both.ok("member", "list", "-w", "table", order=_by_member)
    for cluster in both.clusters:
        with client.Client(cluster[0].endpoint) as c:
            ids = [m.ID for m in c.call("MemberList").members]
            assert len(ids) == 2 and ids == sorted(ids)
    both.fails("member", "promote", "{new}")
    both.fails("member", "add", "n3", "--learner", "--peer-urls=http://127.0.0.1:2")
    both.ok("put", "still", "serving")
    both.ok("member", "remove", "{new}")
    both.fails("member", "remove", "{new}")
    both.ok("member", "list", order=_by_member)


# ---------------------------------------------------------------- endpoints and maintenance


def _shape(value):
    """A JSON value with its scalars replaced by their types."""
    if isinstance(value, dict):
        return {k: _shape(v) for k, v in sorted(value.items())}
    if isinstance(value, list):
        return [_shape(v) for v in value]
    return type(value).__name__


def test_endpoint_health(both):
    both.ok("endpoint", "health")
    for form in ("json", "table"):
        results = both.raw("endpoint", "health", "-w", form)
        assert [r.code for r in results] == [0, 0]
    both.ok("endpoint", "health", "--cluster")


def test_endpoint_status(both):
    both.ok("put", "a", "1")
    results = both.raw("endpoint", "status", "-w", "json")
    assert [r.code for r in results] == [0, 0]
    statuses = [json.loads(r.out) for r in results]
    assert _shape(statuses[1]) == _shape(statuses[0])
    for status in statuses:
        assert status[0]["Status"]["leader"] == status[0]["Status"]["header"]["member_id"]
        assert status[0]["Status"]["dbSize"] >= status[0]["Status"]["dbSizeInUse"] > 0
    assert statuses[0][0]["Status"]["header"]["revision"] == statuses[1][0]["Status"]["header"]["revision"]
    if not both.subject_is_etcd:
        assert statuses[1][0]["Status"]["version"] == "3.7.1"
    for form in ("simple", "table", "fields"):
        assert [r.code for r in both.raw("endpoint", "status", "-w", form)] == [0, 0]


def test_endpoint_hashkv(both):
    both.ok("put", "a", "1")
    results = both.ok("endpoint", "hashkv", "-w", "json")
    first = [json.loads(r.out)[0]["HashKV"]["hash"] for r in results]
    both.ok("put", "a", "2")
    results = both.raw("endpoint", "hashkv", "-w", "json")
    second = [json.loads(r.out)[0]["HashKV"]["hash"] for r in results]
    assert first[0] != second[0] and first[1] != second[1]
    now = both.revisions()[0]
    results = both.raw("endpoint", "hashkv", f"--rev={now - 1}", "-w", "json")
    assert [json.loads(r.out)[0]["HashKV"]["hash"] for r in results] == first
    both.fails("endpoint", "hashkv", f"--rev={now + 1}")


def test_alarm_and_defrag(both):
    both.ok("alarm", "list")
    both.ok("alarm", "disarm")
    both.ok("defrag")
    both.ok("put", "a", "1")


def test_snapshot_save(both, tmp_path):
    for i in range(20):
        both.ok("put", f"s/{i}", "x" * 100)
    for side in (0, 1):
        path = tmp_path / f"snapshot-{side}.db"
        saved = harness.etcdctl(both.clusters[side].endpoints, "snapshot", "save", str(path))
        assert saved.code == 0, saved
        assert f"Snapshot saved at {path}" in saved.out
        # etcdctl itself refuses to end well unless the file ends with a SHA-256 sum.
        assert path.stat().st_size % 512 == 32


@pytest.mark.parametrize("bytes_of_value", [1, 20_000])
def test_snapshot_status(both, tmp_path, bytes_of_value):
    both.ok("put", "a", "x" * bytes_of_value)
    for side, variables in enumerate(both.variables):
        variables["file"] = str(tmp_path / f"side-{side}.db")
        saved = harness.etcdctl(both.clusters[side].endpoints, "snapshot", "save", variables["file"])
        assert saved.code == 0, saved
    results = both.raw("snapshot", "status", "{file}", "-w", "json")
    assert results[0].code == 0 and _shape(json.loads(results[0].out)) == {
        "hash": "int", "revision": "int", "totalKey": "int", "totalSize": "int"}
    if both.subject_is_etcd:
        assert json.loads(results[1].out)["revision"] == json.loads(results[0].out)["revision"]
    else:
        both.compare(results, "snapshot status", known="snapshot status")


def test_move_leader_on_one_member(both):
    both.fails("move-leader", "123456789abcdef")
    both.fails("move-leader", "zz")


def _leader_of(cluster):
    for server in cluster.servers:
        with client.Client(server.endpoint) as c:
            status = c.call("Status")
            if status.leader == status.header.member_id:
                return server, status.leader
    raise AssertionError("no leader")


def _wait_for_leader(cluster, expected):
    """Until every member names `expected`; the transfer is acknowledged by the old leader alone."""
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        leaders = set()
        for server in cluster.servers:
            with client.Client(server.endpoint) as c:
                leaders.add(c.call("Status").leader)
        if leaders == {expected}:
            return
        time.sleep(0.05)
    raise AssertionError(f"leader is {leaders}, expected {expected}")


def test_three_members(both_of_three):
    both = both_of_three
    both.ok("put", "a", "1")
    for i in (1, 2, 3):
        both.ok("get", "a", endpoints=f"{{c{i}}}")
        both.ok("put", "a", f"from {i}", endpoints=f"{{c{i}}}")
        both.ok("endpoint", "health", endpoints=f"{{c{i}}}")
    both.ok("endpoint", "health", order=_by_line)
    both.ok("member", "list", order=_by_line)
    both.ok("alarm", "list")
    both.ok("defrag")
    for cluster in both.clusters:
        hashes = json.loads(harness.etcdctl(cluster.endpoints, "endpoint", "hashkv", "-w", "json").out)
        assert len({h["HashKV"]["hash"] for h in hashes}) == 1, hashes


def test_move_leader(both_of_three):
    both = both_of_three
    results = []
    for cluster in both.clusters:
        server, old = _leader_of(cluster)
        target = next(s for s in cluster.servers if s is not server)
        with client.Client(target.endpoint) as c:
            new = c.call("Status").header.member_id
        refused = harness.etcdctl(target.endpoint, "move-leader", f"{new:x}")
        moved = harness.etcdctl(cluster.endpoints, "move-leader", f"{new:x}")
        _wait_for_leader(cluster, new)
        ids = {f"{old:x}": "<old>", f"{new:x}": "<new>", target.endpoint: "<target>"}
        for endpoint in cluster.servers:
            ids.setdefault(endpoint.endpoint, "<endpoint>")
        seen = []
        for r in (refused, moved):
            text = r.out + re.sub(r'"ts":"[^"]*"|client-[0-9a-f-]+', "-", r.err)
            for raw, name in ids.items():
                text = text.replace(raw, name)
            seen.append((r.code, text))
        results.append(seen)
    assert results[1] == results[0]
    assert results[0][0][0] != 0 and results[0][1][0] == 0


@pytest.mark.long
def test_check_perf(both):
    """Sixty seconds of etcdctl's own small load; it judges throughput and latency itself."""
    for cluster in both.clusters:
        done = harness.etcdctl(cluster.endpoints, "check", "perf", "--load=s", timeout_s=180)
        print(done.out)
        assert done.code == 0, done
        assert "FAIL" not in done.out
