"""A task's processes, told apart from all others by what a scan saw."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from typing import TYPE_CHECKING, Any

import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.workspace import is_running

from nemorun_cli.executors import process_tree
from nemorun_cli.executors.escalation import Escalation
from nemorun_cli.executors.process_tree import (
    NOWHERE,
    WATCHDOG_VARIABLE,
    ScannedProcess,
    TreeStop,
    tree,
)
from nemorun_cli.system.environment import SUPERVISOR_VARIABLE

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

MINE, OTHER = (1, 100), (1, 200)


def seen(pid: int, *, parent: int = 1, group: int | None = None, **fields: Any) -> tuple[int, ScannedProcess]:
    fields = {"mark": None, "is_supervisor": False, "watches": None, **fields}
    return pid, ScannedProcess(
        process=psutil.Process(), parent=parent, group=pid if group is None else group, **fields
    )


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        ([seen(5, mark=MINE), seen(6, mark=OTHER), seen(7)], {5}),
        ([seen(5, mark=MINE), seen(6, parent=5), seen(7, parent=6)], {5, 6, 7}),
        ([seen(5, mark=MINE), seen(6, group=5), seen(7, group=9)], {5, 6}),
        ([seen(5, mark=MINE), seen(6, parent=5, mark=OTHER), seen(7, parent=6, mark=OTHER)], {5}),
        ([seen(5, mark=MINE), seen(6, parent=5, is_supervisor=True), seen(7, parent=6, mark=OTHER)], {5}),
        ([seen(5, mark=MINE, is_supervisor=True), seen(6, parent=5)], set()),
        ([seen(5, watches=MINE), seen(6, parent=5), seen(7, watches=OTHER)], {5, 6}),
        ([seen(5), seen(6, mark=MINE, group=5), seen(7, group=5)], {6}),
        ([seen(6, mark=MINE, group=5), seen(7, group=5)], {6, 7}),
        ([seen(5, mark=OTHER), seen(6, group=5)], set()),
        ([seen(5, parent=6, mark=MINE), seen(6, parent=5, mark=MINE)], {5, 6}),
    ],
)
def test_tree_of_a_task(found: list[tuple[int, ScannedProcess]], expected: set[int]) -> None:
    """Marked processes, their descendants and their own groups; no other experiment, no supervisor."""
    assert tree(MINE, dict(found)) == expected


@given(
    st.lists(
        st.tuples(
            st.integers(0, 12), st.integers(0, 12), st.sampled_from([None, MINE, OTHER]), st.booleans()
        ),
        max_size=12,
    )
)
def test_tree_never_holds_what_is_somebody_elses(rows: list[tuple[int, int, Any, bool]]) -> None:
    """Nothing of another task and no supervisor is ever in the tree, and all that is marked is."""
    found = dict(
        seen(pid, parent=parent, group=group, mark=mark, is_supervisor=supervises)
        for pid, (parent, group, mark, supervises) in enumerate(rows)
    )
    pids = tree(MINE, found)
    assert not [pid for pid in pids if found[pid].mark == OTHER or found[pid].is_supervisor]
    assert pids >= {pid for pid, one in found.items() if one.mark == MINE and not one.is_supervisor}
    assert tree(NOWHERE, found) == set()


@pytest.fixture
def marked(tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A process that carries the mark of an attempt in a folder, and is deaf."""
    folder = tmp_path / "tasks" / "a" / "attempt-1"
    folder.mkdir(parents=True)
    env = {"PATH": os.environ["PATH"], "EXP_DIR": str(tmp_path), "EXP_TASK": "a", "EXP_ATTEMPT": "1"}
    command = ["sh", "-c", "trap '' TERM; echo ready; while :; do sleep 0.05; done"]
    with subprocess.Popen(command, env=env, stdout=subprocess.PIPE, start_new_session=True) as process:
        assert process.stdout is not None
        process.stdout.readline()
        yield process
        os.killpg(process.pid, signal.SIGKILL)


def test_mark_is_the_folder_and_not_its_name(tmp_path: Path, marked: subprocess.Popen[bytes]) -> None:
    """A process is recognised through any path to its attempt's folder, and by no other folder."""
    (tmp_path / "link").symlink_to(tmp_path / "tasks")
    mark = process_tree.mark(tmp_path / "link" / "a" / "attempt-1")
    assert process_tree.mark_of(marked.pid) == mark
    assert mark != process_tree.mark(tmp_path)
    assert process_tree.mark(tmp_path / "none") == NOWHERE
    assert process_tree.mark_of(os.getpid()) is None
    assert marked.pid in tree(mark, process_tree.scan())


def test_stop_goes_from_the_signal_to_kill_until_two_looks_find_none(
    tmp_path: Path, marked: subprocess.Popen[bytes]
) -> None:
    """It signals once, kills after the grace period, and is done only when all is gone."""
    stop = TreeStop(process_tree.mark(tmp_path / "tasks" / "a" / "attempt-1"), Escalation("TERM", 0.1))
    looks = 0
    end = time.monotonic() + 20
    while not stop.is_done and time.monotonic() < end:
        stop.advance(process_tree.scan())
        looks += 1
    assert stop.is_done
    assert stop.last_signal == "KILL"
    assert looks > 2
    assert not is_running(marked.pid)


@pytest.mark.parametrize(
    ("variable", "field"), [(SUPERVISOR_VARIABLE, "is_supervisor"), (WATCHDOG_VARIABLE, "watches")]
)
def test_supervisors_and_watchdogs_are_recognised(tmp_path: Path, variable: str, field: str) -> None:
    """They say in their environment what they are."""
    env = {"PATH": os.environ["PATH"], variable: str(tmp_path)}
    with subprocess.Popen(["sleep", "600"], env=env) as process:
        assert getattr(process_tree.scan()[process.pid], field) in {True, process_tree.mark(tmp_path)}
        process.kill()
