"""The commands of ./dev. Run it through ./dev, which installs what a command needs first."""

import argparse
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import cluster
import fuzz
import house
import sim
import suites
import tidy
from house import ROOT, Failed, say

USAGE = """\
examples:
  ./dev run                       one durable server on 127.0.0.1:2379, data in ./witan-data
  ./dev run --log-level debug     any flag of `witan serve`
  ./dev cluster 3                 three members on this machine, until Ctrl-C
  ./dev test                      build and run every test
  ./dev test raft                 only the tests whose name contains "raft"
  ./dev sim                       a minute of fresh worlds in the simulator
  ./dev sim 42                    the world of seed 42 once more
  ./dev bench etcd                measure against Debian's etcd
"""


def run(options, extra):
    house.build("release", "witan")
    command = [str(house.witan()), "serve"]
    if not any(argument.split("=")[0] == "--data-dir" for argument in extra):
        command += ["--data-dir", "./witan-data"]
    os.execv(command[0], command + extra)


def build(options):
    tidy.require_clean()
    house.build(options.preset)


def fmt(options):
    files = house.sources(".cc", ".h")
    mode = ["--dry-run", "--Werror"] if options.check else ["-i"]
    if files and subprocess.run(["clang-format-19", *mode, *files], cwd=ROOT).returncode != 0:
        raise Failed("not formatted; run ./dev fmt" if options.check else "clang-format failed")


def tidy_command(options):
    tidy.require_clean()
    if options.full:
        clang_tidy(options.paths)


def clang_tidy(paths):
    """clang-tidy over every .cc (or those under `paths`), with the flags of the asan preset."""
    house.configure("asan")
    command = ["ninja", "-C", str(house.build_dir("asan")), "-t", "targets", "all"]
    listed = subprocess.run(command, capture_output=True, text=True, check=True)
    generated = [line.split(":")[0] for line in listed.stdout.splitlines() if line.split(":")[0].endswith(".pb.h")]
    if generated:
        house.build("asan", *generated)
    files = [name for name in house.sources(".cc") if not paths or name.startswith(tuple(paths))]

    def check(name):
        command = ["clang-tidy-19", "-p", str(house.build_dir("asan")), "--quiet", name]
        return name, subprocess.run(command, cwd=ROOT, capture_output=True, text=True)

    failed = []
    with ThreadPoolExecutor(int(house.JOBS)) as pool:
        for number, (name, done) in enumerate(pool.map(check, files), 1):
            print(f"[{number}/{len(files)}] {name}", flush=True)
            if done.returncode != 0:
                failed.append(name)
                print(done.stdout, done.stderr, flush=True)
    if failed:
        raise Failed(f"clang-tidy found something in {len(failed)} files: {' '.join(failed)}")


def bench(options, extra):
    script = ROOT / "bench" / f"{options.name}.py"
    if script.exists():
        house.build("release", "witan")
        command = ["/usr/bin/python3", str(script), *extra]
    else:
        house.build("release")
        program = house.build_dir("release") / "bench" / options.name
        if not program.exists():
            raise Failed(f"no benchmark is called {options.name}; there is {', '.join(benchmarks())}")
        command = [str(program), *extra]
    environment = os.environ | {"WITAN_BIN": str(house.witan())}
    sys.exit(subprocess.run(command, cwd=ROOT, env=environment).returncode)


def benchmarks():
    scripts = {path.stem for path in (ROOT / "bench").glob("*.py") if not path.stem.startswith("_")}
    programs = {path.name for path in (house.build_dir("release") / "bench").glob("*") if os.access(path, os.X_OK)}
    return sorted(scripts | {name for name in programs if not (house.build_dir("release") / "bench" / name).is_dir()})


def parser():
    top = argparse.ArgumentParser(
        prog="./dev", description="Builds, runs, tests and measures Witan.", epilog=USAGE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = top.add_subparsers(title="commands", dest="command", metavar="COMMAND", required=True)

    def command(name, action, text, *, passes_on=False):
        made = commands.add_parser(
            name, help=text, description=text[0].upper() + text[1:] + ".", allow_abbrev=False
        )
        made.set_defaults(action=action, passes_on=passes_on)
        return made

    command("run", run, "build release and run one server; further arguments go to `witan serve`", passes_on=True)
    made = command("build", build, "check the fast rules and build a preset (release unless named)")
    made.add_argument("preset", nargs="?", default="release", choices=["release", "debug", "planted", "asan", "tsan"])
    made = command("test", suites.command, "build release and asan, and run what belongs to each")
    made.add_argument("name", nargs="?", help="only tests whose name contains this")
    made.add_argument("--long", action="store_true", help="also ThreadSanitizer and the long black-box tests")
    made = command("fmt", fmt, "format every source file")
    made.add_argument("--check", action="store_true", help="change nothing, fail when something would change")
    made = command("tidy", tidy_command, "check the rules of STYLE.md and the dependency table of ARCHITECTURE.md")
    made.add_argument("--full", action="store_true", help="also clang-tidy")
    made.add_argument("paths", nargs="*", help="with --full: only files under these paths")
    made = command("fuzz", fuzz.command, "run one fuzzer, keeping what it finds in build/asan/fuzz-found")
    made.add_argument("name", nargs="?", help="one of fuzz/corpus/; without it, lists them")
    made.add_argument("seconds_too", nargs="?", type=int, metavar="seconds", help="the same as --seconds")
    made.add_argument("--seconds", type=int, default=60, help="how long (default 60)")
    made = command("sim", sim.command, "run whole clusters with faults on virtual time, each from one number")
    sim.add_arguments(made)
    made = command("bench", bench, "build release and run one benchmark; further arguments go to it", passes_on=True)
    made.add_argument("name", help=f"one of {', '.join(benchmarks()) or 'bench/'}")
    made = command("cluster", cluster.command, "run members on this machine until Ctrl-C", passes_on=True)
    cluster.add_arguments(made)
    command("packages", lambda options: None, "install the Debian packages that any command could need, and stop")
    return top


def main():
    options, extra = parser().parse_known_args()
    if extra and extra[0] == "--":
        extra = extra[1:]
    if extra and not options.passes_on:
        parser().error(f"not understood: {' '.join(extra)}")
    try:
        options.action(options, extra) if options.passes_on else options.action(options)
    except Failed as failure:
        say(str(failure))
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main()
