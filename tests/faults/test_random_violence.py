"""Random graphs under random violence: the end is what the graph demands, and nothing ran twice.

One round is one seed. In every fourth round the disk becomes full; with `tests/run --long`, which runs many,
the clock is set in every fourth one, and the package of the supervisors is replaced in another one.
"""

from __future__ import annotations

import contextlib
import os
import random
import resource
import shutil
import signal
import sys
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest
from support.copied_packages import copied_package
from support.extent import IS_LONG, amount
from support.patience import eventually
from support.random_graphs import MOST, MOST_MEMBERS, Graph, Note
from support.small_disks import full, mounted
from support.workspace import events, kill, kill_supervisor, statuses

from nemorun_cli.errors import LockHeldError, UsageError
from nemorun_cli.model.status import TaskStatus
from nemorun_cli.storage.events import ENDED, RETRIED, SKIPPED, SUBMITTED
from nemorun_cli.supervisor import client

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from support.faked_clock import FakedClock
    from support.workspace import Exp, ExpWorkspace

    from nemorun_cli.experiment.run import Run
    from nemorun_cli.storage.events import Event

SPAWN = client.spawn  # before a test replaces it
DISK = 32_768  # KiB
LENGTH = 7  # acts in one round
PAUSES = (0.0, 0.02, 0.15)  # seconds between two acts
ENDS = ("FAILED", "CANCELLED")
SPARE = (0, 1, 3, 6)  # descriptors that a supervisor may still open


@dataclass
class Round:
    """One experiment, and what is done to it."""

    run: Run
    choice: random.Random
    clock: FakedClock | None = None  # of its supervisors and tasks
    package: Path | None = None  # from which its supervisors import

    def act(self, acts: list[Callable[[Round], None]]) -> None:
        """Do something, and note what."""
        chosen = self.choice.choice(acts)
        sys.stdout.write(f"{time.time():.3f} {chosen.__name__}\n")  # shown if the round fails
        chosen(self)
        time.sleep(self.choice.choice(PAUSES))

    @property
    def supervisor(self) -> int | None:
        """The pid of the supervisor, if one is alive."""
        snapshot = self.run.status(observe=False)
        return snapshot.holder.pid if snapshot.holder and snapshot.supervisor == "alive" else None

    def resume(self) -> bool:
        """Continue the experiment; False while handlers of an earlier outcome are alive."""
        try:
            self.run.resume()
        except UsageError as error:
            assert "handlers of the previous outcome are still alive" in error.message  # noqa: PT017 - any other is a fault
            return False
        return True

    def shims(self) -> list[int]:
        """The pids of the shims of tasks that run."""
        history = self.run.status(observe=False).history
        claims = [
            self.run.files.attempt(name, state.attempt).claim
            for name, state in history.tasks.items()
            if state.status is TaskStatus.RUNNING
        ]
        texts = [claim.read_text() for claim in claims if claim.exists()]
        return [int(text) for text in texts if text.strip()]


def end_supervisor(one: Round) -> None:
    """As a crash would."""
    if one.supervisor:
        kill_supervisor(one.run)


def terminate_supervisor(one: Round) -> None:
    """As a shutdown of the machine would."""
    if pid := one.supervisor:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGTERM)


def end_shim(one: Round) -> None:
    """What writes down how a task ends; the task itself continues."""
    if pids := one.shims():
        kill(one.choice.choice(pids))


def end_tree(one: Round) -> None:
    """A task with its shim."""
    if pids := one.shims():
        with contextlib.suppress(ProcessLookupError):
            os.killpg(one.choice.choice(pids), signal.SIGKILL)


def look(one: Round) -> None:
    """Somebody asks, which writes down what is found where no supervisor lives."""
    one.run.status()


def resume(one: Round) -> None:
    """Somebody continues it, needed or not."""
    with contextlib.suppress(LockHeldError):
        one.resume()


def resume_twice(one: Round) -> None:
    """Two people continue it at once."""
    _together([lambda: resume(one), lambda: resume(one)])


def cancel(one: Round) -> None:
    """Somebody cancels a task, or all of it."""
    names = one.choice.choice([(), (one.choice.choice(sorted(one.run.status().history.tasks)),)])
    with contextlib.suppress(LockHeldError):
        one.run.cancel(names, grace=0.2)


def cancel_beside_resume(one: Round) -> None:
    """One person cancels, another one continues."""
    _together([lambda: cancel(one), lambda: resume(one)])


def freeze(one: Round) -> None:
    """The supervisor is stopped for a while, in which others ask and continue."""
    if pid := one.supervisor:
        with _stopped(pid):
            one.run.status()
            resume(one)
            time.sleep(0.1)


def starve(one: Round) -> None:
    """The supervisor can open few more files for a while."""
    if pid := one.supervisor:
        with (
            contextlib.suppress(ProcessLookupError, FileNotFoundError),
            _starved(pid, one.choice.choice(SPARE)),
        ):
            time.sleep(one.choice.choice([0.1, 0.7]))


def remove_lock(one: Round) -> None:
    """Somebody cleans up, and takes the file of a lock for a leftover."""
    files = one.run.files
    one.choice.choice([files.supervisor_lock, files.ledger_lock]).unlink(missing_ok=True)


def fill_disk(one: Round) -> None:
    """The disk is full for a while."""
    with full(one.run.home.directory):
        time.sleep(one.choice.choice([0.1, 0.7]))
        one.run.status()


def set_clock(one: Round) -> None:
    """Somebody sets the clock."""
    assert one.clock is not None
    one.clock.set(one.choice.choice([-86400, -3600, 0, 3600, 86400]))


def replace_package(one: Round) -> None:
    """An upgrade removes the package for a while."""
    assert one.package is not None
    aside = one.package.with_name("aside")
    one.package.rename(aside)
    time.sleep(one.choice.choice([0.1, 0.7]))
    shutil.rmtree(one.package, ignore_errors=True)  # a process that began before has compiled into it
    aside.rename(one.package)


ACTS: list[Callable[[Round], None]] = [
    *(end_supervisor, terminate_supervisor, end_shim, end_tree, look, resume, resume),
    *(resume_twice, cancel, cancel_beside_resume, freeze, starve, remove_lock),
]


def _together(calls: list[Callable[[], None]]) -> None:
    """Make calls at once; the first error of any is raised."""
    errors: list[BaseException] = []

    def call(one: Callable[[], None]) -> None:
        try:
            one()
        except BaseException as error:  # noqa: BLE001 - raised again in the thread of the test
            errors.append(error)

    threads = [threading.Thread(target=call, args=(one,)) for one in calls]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]


@contextlib.contextmanager
def _stopped(pid: int) -> Iterator[None]:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGCONT)


@contextlib.contextmanager
def _starved(pid: int, spare: int) -> Iterator[None]:
    """Lower a process's limit of open files to those that it has and a few more; root may raise it again."""
    before = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    highest = max(int(name) for name in os.listdir(f"/proc/{pid}/fd"))  # noqa: PTH208 - names
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (highest + 1 + spare, before[1]))
    try:
        yield
    finally:
        resource.prlimit(pid, resource.RLIMIT_NOFILE, before)


@pytest.fixture
def small_home(exp: Exp) -> Iterator[None]:
    """A home that is a disk of its own."""
    with mounted(exp.home, DISK):
        yield


@pytest.mark.parametrize("seed", range(amount(5, long=400)))
def test_the_end_is_what_the_graph_demands(
    workspace: ExpWorkspace, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest, seed: int
) -> None:
    """After any violence a resume leads to the right end; nothing ran twice, early or beyond a limit."""
    choice = random.Random(seed)  # noqa: S311 - a graph is no secret
    graph = Graph.random(choice)
    acts = [*ACTS]
    clock: FakedClock | None = None
    package: Path | None = None
    if seed % 4 == 1 and os.geteuid() == 0:
        request.getfixturevalue("small_home")
        acts += [fill_disk] * 3
    elif seed % 4 == 2 and IS_LONG:
        clock = request.getfixturevalue("faked_clock")
        assert clock is not None
        for name, value in clock.env.items():
            monkeypatch.setenv(name, value)
        acts += [set_clock] * 3
    elif seed % 4 == 3 and IS_LONG:
        package = copied_package(workspace.folder.parent / "installed")
        monkeypatch.setenv("PYTHONPATH", str(package.parent))
        acts += [replace_package] * 3
    if clock or package:
        monkeypatch.setattr(client, "spawn", SPAWN)
    notify = {"uses": "notify", "with": {"command": ["sh", "-c", 'echo "$EXP_OCCASION $EXP_STATUS" >>told']}}
    run = workspace.start(
        graph.tasks,
        run={"max_parallel": MOST},
        on_failure=graph.on_failure,
        on_exit=graph.on_exit,
        plugins=[notify] if seed % 4 == 0 else [],
    )
    one = Round(run, choice, clock, package)
    for _ in range(LENGTH):
        one.act(acts)
    workspace.touch("gate")
    for _ in range(3):
        eventually(one.resume)
        run.wait(timeout=60)
    check(graph, run, [Note.parse(line) for line in workspace.lines()])
    if seed % 4 == 0:
        told = workspace.folder / "told"
        last = f"end {run.status().status}"
        eventually(lambda: told.exists() and told.read_text().splitlines()[-1] == last)


def check(graph: Graph, run: Run, notes: list[Note]) -> None:
    """Compare an experiment that has ended with its graph, by its ledger and by what its tasks noted."""
    final, written = run.status(), events(run)
    failures = {event["task"] for event in written if event.get("status") in ENDS and "task" in event}
    succeeded = {name for name, status in statuses(final).items() if status == "SUCCEEDED"}
    assert statuses(final) == graph.ends(
        {name for name in succeeded if not failures.isdisjoint(graph.parents(name))}
    )
    assert final.history.ignored == []
    codes = {name: state.exit_code for name, state in final.history.tasks.items() if state.exit_code}
    assert codes == {name: 7 for name, status in statuses(final).items() if status == "FAILED"}
    ran = [(note.task, note.attempt) for note in notes]
    assert sorted(ran) == sorted(set(ran)), "an attempt ran twice"
    for note in notes:
        is_handler = note.task.startswith("on_")
        early = {name for name in note.others if name in graph.parents(note.task)}
        early |= {name for name in note.others if is_handler and not name.startswith("on_")}
        assert not early, f"{note} began before {early} ended"
        members = [name for name in (note.task, *note.others) if name.startswith("sweep")]
        assert len(note.others) < MOST, f"more than run.max_parallel: {note}"
        assert len(members) <= MOST_MEMBERS, f"more than max_parallel of the sweep: {note}"
    check_order(graph, written)


def check_order(graph: Graph, written: list[Event]) -> None:
    """No attempt was submitted while a parent of its task was not over."""
    is_over: set[str] = set()
    for event in written:
        task = event.get("task", "")
        if event["event"] == SUBMITTED:
            waiting = set(graph.parents(task)) - is_over
            assert not waiting, f"{task} began before {waiting} ended"
            is_over.discard(task)
        elif event["event"] in (ENDED, SKIPPED):
            is_over.add(task)
        elif event["event"] == RETRIED:
            is_over.discard(task)
