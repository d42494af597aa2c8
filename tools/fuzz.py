"""./dev fuzz, and the short fuzzing of ./dev test."""

import subprocess

import house
from house import ROOT, Failed

MEMORY_MB = 2048  # more than any bounded decoder may take, with the sanitizers' own share


def names():
    """The fuzzers that the asan preset has, after it was configured."""
    listed = house.build_dir("asan") / "fuzzers.txt"
    return sorted(listed.read_text().split()) if listed.exists() else []


def arguments(name, seconds):
    """The command line that fuzzes `name`. New inputs and crashes stay under build/; fuzz/corpus/ is only read."""
    found = house.build_dir("asan") / "fuzz-found" / name
    crashes = house.build_dir("asan") / "fuzz-crashes" / name
    corpus = ROOT / "fuzz" / "corpus" / name
    for folder in (found, crashes, corpus):
        folder.mkdir(parents=True, exist_ok=True)
    return [
        str(house.build_dir("asan") / "fuzz" / name), f"-max_total_time={seconds}", f"-rss_limit_mb={MEMORY_MB}",
        "-timeout=20", f"-artifact_prefix={crashes}/", str(found), str(corpus),
    ]


def command(options):
    house.build("asan", "build.ninja")  # lists the fuzzers as CMakeLists has them now
    if options.name not in names():
        problem = f"no fuzzer is called {options.name}; " if options.name else ""
        raise Failed(f"{problem}there is {', '.join(names())}")
    house.build("asan", f"fuzz_{options.name}")
    seconds = options.seconds_too or options.seconds
    if subprocess.run(arguments(options.name, seconds), cwd=ROOT).returncode != 0:
        raise Failed(f"{options.name} failed; the input is in build/asan/fuzz-crashes/{options.name}/")
