"""./dev test: builds what there is to test, runs it, counts it.

Suites run one after the other, because black-box tests measure time and the machine may have two cores:
tidy, the tests of tools/, release (unit tests, simulator, black box), the deliberate bugs that the simulator must find,
asan (unit tests, fuzzers) and, with --long, tsan.
"""

import json
import os
import re
import shutil
import subprocess
import sys
import time
import xml.etree.ElementTree as ElementTree
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import fuzz
import house
import sim
import tidy
from house import ROOT, Failed, say

FUZZ_SECONDS = 10
SANITIZER_ENVIRONMENT = {
    # Debian's clang comes without llvm-symbolizer; binutils' addr2line does as well.
    "ASAN_OPTIONS": "external_symbolizer_path=/usr/bin/addr2line:detect_stack_use_after_return=1",
    "UBSAN_OPTIONS": "print_stacktrace=1:external_symbolizer_path=/usr/bin/addr2line",
    "TSAN_OPTIONS": "external_symbolizer_path=/usr/bin/addr2line:halt_on_error=1",
}


@dataclass
class Tally:
    """What ran so far. `failures` are names a person can find in the output above the summary."""

    passed: int = 0
    skipped: int = 0
    failures: list = field(default_factory=list)

    def add_junit(self, path, prefix):
        """Counts the cases of a JUnit file, as GoogleTest and pytest write it."""
        for case in ElementTree.parse(path).iter("testcase"):
            if case.find("failure") is not None or case.find("error") is not None:
                self.failures.append(f"{prefix} {case.get('classname')}.{case.get('name')}")
            elif case.find("skipped") is not None or case.get("status") == "notrun" or case.get("result") == "skipped":
                self.skipped += 1
            else:
                self.passed += 1

    def add(self, name, passed):
        if passed:
            self.passed += 1
        else:
            self.failures.append(name)

    def total(self):
        return self.passed + self.skipped + len(self.failures)

    def summary(self):
        return f"{self.passed} passed, {len(self.failures)} failed, {self.skipped} skipped"


def unit_tests(preset, name):
    """(ctest names to run, GTEST_FILTER or None, targets to build) for the tests that `name` asks for."""
    listed = subprocess.run(
        ["ctest", "--show-only=json-v1", "--test-dir", str(house.build_dir(preset))],
        capture_output=True, text=True, check=True,
    )
    every = [test["name"] for test in json.loads(listed.stdout)["tests"]]
    if not name:
        return every, None, []
    rooms = [test for test in every if name in test]
    chosen = rooms or every
    binaries = {re.sub(r"/\d+$", "", test).replace("/", "_") + "_test" for test in chosen}
    return chosen, None if rooms else f"*{name}*", sorted(binaries)


def run_unit_tests(preset, chosen, gtest_filter, tally):
    if not chosen:
        return
    results = house.build_dir(preset) / "test-results"
    shutil.rmtree(results, ignore_errors=True)
    results.mkdir()
    environment = os.environ | SANITIZER_ENVIRONMENT
    if gtest_filter:
        environment["GTEST_FILTER"] = gtest_filter
    outcome = results / "ctest.junit"
    subprocess.run(
        ["ctest", "--test-dir", str(house.build_dir(preset)), "-j", house.JOBS, "--output-on-failure",
         "--output-junit", str(outcome), "-R", "^(" + "|".join(map(re.escape, chosen)) + ")$"],
        env=environment, stdin=subprocess.DEVNULL,
    )
    count_binaries(preset, outcome, results, tally)


def count_binaries(preset, outcome, results, tally):
    """Counts the cases of every binary; one that crashed, or failed without a failed case, is itself a failure."""
    for binary in ElementTree.parse(outcome).iter("testcase"):
        room = binary.get("name")
        cases = results / (room.replace("/", "_") + ".xml")
        shard = re.fullmatch(r"(.+)/(\d+)", room)
        if shard:
            cases = results / f"{shard[1].replace('/', '_')}-{shard[2]}.xml"
        before = len(tally.failures)
        if cases.exists():
            tally.add_junit(cases, preset)
        if binary.get("status") != "run" and len(tally.failures) == before:
            tally.failures.append(f"{preset} {room}: the test binary crashed or ran out of time")


def run_pytest(folder, name, long, tally):
    if not any((ROOT / folder).glob("*.py")):
        return
    say(f"python tests in {folder}/")
    results = house.build_dir("release") / f"pytest-{folder}.xml"
    results.unlink(missing_ok=True)
    command = ["/usr/bin/python3", "-m", "pytest", folder, "--junitxml", str(results), "--timeout=1800"]
    command += ["-p", "no:cacheprovider", "-ra", "--tb=short", "-q" if folder == "tools" else "-v"]
    if name:
        command += ["-k", name]
    if not long:
        command += ["-m", "not long"]
    environment = os.environ | {"WITAN_BIN": str(house.witan()), "PYTHONDONTWRITEBYTECODE": "1"}
    code = subprocess.run(command, cwd=ROOT, env=environment, stdin=subprocess.DEVNULL).returncode
    nothing_selected = 5
    before = len(tally.failures)
    if results.exists():
        tally.add_junit(results, folder)
    if code not in (0, nothing_selected) and len(tally.failures) == before:
        tally.failures.append(f"{folder}: pytest ended with status {code}")


def run_fuzzers(names, tally):
    """Each for some seconds, as many at a time as there are cores."""
    environment = os.environ | SANITIZER_ENVIRONMENT

    def run(name):
        return name, subprocess.run(
            fuzz.arguments(name, FUZZ_SECONDS), cwd=ROOT, env=environment, stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace",
        )

    if names:
        say(f"fuzzing {', '.join(names)}, {FUZZ_SECONDS} s each")
    with ThreadPoolExecutor(int(house.JOBS)) as pool:
        for name, done in pool.map(run, names):
            last = done.stdout.strip().splitlines()[-1:]
            say(f"fuzz {name}: {last[0] if done.returncode == 0 and last else 'FAILED'}")
            if done.returncode != 0:
                print(done.stdout[-20000:], flush=True)
            tally.add(f"fuzz {name}", done.returncode == 0)


def run_preset(preset, options, tally):
    """Builds and runs the unit tests of a preset. False when it does not build, which is counted as a failure."""
    try:
        house.configure(preset)
        chosen, gtest_filter, targets = unit_tests(preset, options.name)
        fuzzers = [f"fuzz_{name}" for name in chosen_fuzzers(options.name)] if preset == "asan" else []
        if options.name:
            house.build(preset, *targets, *fuzzers, *(["witan"] if preset == "release" else []))
        else:
            house.build(preset)
    except Failed as failure:
        say(str(failure))
        tally.failures.append(f"building {preset}")
        return False
    say(f"unit tests, {preset}")
    run_unit_tests(preset, chosen, gtest_filter, tally)
    return True


def chosen_fuzzers(name):
    return [fuzzer for fuzzer in fuzz.names() if not name or name in fuzzer]


def run_suites(options, tally):
    if not options.name or options.name in "tidy":
        problems = tidy.problems()
        print("\n".join(problems), flush=True)
        tally.add("tidy", not problems)
    if run_preset("release", options, tally):
        run_pytest("tools", options.name, options.long, tally)
        if not options.name or options.name in "simulator":
            sim.test(tally, int(house.JOBS))
        run_pytest("tests", options.name, options.long, tally)
    if not options.name or options.name in "planted":
        sim.test_bugs(tally)
    if run_preset("asan", options, tally):
        run_fuzzers(chosen_fuzzers(options.name), tally)
    if options.long:
        run_preset("tsan", options, tally)


def command(options):
    started = time.monotonic()
    tally = Tally()
    run_suites(options, tally)
    if tally.total() == 0:
        raise Failed(f"no test is called anything like {options.name}")
    minutes, seconds = divmod(int(time.monotonic() - started), 60)
    say(f"took {minutes} min {seconds} s")
    for name in tally.failures:
        print(f"FAILED {name}")
    print(tally.summary(), flush=True)
    sys.exit(1 if tally.failures else 0)
