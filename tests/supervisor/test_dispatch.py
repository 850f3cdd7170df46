"""Executors that are at fault: what they cost, and whom."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from nemorun_cli.executors.local import LocalExecutor
from nemorun_cli.experiment import create
from nemorun_cli.model.status import ExperimentStatus
from nemorun_cli.spec import load
from nemorun_cli.storage.events import SUPERVISOR_STARTED
from nemorun_cli.storage.paths import Home
from nemorun_cli.supervisor.loop import SupervisorLoop
from nemorun_cli.system import locks

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from nemorun_cli.executors import AttemptStatus, Job, Key
    from nemorun_cli.model.plan import Plan

SPEC = """
name: faulty
executors: {odd: {type: local}}
tasks:
  here: {command: ["true"]}
  there: {command: ["true"], executor: odd}
  after: {command: ["true"], dependencies: [there]}
"""


class Faulty(LocalExecutor):
    """A local executor one verb of which raises, the first few times."""

    def __init__(self, verb: str, times: int) -> None:
        super().__init__("odd", {}, {})
        self._verb, self._left = verb, times

    def _fail(self, verb: str) -> None:
        if verb == self._verb and self._left:
            self._left -= 1
            raise RuntimeError(f"{verb} broke")

    def plan(self, plan: Plan) -> Plan:
        """Raise or do it."""
        self._fail("plan")
        return super().plan(plan)

    def submit(self, jobs: Sequence[Job]) -> Iterable[AttemptStatus]:
        """Raise or do it."""
        self._fail("submit")
        return super().submit(jobs)

    def poll(self, jobs: Mapping[Key, Job]) -> Iterable[AttemptStatus]:
        """Raise or do it."""
        self._fail("poll")
        return super().poll(jobs)


def supervise(tmp_path: Path, executor: Faulty) -> tuple[SupervisorLoop, ExperimentStatus, list[str]]:
    """Run the spec to its end with this executor in the place of `odd`."""
    path = tmp_path / "spec.yaml"
    path.write_text(SPEC)
    home = Home(tmp_path / "home")
    document = load.read(path)
    identity = create.tentative(document, home)
    files, spec = create.create(document, load.resolve(document, identity), identity, home=home, by="a test")
    told: list[str] = []
    supervision = SupervisorLoop(
        files,
        spec,
        secrets={},
        home=home.directory,
        by="a test",
        makers={"odd": lambda: executor},
        report=told.append,
    )
    supervision.open()
    supervision.listen()
    supervision.record(SUPERVISOR_STARTED, pid=1, host=locks.hostname(), boot=locks.boot_id())
    try:
        return supervision, supervision.run(), told
    finally:
        supervision.close()


@pytest.mark.parametrize("verb", ["plan", "submit"])
def test_an_executor_that_cannot_start_a_task_fails_that_task_alone(tmp_path: Path, verb: str) -> None:
    """What was to start has failed with reason launch, its dependents are skipped, other executors go on."""
    supervision, status, told = supervise(tmp_path, Faulty(verb, times=1))
    tasks = supervision.history.tasks
    assert status is ExperimentStatus.FAILED
    assert (tasks["there"].status, tasks["there"].reason) == ("FAILED", "launch")
    assert f"{verb} broke" in str(tasks["there"].message)
    assert (tasks["here"].status, tasks["after"].status) == ("SUCCEEDED", "SKIPPED")
    assert "Traceback" in told[0]


def test_an_executor_that_cannot_look_leaves_its_tasks_unknown_for_a_while(tmp_path: Path) -> None:
    """A fault while polling is no end: the task is UNKNOWN, and its true end is found later."""
    supervision, status, _ = supervise(tmp_path, Faulty("poll", times=1))
    assert status is ExperimentStatus.COMPLETED
    events = [json.loads(line) for line in supervision.files.ledger.read_text().splitlines()]
    assert [event["task"] for event in events if event.get("event") == "unknown"] == ["there"]
