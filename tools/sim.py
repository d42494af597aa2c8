"""./dev sim: worlds of the simulator, many at a time.

The program witan-sim runs one world after the other; this starts some of them beside each other, each with seeds of its
own, watches the clock and adds up what they report.
"""

import collections
import json
import os
import random
import subprocess
import sys
import time

import house
from house import ROOT, Failed, say

CHUNK = 50  # seeds a process is given at a time
FIXED = 500  # seeds that decide in ./dev test ...
FRESH = 150  # ... and those that only report when CI is set
MOST = 10_000_000  # seeds of one run, however long it takes
TWICE = 20  # every so many worlds one is run a second time and compared
# Within how many seeds, from 1 on, drawn worlds must find a deliberate bug. The stories of src/sim/scenarios find all.
FOUND_WITHIN = {
    "acknowledge-before-sync": 20,
    "vote-not-persisted": 100,
    "read-without-quorum": 200,
    "read-joins-asked-round": 400,
    "log-cut-before-snapshot-durable": 100,
    "unsynced-directory-rename": 20,
    "lease-revoked-by-deposed-leader": 20,
    "progress-ahead-of-events": 100,
    "watch-event-dropped-at-compaction": 20,
    "applied-index-apart-from-effects": 20,
    "non-idempotent-replay": 200,
    "lock-without-recheck": 50,
    "duplicate-forward": 50,
    "session-move-ignored": 100,
    "read-overtakes-own-write": 20,
    "watch-set-again-forgets": 20,
}

# These need one leader after another at its moment. Of the seeds only the worlds that have nothing else are run: the
# others could only find them earlier.
FOUND_IN_SHORT_REIGNS_WITHIN = {
    "commit-old-term-by-counting": 1800,
    "reused-read-index-id": 1800,
    "ticket-without-term": 1800,
}


class Summary:
    def __init__(self):
        self.worlds = 0
        self.virtual_ms = 0
        self.events = 0
        self.failed = []
        self.counts = collections.Counter()
        self.seen_in = collections.Counter()
        self.started = time.monotonic()

    def add(self, line):
        world = json.loads(line)
        self.worlds += 1
        self.virtual_ms += world["virtual_ms"]
        self.events += world["events"]
        if world["violations"]:
            self.failed.append((world["seed"], sorted(set(world["violations"]))))
        for name, number in world["counts"].items():
            self.counts[name] += number
            self.seen_in[name] += 1

    def line(self):
        real = time.monotonic() - self.started
        return (
            f"{self.worlds} worlds, {self.virtual_ms / 3_600_000:.1f} virtual hours in {real:.0f} s, "
            f"{self.counts['calls']} calls, {len(self.failed)} failed"
        )

    def report(self):
        """Everything that was counted, by theme."""
        themes = {"fault: ": "faults", "path: ": "paths", "log: ": "lines of members' logs"}
        rows = collections.defaultdict(list)
        for name in sorted(self.counts):
            prefix = next((prefix for prefix in themes if name.startswith(prefix)), None)
            title = themes[prefix] if prefix else "operations"
            rows[title].append((name.removeprefix(prefix or ""), self.counts[name], self.seen_in[name]))
        out = [self.line()]
        for title in ("operations", *themes.values()):
            out.append(f"\n{title} (number, worlds)")
            out += [f"  {number:>12} {worlds:>8}  {name}" for name, number, worlds in rows[title]]
        return "\n".join(out)


def program(preset="release"):
    return str(house.build_dir(preset) / "witan-sim")


def commit():
    shown = subprocess.run(["git", "describe", "--always", "--dirty"], cwd=ROOT, capture_output=True, text=True)
    return shown.stdout.strip() or "unknown"


class Runner:
    """One process of witan-sim and the seeds that it was given."""

    def __init__(self, first, count, arguments, preset):
        self.next = first
        self.end = first + count
        command = [program(preset), str(first), str(count), "--json", *arguments]
        self.process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, errors="replace"
        )

    def finish(self, summary):
        """Waits, counts; what a person must see of failures."""
        output, errors = self.process.communicate()
        for line in output.splitlines():
            summary.add(line)
            self.next += 1
        if self.process.returncode not in (0, 1):
            seed = self.next
            summary.worlds += 1
            summary.failed.append((seed, [f"died with status {self.process.returncode}"]))
            errors += f"seed {seed} ended the process; ./dev sim {seed} shows it again\n"
            self.next += 1
        return errors


def run_seeds(first, count, jobs, summary, *, deadline=None, progress=False, preset="release", arguments=()):
    """Runs seeds first .. first + count - 1 (or until `deadline`), `jobs` at a time. Prints failures as they come."""
    end = first + min(count, MOST)
    waiting = collections.deque((start, min(CHUNK, end - start)) for start in range(first, end, CHUNK))
    running = []
    told = time.monotonic()
    while waiting or running:
        while waiting and len(running) < jobs and (deadline is None or time.monotonic() < deadline):
            running.append(Runner(*waiting.popleft(), [*arguments, "--twice", str(TWICE)], preset))
        if not running:
            break
        runner = running.pop(0)
        errors = runner.finish(summary)
        if errors:
            print(errors, end="", flush=True)
        if runner.next < runner.end:
            waiting.appendleft((runner.next, runner.end - runner.next))
        if progress and time.monotonic() - told > 30:
            told = time.monotonic()
            say(summary.line())


def command(options):
    answer = sys.stdout
    if options.json:
        # What is for people goes elsewhere, the compiler's words too.
        answer = os.fdopen(os.dup(1), "w")
        os.dup2(2, 1)
    house.build("release", "witan-sim")
    if options.seed is not None and options.seeds is None and options.minutes is None:
        say(f"commit {commit()}")
        arguments = ["--twice", "1"] + (["--trace"] if options.trace else [])
        sys.exit(subprocess.run([program(), str(options.seed), *arguments]).returncode)
    first = options.seed if options.seed is not None else random.SystemRandom().randrange(1 << 40)
    minutes = options.minutes if options.minutes is not None else (None if options.seeds else 1)
    deadline = None if minutes is None else time.monotonic() + minutes * 60
    say(f"seeds from {first} on, commit {commit()}, {options.jobs} at a time")
    summary = Summary()
    run_seeds(first, options.seeds or 1 << 30, options.jobs, summary, deadline=deadline, progress=True)
    if options.json:
        counted = {name: value for name, value in vars(summary).items() if name != "started"}
        print(json.dumps(counted | {"commit": commit()}), file=answer, flush=True)
    else:
        print(summary.report(), flush=True)
    sys.exit(1 if summary.failed else 0)


def add_arguments(command):
    command.add_argument("seed", nargs="?", type=int, help="one world again; with --seeds or --minutes the first one")
    command.add_argument("--seeds", type=int, help="how many worlds")
    command.add_argument("--minutes", type=float, help="how long (1 unless --seeds says how many)")
    command.add_argument("--jobs", type=int, default=int(house.JOBS), help=f"how many at a time (default {house.JOBS})")
    command.add_argument("--trace", action="store_true", help="with one seed: print what members log as it happens")
    command.add_argument("--json", action="store_true", help="the summary as JSON")


# ---- For ./dev test -----------------------------------------------------------------------------


def test(tally, jobs):
    """Seeds that every run takes decide; fresh ones only report in CI, where nobody could look at them."""
    say(f"{FIXED} worlds of the simulator that decide, {FRESH} fresh ones")
    fixed = Summary()
    run_seeds(1, FIXED, jobs, fixed)
    say(fixed.line())
    tally.add("simulator, fixed seeds", not fixed.failed)
    fresh = Summary()
    run_seeds(random.SystemRandom().randrange(1 << 40), FRESH, jobs, fresh)
    say(fresh.line())
    if fresh.failed and os.environ.get("CI") == "true":
        say(f"fresh seeds failed, which does not decide here: {fresh.failed}")
    else:
        tally.add("simulator, fresh seeds", not fresh.failed)


def bugs():
    listed = subprocess.run([program("planted"), "--list-bugs"], capture_output=True, text=True, check=True)
    return [line.split("\t")[0] for line in listed.stdout.splitlines()]


def find_bug(name, limit, *only):
    """The number of seeds from 1 on that it took, and the rules that were broken; None when it was not found."""
    done = subprocess.run(
        [program("planted"), "1", str(limit), "--json", "--stop", *only, "--bug", name],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, errors="replace",
    )
    worlds = [json.loads(line) for line in done.stdout.splitlines()]
    if done.returncode not in (0, 1):
        said = [line for line in done.stderr.splitlines() if "CHECK failed" in line]
        last = worlds[-1]["seed"] if worlds else 0
        return last + 1, said[:1] or [f"the process died with status {done.returncode}"]
    if not worlds or not worlds[-1]["violations"]:
        return None
    return worlds[-1]["seed"], sorted(set(worlds[-1]["violations"]))


def stories_that_notice(name):
    """The scenarios that fail with the bug; one that ends the process is counted by that."""
    results = house.build_dir("planted") / "stories.json"
    results.unlink(missing_ok=True)
    stories = house.build_dir("planted") / "src" / "sim" / "sim_test"
    done = subprocess.run(
        [str(stories), "--bug", name, f"--gtest_output=json:{results}"], stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, text=True, errors="replace", timeout=600,
    )
    if not results.exists():
        return ["(the process died)"] if done.returncode != 0 else []
    suites = json.loads(results.read_text())["testsuites"]
    return [f"{suite['name']}.{case['name']}" for suite in suites for case in suite["testsuite"] if "failures" in case]


def test_bugs(tally):
    """Every deliberate bug must be found: a simulator that finds nothing proves nothing."""
    try:
        house.configure("planted")
        house.build("planted", "witan-sim", "sim_test")
    except Failed as failure:
        say(str(failure))
        tally.failures.append("building planted")
        return
    for name in bugs():
        stories = stories_that_notice(name)
        say(f"planted {name}: {', '.join(stories) if stories else 'NO STORY FAILS'}")
        tally.add(f"planted bug {name}, by stories", bool(stories))
        limit = FOUND_WITHIN.get(name) or FOUND_IN_SHORT_REIGNS_WITHIN[name]
        found = find_bug(name, limit, *([] if name in FOUND_WITHIN else ["--short-reigns"]))
        say(f"planted {name}: " + (f"seed {found[0]}: {', '.join(found[1])}" if found else "NOT FOUND by seeds"))
        tally.add(f"planted bug {name}, within {limit} seeds", found is not None)
