"""A training loop that logs, and what each call took: one side of the comparison with and without a server.

    python tests/benchmarks/remote_loop.py ROOT ROWS [URL]

Prints a JSON object: seconds to open the record, the median and the 99th percentile of a call of `log` in
microseconds, and seconds to end the record. `EXP_DRAIN` holds as always.
"""

from __future__ import annotations

import json
import sys
import time

from nemorun_cli import Experiment


def main(root: str, rows: int, url: str | None) -> None:
    """Log so many rows, three numbers each, and print the times."""
    begin = time.perf_counter()
    record = Experiment("bench/remote/loop", dash_root=root, dash_url=url).run.start()
    opened = time.perf_counter() - begin
    train = record.metrics("train")
    train.log(loss=1.0, epoch=0, accuracy=0.1)
    times = []
    for step in range(rows):
        start = time.perf_counter_ns()
        train.log(loss=1 / (step + 1), epoch=step, accuracy=0.1 * step)
        times.append(time.perf_counter_ns() - start)
    begin = time.perf_counter()
    record.run.complete()
    ended = time.perf_counter() - begin
    times.sort()
    microseconds = {"median": times[rows // 2] / 1000, "p99": times[rows * 99 // 100] / 1000}
    print(json.dumps({"open": opened, **microseconds, "end": ended}))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), sys.argv[3] if len(sys.argv) > 3 else None)
