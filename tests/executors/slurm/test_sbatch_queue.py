"""How often sbatch is called: at once while Slurm accepts jobs, and with growing pauses while it does not."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from nemorun_cli.executors.background_commands import CommandResult
from nemorun_cli.executors.slurm.sbatch_answer import Refused
from nemorun_cli.executors.slurm.sbatch_queue import SbatchQueue
from nemorun_cli.executors.slurm.submissions import Submission

AWAY = CommandResult(code=1, complaint="sbatch: error: Unable to contact slurm controller (connect failure)")
FULL = CommandResult(code=1, complaint="sbatch: error: AssocMaxSubmitJobLimit")
FOR_GOOD = CommandResult(code=1, complaint="sbatch: error: invalid partition specified: standby")
TAKEN = CommandResult(code=0, output="17\n")


@dataclass
class Sbatch:
    """Answers calls at once, with the last of its answers from then on."""

    results: list[CommandResult]
    called: list[str] = field(default_factory=list)

    def __call__(self, submission: Submission, _: Any) -> Any:
        """One call."""
        self.called.append(submission.name)
        return self

    def answer(self) -> CommandResult:
        """The answer to the last call."""
        return self.results.pop(0) if len(self.results) > 1 else self.results[0]


def submission(name: str, *, dependency: str = "") -> Submission:
    """A submission of one job."""
    return Submission(Path("/e/slurm") / name, name, ((name, 1),), time.time(), dependency=dependency)


@pytest.mark.parametrize("refusal", [AWAY, FULL])
def test_pauses_grow_while_slurm_accepts_nothing(refusal: CommandResult) -> None:
    """In an outage, and at a limit, calls become rarer; a job that is accepted ends the pauses."""
    sbatch: Any = Sbatch([refusal])
    queue = SbatchQueue(sbatch)
    pauses = []
    for _ in range(9):
        queue.add(submission("one"), None)  # type: ignore[arg-type]
        queue._next = 0.0  # as if the pause had passed
        assert len(list(queue.answers())) == 1
        pauses.append(round(queue._next - time.monotonic()))
        queue.add(submission("two"), None)  # type: ignore[arg-type]
        assert list(queue.answers()) == []
        queue.withdraw(lambda _: True)
    assert pauses == [1, 2, 4, 8, 16, 32, 60, 60, 60]
    sbatch.results = [TAKEN]
    queue._next = 0.0
    for name in ("three", "four"):
        queue.add(submission(name), None)  # type: ignore[arg-type]
    assert len(list(queue.answers())) == 2
    assert sbatch.called == [*["one"] * 9, "three", "four"]


def test_early_jobs_yield_while_a_limit_is_reached() -> None:
    """They are returned without a call of sbatch until Slurm has accepted a job."""
    sbatch: Any = Sbatch([FULL, FOR_GOOD, TAKEN])
    queue = SbatchQueue(sbatch)
    early = submission("early", dependency="afterok:7")
    assert early.is_early
    for entry in (submission("first"), early):
        queue.add(entry, None)  # type: ignore[arg-type]
    list(queue.answers())
    queue.hurry()
    assert (queue.due or 0.0) - time.monotonic() <= 1.0
    for name in ("refused", "taken"):
        queue._next = 0.0
        answers = list(queue.answers())
        kinds = [answer.kind for _, _, answer in answers if isinstance(answer, Refused)]
        assert kinds == (["limit"] if name == "refused" else ["never"])
        queue.add(submission(name), None)  # type: ignore[arg-type]
    assert sbatch.called == ["first", "refused"]
    queue.add(early, None)  # type: ignore[arg-type]
    assert len(list(queue.answers())) == 2
    assert sbatch.called == ["first", "refused", "taken", "early"]


def test_a_limit_that_permits_nothing_is_no_wait_without_an_end() -> None:
    """A submission is hopeless once it was refused twice while squeue listed no job of the user."""
    sbatch: Any = Sbatch([FULL])
    queue, one = SbatchQueue(sbatch), submission("one")
    assert not queue.is_hopeless(one, idle_since=time.monotonic())  # asked before it was refused
    assert not queue.is_hopeless(one, idle_since=time.monotonic())
    assert not queue.is_hopeless(one, idle_since=None)
    assert not queue.is_hopeless(one, idle_since=time.monotonic())
    assert queue.is_hopeless(one, idle_since=time.monotonic())
    sbatch.results = [TAKEN]
    queue.add(submission("other"), None)  # type: ignore[arg-type]
    before = time.monotonic()
    list(queue.answers())
    assert not queue.is_hopeless(one, idle_since=before)  # asked before the other one was accepted
