"""Executors that are at fault: what they cost, and whom."""

from __future__ import annotations

import errno
import json
import os
import time
from typing import TYPE_CHECKING

import pytest

from nemorun_cli import executors
from nemorun_cli.errors import UsageError
from nemorun_cli.executors import AttemptStatus, JobError, process_tree
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

    from nemorun_cli.executors import Answer, Job, Key
    from nemorun_cli.model.plan import Plan
    from nemorun_cli.model.usage_sample import UsageSample

SPEC = """
name: faulty
run: {max_parallel: 10}
executors: {odd: {type: local}}
tasks:
  here: {command: ["true"]}
  there: {command: ["true"], executor: odd}
  after: {command: ["true"], dependencies: [there]}
"""
IDLE = 'here: {command: ["sleep", "0.6"]}'
BUSY = 0.4  # seconds of the processor that a supervisor uses if it does not sleep meanwhile
SIBLINGS = SPEC.replace("  after:", "  sibling: {command: ['true'], executor: odd}\n  after:")


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

    def submit(self, jobs: Sequence[Job]) -> Iterable[Answer]:
        """Raise or do it."""
        self._fail("submit")
        return super().submit(jobs)

    def poll(self, jobs: Mapping[Key, Job]) -> Iterable[Answer]:
        """Raise or do it."""
        self._fail("poll")
        return super().poll(jobs)


class Unmeasured(LocalExecutor):
    """A local executor that cannot measure what its tasks use."""

    def __init__(self, verb: str, asked: Path) -> None:
        super().__init__("odd", {}, {})
        self._verb, self._asked, self.count = verb, asked, 0

    def sample(self, jobs: Sequence[Job]) -> None:
        """Raise or do it."""
        self._fail("sample")
        super().sample(jobs)

    def samples(self) -> Iterable[tuple[Key, UsageSample]]:
        """Raise or do it."""
        self._fail("samples")
        return super().samples()

    def _fail(self, verb: str) -> None:
        self.count += 1
        if verb == self._verb:
            self._asked.touch()
            raise RuntimeError(f"{verb} broke")


class Refusing(Faulty):
    """A local executor that answers with an error about one task, the first few times."""

    def submit(self, jobs: Sequence[Job]) -> Iterable[Answer]:
        """Refuse the task `there`, or start it."""
        for job in jobs:
            if self._is_refused("submit", job):
                yield JobError(key=job.key, message="it cannot start")
            else:
                yield from LocalExecutor.submit(self, [job])

    def poll(self, jobs: Mapping[Key, Job]) -> Iterable[Answer]:
        """Fail to examine the task `there`, or do it."""
        refused = {key for key, job in jobs.items() if self._is_refused("poll", job)}
        yield from (JobError(key=key, message="cannot be examined") for key in refused)
        yield from LocalExecutor.poll(self, {key: job for key, job in jobs.items() if key not in refused})

    def _is_refused(self, verb: str, job: Job) -> bool:
        if verb != self._verb or not self._left or job.task != "there":
            return False
        self._left -= 1
        return True


class Unreadable(LocalExecutor):
    """A local executor that cannot examine the task `there` at its end, the first few times."""

    def __init__(self, times: int) -> None:
        super().__init__("odd", {}, {})
        self.left = times

    def _status(self, job: Job) -> AttemptStatus | None:
        if self.left and job.task == "there" and job.files.exit.exists():
            self.left -= 1
            raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
        return super()._status(job)


class Interrupted(LocalExecutor):
    """A local executor that breaks, once, after it has reported the end of a task."""

    def __init__(self) -> None:
        super().__init__("odd", {}, {})
        self.has_broken = False

    def poll(self, jobs: Mapping[Key, Job]) -> Iterable[Answer]:
        """Break between two answers."""
        for answer in super().poll(jobs):
            yield answer
            if not self.has_broken and isinstance(answer, AttemptStatus) and answer.state == "over":
                self.has_broken = True
                raise RuntimeError("it broke")


class Short(LocalExecutor):
    """A local executor that lacks a descriptor at every start but the first of each try, so many times."""

    def __init__(self, times: int) -> None:
        super().__init__("odd", {}, {})
        self.left = times
        self.batches: list[int] = []

    def submit(self, jobs: Sequence[Job]) -> Iterable[Answer]:
        """Start the first one."""
        self.batches.append(len(jobs))
        return super().submit(jobs)

    def _spawn(self, job: Job, plan: Plan, env: dict[str, str], lock: int, folder: int | None) -> int:
        if self.left and self.batches[-1] > 1:
            self.left -= 1
            raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
        return super()._spawn(job, plan, env, lock, folder)


class Collapsing(LocalExecutor):
    """A local executor that raises after it has started the first task of a batch, once."""

    def __init__(self, error: Exception) -> None:
        super().__init__("odd", {}, {})
        self.error: Exception | None = error

    def submit(self, jobs: Sequence[Job]) -> Iterable[Answer]:
        """Start the first one, and tell nothing."""
        answers = list(super().submit(jobs[:1] if self.error else jobs))
        if self.error is not None:
            error, self.error = self.error, None
            raise error
        return answers


class Blind(LocalExecutor):
    """A local executor that cannot list the processes of the machine, so many times."""

    def __init__(self, times: int) -> None:
        super().__init__("odd", {}, {})
        self.left = times

    def poll(self, jobs: Mapping[Key, Job]) -> Iterable[Answer]:
        """Fail at first, before anything was looked at."""
        if self.left and any(job.files.claim.exists() for job in jobs.values()):
            self.left -= 1
            self._is_polling = True
            raise OSError(errno.ENFILE, os.strerror(errno.ENFILE))
        return super().poll(jobs)


class Returning(LocalExecutor):
    """An executor whose queue gives back what waits in it for others, and reports it twice."""

    def __init__(self, go: Path) -> None:
        super().__init__("odd", {}, {})
        self._go = go
        self._returned: list[Job] = []

    def queue(self) -> str:
        """One queue for all."""
        return "odd"

    def submit(self, jobs: Sequence[Job]) -> Iterable[Answer]:
        """Start what is ready."""
        self._returned += [job for job in jobs if job.upstream]
        yield from super().submit([job for job in jobs if not job.upstream])

    def poll(self, jobs: Mapping[Key, Job]) -> Iterable[Answer]:
        """Report each twice as absent, before the attempts end that they waited for."""
        for job in self._returned * 2:
            self._go.touch()
            yield AttemptStatus(key=job.key, state="absent", message="the queue refused it")
        returned = {job.key for job in self._returned}
        self._returned.clear()
        yield from super().poll({key: job for key, job in jobs.items() if key not in returned})


class Restless(LocalExecutor):
    """An executor whose engine always has news, of whatever attempts."""

    def __init__(self) -> None:
        super().__init__("odd", {}, {})
        self.ends = os.pipe()
        os.write(self.ends[1], b"!")

    def wakeup(self) -> int:
        """Always readable."""
        return self.ends[0]

    def due(self) -> float:
        """Always in the past."""
        return 0.0


def supervise(
    tmp_path: Path, executor: LocalExecutor, text: str = SPEC
) -> tuple[SupervisorLoop, ExperimentStatus, list[str]]:
    """Run the spec to its end with this executor in the place of `odd`."""
    path = tmp_path / "spec.yaml"
    path.write_text(text)
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


@pytest.mark.parametrize("verb", ["sample", "samples"])
def test_an_executor_that_cannot_measure_is_not_asked_again(tmp_path: Path, verb: str) -> None:
    """It costs the samples of its own tasks alone, and one message; no status depends on it."""
    asked = tmp_path / "asked"
    ends = {"there": f"test -e {asked}", "here": f"ls {tmp_path}/home/dash/*/*/*/here/.record/metrics/system"}
    text = SPEC
    for task, condition in ends.items():
        text = text.replace(
            f'{task}: {{command: ["true"]', f'{task}: {{inline: "until {condition}; do sleep 0.05; done"', 1
        )
    executor = Unmeasured(verb, asked)
    _, status, told = supervise(tmp_path, executor, f"{text}tracking: {{system: 1s}}\n")
    assert status is ExperimentStatus.COMPLETED
    (line,) = [line for line in told if "is not recorded any more" in line]
    assert line.endswith(f"the executor 'odd' is at fault: RuntimeError: {verb} broke")
    found = [path.parents[2].name for path in (tmp_path / "home").rglob("metrics/system")]
    assert found == ["here"]


def test_an_executor_that_cannot_look_leaves_its_tasks_unknown_for_a_while(tmp_path: Path) -> None:
    """A fault while polling is no end: the task is UNKNOWN, and its true end is found later."""
    supervision, status, _ = supervise(tmp_path, Faulty("poll", times=1))
    assert status is ExperimentStatus.COMPLETED
    events = [json.loads(line) for line in supervision.files.ledger.read_text().splitlines()]
    assert [event["task"] for event in events if event.get("event") == "unknown"] == ["there"]


def test_an_error_about_one_submitted_job_is_not_the_verdict_of_others(tmp_path: Path) -> None:
    """Of two tasks that one executor starts, the one that it refuses fails, and the other one runs."""
    supervision, status, _ = supervise(tmp_path, Refusing("submit", times=1), SIBLINGS)
    tasks = supervision.history.tasks
    assert status is ExperimentStatus.FAILED
    assert (tasks["there"].status, tasks["there"].reason) == ("FAILED", "launch")
    assert tasks["there"].message == "it cannot start"
    assert (tasks["sibling"].status, tasks["after"].status) == ("SUCCEEDED", "SKIPPED")


def test_an_error_about_one_polled_job_makes_it_alone_unknown(tmp_path: Path) -> None:
    """A job that cannot be examined is UNKNOWN until it can; those of the same executor are not."""
    supervision, status, _ = supervise(tmp_path, Refusing("poll", times=1), SIBLINGS)
    assert status is ExperimentStatus.COMPLETED
    events = [json.loads(line) for line in supervision.files.ledger.read_text().splitlines()]
    assert {event["task"] for event in events if event.get("event") == "unknown"} == {"there"}


def test_an_end_that_could_not_be_examined_is_examined_again(tmp_path: Path) -> None:
    """What announced the end of a process, which it does once, is not lost to an error in the same look."""
    executor = Unreadable(times=2)
    supervision, status, _ = supervise(tmp_path, executor, SIBLINGS)
    assert (status, executor.left) == (ExperimentStatus.COMPLETED, 0)
    assert supervision.history.tasks["there"].exit_code == 0


def test_what_was_answered_before_a_fault_counts(tmp_path: Path) -> None:
    """The end that an executor had reported when it broke is recorded; the others are UNKNOWN for a while."""
    executor = Interrupted()
    supervision, status, told = supervise(tmp_path, executor, SIBLINGS)
    assert (status, executor.has_broken) == (ExperimentStatus.COMPLETED, True)
    assert "it broke" in "".join(told)
    assert supervision.history.ignored == []


def test_tasks_that_lack_something_now_start_later(tmp_path: Path) -> None:
    """Without a descriptor the tasks of a batch return to the queue, are tried one by one, and run once."""
    text = SPEC.replace(
        'there: {command: ["true"]', 'there: {matrix: {i: [1, 2, 3, 4, 5, 6]}, command: ["true"]'
    )
    executor = Short(times=6)
    supervision, status, _ = supervise(tmp_path, executor, text)
    assert (status, executor.left) == (ExperimentStatus.COMPLETED, 0)
    assert executor.batches == [6, 1, 2, 3]
    events = [json.loads(line) for line in supervision.files.ledger.read_text().splitlines()]
    returned = [event for event in events if event.get("event") == "returned"]
    assert {event["message"] for event in returned} == {"Too many open files"}
    assert len(returned) == 6
    assert {state.attempt for state in supervision.history.tasks.values()} == {1}


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (RuntimeError("it collapsed"), "FAILED"),
        (OSError(errno.ENOMEM, os.strerror(errno.ENOMEM)), "SUCCEEDED"),
    ],
)
def test_what_started_before_a_submission_collapsed_is_known(
    tmp_path: Path, error: Exception, expected: str
) -> None:
    """A task that had started runs on, once; the others failed, or start later after a shortage."""
    text = SIBLINGS.replace('"true"', "sh, -c, 'echo x >>ran'").replace("'true'", "sh, -c, 'echo x >>ran'")
    text = text.replace("name: faulty", f"name: faulty\ndefaults: {{workdir: {tmp_path}}}")
    supervision, _, _ = supervise(tmp_path, Collapsing(error), text)
    tasks = supervision.history.tasks
    assert tasks["there"].status == "SUCCEEDED"
    assert tasks["sibling"].status == expected
    succeeded = [state for state in tasks.values() if state.status == "SUCCEEDED"]
    assert len((tmp_path / "ran").read_text().split()) == len(succeeded)


def test_a_task_that_could_not_be_examined_is_running_again(tmp_path: Path) -> None:
    """A task that became UNKNOWN through an error is RUNNING once it can be examined, before it ends."""
    text = SPEC.replace('there: {command: ["true"]', "there: {command: [sleep, '3.5']")
    executor = Blind(1)
    supervision, status, _ = supervise(tmp_path, executor, text)
    assert (status, executor.left) == (ExperimentStatus.COMPLETED, 0)
    events = [json.loads(line) for line in supervision.files.ledger.read_text().splitlines()]
    kinds = [event["event"] for event in events if event.get("task") == "there"]
    assert kinds[kinds.index("unknown") :] == ["unknown", "started", "ended"]


def test_a_process_that_cannot_be_examined_is_not_taken_for_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without descriptors the processes cannot be listed; that is an error, not an empty list."""

    def refuse(*_: object) -> dict[str, str]:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    monkeypatch.setattr("psutil.Process.environ", refuse)
    with pytest.raises(OSError, match="Too many open files"):
        process_tree.scan()
    with pytest.raises(OSError, match="Too many open files"):
        process_tree.mark_of(os.getpid())


def test_an_executor_without_attempts_wakes_nobody(tmp_path: Path) -> None:
    """While only tasks of others run, the news of an engine cost no time of the processor."""
    executor = Restless()
    begin = time.process_time()
    _, status, _ = supervise(tmp_path, executor, SPEC.replace('here: {command: ["true"]}', IDLE))
    assert (status, time.process_time() - begin < BUSY) == (ExperimentStatus.COMPLETED, True)
    for end in executor.ends:
        os.close(end)


def test_what_a_queue_gives_back_is_decided_by_its_parents(tmp_path: Path) -> None:
    """However often a queue reports that it has no such job, a child runs once its parents permit it."""
    go = tmp_path / "go"
    until = f"until [ -e {go} ]; do sleep 0.02; done"
    text = (
        "name: returned\nexecutors: {odd: {type: slurm}}\nexecutor: odd\ntasks:\n"
        f"  bad: {{inline: '{until}; exit 3'}}\n  good: {{inline: '{until}'}}\n"
        "  never: {command: ['true'], dependencies: [bad]}\n"
        "  either: {command: ['true'], dependencies: [bad], dependency_type: afterany}\n"
        "  runs: {command: ['true'], dependencies: [good]}\n"
    )
    supervision, _, _ = supervise(tmp_path, Returning(go), text)
    assert {name: str(state.status) for name, state in supervision.history.tasks.items()} == {
        "bad": "FAILED",
        "good": "SUCCEEDED",
        "never": "SKIPPED",
        "either": "SUCCEEDED",
        "runs": "SUCCEEDED",
    }
    lines = [json.loads(line) for line in supervision.files.ledger.read_text().splitlines()]
    told = [f"{line['event']} {line['task']}" for line in lines if line.get("task") in ("never", "runs")]
    assert sorted(told) == [
        "ended runs",
        "returned never",
        "returned runs",
        "skipped never",
        "started runs",
        "submitted never",
        "submitted runs",
        "submitted runs",
    ]


def test_an_executor_of_an_earlier_protocol_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An executor without capabilities is refused with the page that has the new names."""
    (tmp_path / "earlier_executor.py").write_text(
        "class Old:\n    options_schema = {}\n    takes_slots = True\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setitem(executors._TYPES.built_in, "old", "earlier_executor:Old")
    with pytest.raises(UsageError, match="implements an earlier protocol") as refused:
        executors.make("old", {"type": "old"}, {})
    assert "docs/extend/executors.md" in str(refused.value.hint)
