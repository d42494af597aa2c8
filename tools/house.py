"""What the commands of ./dev share: where things are, and how a preset is configured and built."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
JOBS = str(os.cpu_count() or 2)

# Clones at different places share what ccache has compiled.
os.environ.setdefault("CCACHE_BASEDIR", str(ROOT))
os.environ.setdefault("CCACHE_NOHASHDIR", "true")


class Failed(Exception):
    """A command of ours cannot go on; the text says why, for a person."""


def say(text):
    print(f"dev: {text}", flush=True)


def build_dir(preset):
    return ROOT / "build" / preset


def witan():
    """The release binary."""
    return build_dir("release") / "witan"


def configure(preset):
    """Configures `preset` unless that was done before; ninja itself notices changed CMakeLists."""
    if (build_dir(preset) / "build.ninja").exists():
        return
    say(f"configuring {preset}")
    done = subprocess.run(
        ["cmake", "--preset", preset], cwd=ROOT, stdin=subprocess.DEVNULL, capture_output=True, text=True
    )
    if done.returncode != 0:
        raise Failed(f"cmake --preset {preset} failed:\n{done.stdout}{done.stderr}")
    for line in done.stderr.splitlines():
        print(line, file=sys.stderr)


def build(preset, *targets):
    """Builds `targets` (all, when none is named) of `preset`; the compiler's output goes to the terminal."""
    configure(preset)
    say(f"building {preset}" + (f": {' '.join(targets)}" if targets else ""))
    command = ["ninja", "-C", str(build_dir(preset)), "-j", JOBS, *targets]
    if subprocess.run(command, cwd=ROOT, stdin=subprocess.DEVNULL).returncode != 0:
        raise Failed(f"building {preset} failed")


def sources(*suffixes):
    """Files of the project with one of `suffixes`, as paths from the root: what git tracks or would track."""
    listed = subprocess.run(
        ["git", "-c", "safe.directory=*", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    )
    names = sorted(set(filter(None, listed.stdout.split("\0"))))
    return [name for name in names if name.endswith(suffixes) and (ROOT / name).is_file()]
