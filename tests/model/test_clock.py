"""The clocks of a process: what it measures itself does not depend on the wall clock."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING

from nemorun_cli.model.clock import seconds_between

if TYPE_CHECKING:
    from support.faked_clock import FakedClock

PROGRAM = """
import json, os, time
from nemorun_cli.model import clock

def at(offset):
    with open(os.environ["FAKETIME_TIMESTAMP_FILE"], "w") as stream:
        stream.write(f"{offset:+d}\\n")
    return clock.steady(), time.time()

start = clock.Moment.now()
found = {"agreeing": start.corrected(clock.stamp(start.wall), time.time())}
for offset in (-3600, 3600):
    steady, wall = at(offset)
    found[offset] = {
        "step": wall - start.wall,
        "steady": steady - start.wall,
        "age before": clock.age(start.wall),
        "age after": clock.age(wall),
        "corrected": start.corrected(clock.stamp(start.wall), time.time()),
    }
print(json.dumps(found))
"""


def test_what_a_process_measures_does_not_follow_the_wall_clock(faked_clock: FakedClock) -> None:
    """After a step in either direction durations are true, and no age is longer than it is."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        env={**os.environ, **faked_clock.env},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    found = json.loads(done.stdout)
    assert found.pop("agreeing") is None
    for offset, seen in found.items():
        assert abs(seen["step"] - float(offset)) < 30
        assert 0 <= seen["steady"] < 30
        assert seen["age before"] < 30
        assert seen["age after"] < 30
        assert 0 <= seen["corrected"] < 30


def test_a_duration_is_never_negative() -> None:
    """An end before its start, by a clock that was set back, is a duration of 0."""
    assert seconds_between("2026-11-22T03:11:33.120Z", "2026-11-22T02:11:33.120Z") == 0.0
