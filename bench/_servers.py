"""What the benchmarks share: the servers of the black-box tests, and figures read from /proc."""

import os
import pathlib
import re
import statistics
import sys

os.environ["GRPC_ENABLE_FORK_SUPPORT"] = "0"
os.environ.setdefault("GRPC_VERBOSITY", "NONE")
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "tests"))

TICKS = os.sysconf("SC_CLK_TCK")


def cpu_seconds(pid):
    """User and system time of a process so far, all its threads."""
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def _memory(pid, name):
    text = pathlib.Path(f"/proc/{pid}/status").read_text()
    return int(re.search(rf"{name}:\s+(\d+) kB", text).group(1)) * 1024


def peak_memory(pid):
    return _memory(pid, "VmHWM")


def resident_memory(pid):
    return _memory(pid, "VmRSS")


def on_disk(directory):
    """Bytes that a directory takes on its disk, preallocation included."""
    return sum(p.stat().st_blocks * 512 for p in pathlib.Path(directory).rglob("*") if p.is_file())


def percentile(ordered, percent):
    return ordered[min(len(ordered) - 1, int(len(ordered) * percent / 100))]


def median_of(rounds, field):
    return statistics.median(r[field] for r in rounds)


def progress(text):
    """One line that replaces itself, for a person at a terminal; nothing for a pipe."""
    if sys.stderr.isatty():
        print(f"\r\033[K{text}", end="", file=sys.stderr, flush=True)


def machine():
    cpu = re.search(r"model name\s*: (.*)", pathlib.Path("/proc/cpuinfo").read_text())
    return f"{os.cpu_count()} cores, {cpu.group(1) if cpu else 'unknown processor'}"
