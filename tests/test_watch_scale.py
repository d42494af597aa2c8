"""Many watchers, small: everyone gets exactly its events. (How fast: ./dev bench watchers.)"""

import statistics
import time

import client

STREAMS = 20
WATCHES = 100  # a stream


def _open(c, key_of, **fields):
    """STREAMS streams with WATCHES watches each; the created responses are taken."""
    streams = [c.watch() for _ in range(STREAMS)]
    for s, stream in enumerate(streams):
        for w in range(WATCHES):
            stream.create(key_of(s, w), **fields)
    for stream in streams:
        assert {stream.receive(30).watch_id for _ in range(WATCHES)} == set(range(WATCHES))
    return streams


def _by_watch(stream, count):
    """The next `count` events of a stream, as {watch id: [mod revision, ...]}."""
    got = {}
    while count > 0:
        response = stream.receive(30)
        got.setdefault(response.watch_id, []).extend(e.kv.mod_revision for e in response.events)
        count -= len(response.events)
    return got


def test_two_thousand_watchers_of_one_key(subject):
    with client.Client(subject[0].endpoint, 60) as c:
        streams = _open(c, lambda s, w: b"one")
        revisions = [c.put(b"one", b"%d" % i).header.revision for i in range(10)]
        for stream in streams:
            got = _by_watch(stream, 10 * WATCHES)
            assert got == {w: revisions for w in range(WATCHES)}
        for stream in streams:
            stream.close()


def test_two_thousand_watchers_of_as_many_keys(subject):
    """One put wakes one watcher, and nobody else hears of it."""
    with client.Client(subject[0].endpoint, 60) as c:
        streams = _open(c, lambda s, w: b"k/%d/%d" % (s, w))
        expected = [{} for _ in streams]
        for i in range(200):
            s, w = i % STREAMS, (i * 7) % WATCHES
            expected[s].setdefault(w, []).append(c.put(b"k/%d/%d" % (s, w)).header.revision)
        for stream, want in zip(streams, expected):
            assert _by_watch(stream, sum(map(len, want.values()))) == want
        for stream in streams:
            stream.close()


def test_two_thousand_watchers_catch_up_at_once(subject):
    """All of them start in the past, while writes go on."""
    with client.Client(subject[0].endpoint, 60) as c:
        revisions = [c.put(b"past", b"%d" % i).header.revision for i in range(50)]
        streams = _open_in_the_past(c, revisions[0])
        revisions += [c.put(b"past", b"%d" % i).header.revision for i in range(5)]
        for stream in streams:
            got = _by_watch(stream, len(revisions) * WATCHES)
            assert got == {w: revisions for w in range(WATCHES)}
        for stream in streams:
            stream.close()


def _open_in_the_past(c, revision):
    """Without waiting for the created responses, which come between the events of others."""
    streams = [c.watch() for _ in range(STREAMS)]
    for stream in streams:
        for _ in range(WATCHES):
            stream.create(b"past", start_revision=revision)
    return streams


def _median_put(c, rounds=12, count=100):
    """The best of several medians, in seconds: what a busy neighbour takes for a while says nothing of us."""
    medians = []
    for _ in range(rounds):
        took = []
        for _ in range(count):
            began = time.perf_counter()
            c.put(b"elsewhere", b"x")
            took.append(time.perf_counter() - began)
        medians.append(statistics.median(took))
    return min(medians)


def test_watchers_of_other_keys_do_not_slow_a_put(subject):
    with client.Client(subject[0].endpoint, 60) as c:
        without = _median_put(c)
        streams = _open(c, lambda s, w: b"quiet/%d/%d" % (s, w))
        with_them = _median_put(c)
        assert with_them < 3 * without + 0.001, f"{without * 1e6:.0f} us without, {with_them * 1e6:.0f} with"
        for stream in streams:
            stream.close()
