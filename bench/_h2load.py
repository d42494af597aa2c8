"""Runs h2load with one gRPC request, over and over, and reads its log of latencies."""

import re
import subprocess


class Failed(Exception):
    """The run did not do what it should have measured."""


def run(endpoint, method, body, connections, streams, requests, log):
    """`requests` calls of /etcdserverpb.KV/`method` with the message in the file `body`.

    Returns (seconds, sorted latencies in µs, bytes of data received). h2load knows nothing of gRPC:
    the caller must check that the calls did what they should.
    """
    log.unlink(missing_ok=True)
    done = subprocess.run(
        ["h2load", "-n", str(requests), "-c", str(connections), "-m", str(streams), "-d", str(body),
         "-H", "content-type: application/grpc", "-H", "te: trailers", f"--log-file={log}",
         f"http://{endpoint}/etcdserverpb.KV/{method}"],
        capture_output=True, text=True, timeout=600)
    finished = re.search(r"finished in ([\d.]+)(us|ms|s|m),", done.stdout)
    counts = re.search(r"(\d+) succeeded, (\d+) failed, (\d+) errored", done.stdout)
    data = re.search(r"\((\d+)\) data", done.stdout)
    if done.returncode != 0 or not finished or not counts or int(counts.group(1)) != requests:
        raise Failed(f"h2load: {done.stdout[-2000:]}{done.stderr[-1000:]}")
    unit = {"us": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0}[finished.group(2)]
    latencies = sorted(int(line.split("\t")[2]) for line in log.read_text().splitlines())
    return float(finished.group(1)) * unit, latencies, int(data.group(1))
