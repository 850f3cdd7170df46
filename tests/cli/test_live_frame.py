"""The frames of the live display, each from one snapshot."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from support.terminals import Terminal

from nemorun_cli.cli.live_frame import Frame, RunningTask
from nemorun_cli.model.status import TaskStatus

if TYPE_CHECKING:
    from support.workspace import Exp

SWEEP = """
name: sweep
run: {max_parallel: 2}
tasks:
  t: {inline: sleep 0.05, matrix: {i: [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11]}}
  last: {inline: sleep 0.4, dependencies: [t]}
"""
LONG = "train/learning_rate=0.001,model=resnet50-with-a-long-name"


def frame(*running: RunningTask) -> Frame:
    """A frame with these tasks."""
    return Frame(
        running=running,
        hidden=2,
        sweeps=("train 1/12 done · 1 failed · ~2h10 left",),
        counts="2 of 14 finished · 1 SUCCEEDED, 1 FAILED, 1 RUNNING, 11 PENDING",
        active=60.0,
        seen=1000.0,
    )


def task(task_id: str) -> RunningTask:
    """A running task."""
    started = "1970-01-01T00:16:30.000Z"  # second 990
    return RunningTask(id=task_id, status=TaskStatus.RUNNING, started=started, executor="local", attempt=2)


def text(shown: Frame, now: float, width: int) -> list[str]:
    """The lines without styles."""
    return ["".join(part for part, _ in line).rstrip() for line in shown.lines(now, width=width)]


def test_only_durations_depend_on_the_time_of_drawing() -> None:
    """A frame that is drawn again shows the same statuses and counts, with longer durations."""
    first, second = text(frame(task("a")), 1000.0, 100), text(frame(task("a")), 1030.0, 100)
    assert first[0] == "▸ a  10s  RUNNING  local  attempt 2"
    assert second[0] == "▸ a  40s  RUNNING  local  attempt 2"
    assert first[1:3] == second[1:3] == ["… and 2 more", "train 1/12 done · 1 failed · ~2h10 left"]
    assert [line.rpartition(" · ")[2] for line in (first[-1], second[-1])] == ["1m", "1m30s"]


def test_a_frame_fits_a_narrow_terminal() -> None:
    """Ids stay whole; the executor goes first, and the counts are wrapped."""
    for width in (40, 60, 80):
        lines = text(frame(task(LONG), task("b")), 1000.0, width)
        assert any(LONG in line for line in lines)
        assert [line for line in lines if len(line) > width and LONG not in line] == []
    assert "local" not in " ".join(lines)


def test_no_part_of_a_picture_contradicts_another(exp: Exp) -> None:
    """In every picture the line of a sweep and the total agree, and no reported end is of a running task."""
    terminal = Terminal([*exp.argv, "run", str(exp.spec(SWEEP))], env=exp.env, cwd=exp.folder)
    assert terminal.end() == 0
    seen = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", terminal.seen)
    pictures = re.findall(r"t (\d+)/12 done[^\r\n]*[\r\n]+\s*(\d+) of 13 finished · ([^\r\n]*)", seen)
    assert pictures
    assert "▸ last" in seen.partition("✓ last: SUCCEEDED")[0]
    assert "▸ last" not in seen.partition("✓ last: SUCCEEDED")[2]
    for done, finished, counts in pictures:
        succeeded = re.search(r"(\d+) SUCCEEDED", counts)
        assert int(finished) == int(succeeded[1] if succeeded else 0)
        assert int(finished) - int(done) in {0, int(done) == 12}
