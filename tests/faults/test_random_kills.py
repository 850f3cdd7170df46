"""Random graphs under random kills: whatever dies, the end is what the graph says, and nothing ran twice."""

from __future__ import annotations

import contextlib
import os
import random
import signal
from typing import TYPE_CHECKING, Any

import pytest
from support.extent import amount
from support.workspace import NOTE, events, kill, kill_supervisor, statuses, until

from nemorun_cli.model.status import TaskStatus
from nemorun_cli.storage.events import ENDED, RETRIED, SKIPPED, SUBMITTED

if TYPE_CHECKING:
    from collections.abc import Callable

    from support.workspace import Bench

    from nemorun_cli.experiment.run import Run

TASKS = 9
BLOWS = 6  # things that happen to one experiment
BODIES = {
    "quick": NOTE,
    "waits": f"{NOTE}; {until('gate')}",
    "fails": f"{NOTE}; exit 7",
    "second": f'{NOTE}; [ "$EXP_ATTEMPT" -gt 1 ]',
}
GOOD = ("quick", "waits", "second")


def graph(choice: random.Random) -> tuple[dict[str, Any], dict[str, str]]:
    """Tasks that depend on earlier ones, and the kind of each."""
    tasks: dict[str, Any] = {}
    kinds: dict[str, str] = {}
    for number in range(TASKS):
        name = f"t{number}"
        kinds[name] = choice.choice(["quick", "quick", "waits", "waits", "second", "fails"])
        earlier = list(tasks)
        tasks[name] = {
            "inline": BODIES[kinds[name]],
            "dependencies": choice.sample(earlier, k=choice.randint(0, min(2, len(earlier)))),
            "dependency_type": choice.choice(["afterok", "afterok", "afterany"]),
            "retry": {"limit": 1 if kinds[name] == "second" else 0},
        }
    return tasks, kinds


def expected(tasks: dict[str, Any], kinds: dict[str, str]) -> dict[str, str]:
    """How each task has to end, by nothing but the graph."""
    ends: dict[str, str] = {}
    for name, task in tasks.items():
        needs_success = task["dependency_type"] == "afterok"
        if needs_success and any(ends[parent] != "SUCCEEDED" for parent in task["dependencies"]):
            ends[name] = "SKIPPED"
        else:
            ends[name] = "SUCCEEDED" if kinds[name] in GOOD else "FAILED"
    return ends


def end_supervisor(run: Run, choice: random.Random) -> None:
    """As a crash of the machine's memory would."""
    del choice
    if run.status(observe=False).supervisor == "alive":
        kill_supervisor(run)


def end_shim(run: Run, choice: random.Random) -> None:
    """What writes down how a task ends; the task itself goes on."""
    if pids := _shims(run):
        kill(choice.choice(pids))


def end_tree(run: Run, choice: random.Random) -> None:
    """A task with its shim."""
    if pids := _shims(run):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(choice.choice(pids), signal.SIGKILL)


def look(run: Run, choice: random.Random) -> None:
    """Somebody asks, which writes down what is found where no supervisor lives."""
    del choice
    run.status()


def resume(run: Run, choice: random.Random) -> None:
    """Somebody goes on with it, needed or not."""
    del choice
    run.resume()


ACTS: list[Callable[[Run, random.Random], None]] = [end_supervisor, end_shim, end_tree, look, resume, resume]


@pytest.mark.parametrize("seed", range(amount(5, long=60)))
def test_the_end_is_what_the_graph_says(bench: Bench, seed: int) -> None:
    """After any kills a resume leads to the right end; no attempt ran twice, or before its parents ended."""
    choice = random.Random(seed)  # noqa: S311 - a graph is no secret
    tasks, kinds = graph(choice)
    run = bench.start(tasks, run={"max_parallel": 4})
    for _ in range(BLOWS):
        choice.choice(ACTS)(run, choice)
    bench.touch("gate")
    run.resume()
    run.wait(timeout=60)
    run.resume()
    final = run.wait(timeout=60)
    assert statuses(final) == expected(tasks, kinds)
    assert final.history.ignored == []
    codes = {name: state.exit_code for name, state in final.history.tasks.items() if state.exit_code}
    assert codes == {name: 7 for name, status in statuses(final).items() if status == "FAILED"}
    ran = bench.lines()
    assert sorted(ran) == sorted(set(ran)), "an attempt ran twice"
    _check_order(run, tasks)


def _shims(run: Run) -> list[int]:
    """The pids of the shims of tasks that run."""
    snapshot = run.status(observe=False)
    claims = [
        run.files.attempt(name, state.attempt).claim
        for name, state in snapshot.history.tasks.items()
        if state.status is TaskStatus.RUNNING
    ]
    texts = [claim.read_text() for claim in claims if claim.exists()]
    return [int(text) for text in texts if text.strip()]


def _check_order(run: Run, tasks: dict[str, Any]) -> None:
    """No attempt was submitted while a parent of its task was not over."""
    is_over: set[str] = set()
    for event in events(run):
        task = event.get("task")
        if event["event"] == SUBMITTED:
            waiting = set(tasks[task]["dependencies"]) - is_over
            assert not waiting, f"{task} began before {waiting} ended"
            is_over.discard(task)
        elif event["event"] in (ENDED, SKIPPED):
            is_over.add(task)
        elif event["event"] == RETRIED:
            is_over.discard(task)
