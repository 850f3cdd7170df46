"""Groups that end with a leader: whatever the order in which their members end."""

from __future__ import annotations

import select
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.schedules import C, F, K, S, schedule, task

from nemorun_cli.errors import UsageError
from nemorun_cli.model.attempt_end import AttemptEnd, failed_launch, from_exit_code
from nemorun_cli.model.clock import stamp
from nemorun_cli.model.spec import Group, Retry, Spec, Task
from nemorun_cli.model.status import ExperimentStatus, Reason, TaskStatus
from nemorun_cli.scheduler import attempt_result, resume_plan
from nemorun_cli.scheduler.decisions import Decisions
from nemorun_cli.scheduler.evaluations import Evaluations
from nemorun_cli.scheduler.schedule import Schedule
from nemorun_cli.storage import events
from nemorun_cli.storage.ledger import Ledger
from nemorun_cli.storage.ledger_writer import LedgerWriter
from nemorun_cli.storage.paths import AttemptFiles

if TYPE_CHECKING:
    from nemorun_cli.storage.state import ExperimentState

NOWHERE = Path("/nowhere")


@dataclass
class Followed:
    """An experiment that is decided about as by a supervisor, with ends that a test chooses."""

    spec: Spec
    history: ExperimentState
    slots: int = 99
    started: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.supervise()

    def supervise(self) -> None:
        """Let a new supervisor continue from the history, as after a crash."""
        self.schedule = Schedule(self.spec, self.history)
        journal = LedgerWriter(Ledger(NOWHERE, NOWHERE), self.history, by="test", report=pytest.fail)
        evaluations = Evaluations(select.poll(), pytest.fail)
        self.decisions = Decisions(self.schedule, journal, evaluations, can_submit=True)
        self.decisions.begin()

    @property
    def live(self) -> list[str]:
        """The tasks that run."""
        return [name for name, state in self.history.tasks.items() if state.is_live]

    def start(self) -> list[str]:
        """Start what may start now."""
        free = max(0, self.slots - len(self.live))
        names = self.schedule.take_ready(0.0, free, needs_slot={"local": True}, most=self.slots)
        for name in names:
            attempt = self.history.tasks[name].attempt
            for event in (events.SUBMITTED, events.STARTED):
                self.decisions.journal.note(event, task=name, attempt=attempt)
        self.started += names
        return names

    def end(self, name: str, *, code: int, is_own: bool = True) -> None:
        """Let a live task end: by itself, or because it was asked to stop."""
        state = self.history.tasks[name]
        ending = from_exit_code(code)
        cancel = attempt_result.cancel_of(
            self.schedule,
            name,
            ending,
            sent=None if is_own else state.cancel,
            files=AttemptFiles(NOWHERE),
        )
        ending = attempt_result.conclude(
            ending, sent=cancel, requested=None, written=NOWHERE, inside=None, secrets={}
        )
        self.decisions.end_unstarted(name, state, ending)
        self.decisions.settle(self.schedule.tasks[name])

    def statuses(self) -> dict[str, TaskStatus]:
        """Every task's status."""
        return {name: state.status for name, state in self.history.tasks.items()}

    def reasons(self) -> dict[str, str | None]:
        """Every task's reason."""
        return {name: state.reason for name, state in self.history.tasks.items()}


def followed(*tasks: Task, until: str, slots: int = 99, more: tuple[Task, ...] = ()) -> Followed:
    """An experiment with these members of one group, and further tasks."""
    group = Group(id="g", members=tuple(one.id for one in tasks), until=until)
    made = schedule(*tasks, *more, groups=(group,))
    return Followed(made.spec, made.history, slots)


def members(*names: str, **fields: object) -> list[Task]:
    return [task(f"g/{name}", index, group="g", **fields) for index, name in enumerate(names)]


@st.composite
def groups(draw: st.DrawFn) -> Followed:
    """A group of any kind with a leader, and a task after it, with few or many slots."""
    count = draw(st.integers(1, 5))
    tasks = [
        task(
            f"g/{index}",
            index,
            group="g",
            allow_failure=draw(st.booleans()),
            retry=Retry(limit=draw(st.integers(0, 1))),
        )
        for index in range(count)
    ]
    until = draw(st.sampled_from(["any", *(one.id for one in tasks)]))
    after = task("after", count, dependencies=tuple(one.id for one in tasks))
    return followed(*tasks, until=until, slots=draw(st.integers(1, 6)), more=(after,))


@given(groups(), st.data())
def test_any_group_ends_with_its_leader(run: Followed, data: st.DataObject) -> None:
    """All end; after the leader's end nobody starts; only a success of the leader makes others needless."""
    group, states = run.spec.groups[0], run.history.tasks
    has_ended = False
    while True:
        late = [name for name in run.start() if name in group.members]
        assert not (has_ended and late)
        if not run.live:
            break
        if data.draw(st.integers(0, 5)) == 0:
            run.supervise()
        name = data.draw(st.sampled_from(run.live))
        is_own = not states[name].cancel or data.draw(st.booleans())
        run.end(name, code=data.draw(st.sampled_from([0, 7])), is_own=is_own)
        has_ended = run.schedule.group_end(group) is not None
    statuses, reasons = run.statuses(), run.reasons()
    assert run.history.is_settled
    led = [
        name
        for name in group.members
        if group.may_lead(name) and (statuses[name], reasons[name]) == (S, None)
    ]
    needless = [name for name in group.members if reasons[name] == Reason.UNTIL]
    assert led or not needless
    assert all(statuses[name] in {S, K} for name in needless)
    if group.until in led:
        assert C not in {statuses[name] for name in group.members if reasons[name] == Reason.UNTIL}
    elif group.until != "any" and statuses[group.until] is not K:
        assert statuses[group.until] in {F, C}
    failed = [
        name for name in group.members if statuses[name] is F and not run.schedule.tasks[name].allow_failure
    ]
    if failed:
        assert run.schedule.final_status() is ExperimentStatus.FAILED
        assert statuses["after"] is K
    if run.schedule.final_status() is ExperimentStatus.COMPLETED:
        assert statuses["after"] is S
    kept = {decision.task: decision.action for decision in resume_plan.decide(run.schedule)}
    if led:
        assert {kept[name] for name in group.members if statuses[name] is not S} <= {"keep"}
        again = {one.task: one.action for one in resume_plan.decide(run.schedule, below=led[:1])}
        assert {again[name] for name in needless} <= {"run"}
        assert again["after"] == "run"


def test_the_leader_is_over_after_its_last_attempt() -> None:
    """A retry of the leader leaves the others running; then its success stops them, and skips what waits."""
    server, client, late = members("server", "client", "late", retry=Retry(limit=1))
    run = followed(server, client, late, until="g/client", slots=2)
    assert run.start() == ["g/server", "g/client"]
    run.end("g/client", code=1)
    assert run.history.tasks["g/server"].cancel is None
    run.start()
    run.end("g/client", code=0)
    cancel = run.history.tasks["g/server"].cancel
    assert cancel is not None
    assert (cancel.reason, cancel.message) == ("until", "g/client succeeded, and g ends with it")
    run.end("g/server", code=143, is_own=False)
    assert run.statuses() == {"g/server": S, "g/client": S, "g/late": K}
    assert run.reasons() == {"g/server": "until", "g/client": None, "g/late": "until"}
    assert run.schedule.final_status() is ExperimentStatus.COMPLETED


@pytest.mark.parametrize(("code", "status"), [(0, S), (7, F)])
def test_a_member_that_ended_by_itself_before_the_signal_has_its_own_result(
    code: int, status: TaskStatus
) -> None:
    """Although its end becomes known after that of the leader."""
    run = followed(*members("server", "client"), until="g/client")
    run.start()
    run.end("g/client", code=0)
    run.end("g/server", code=code, is_own=True)
    assert (run.statuses()["g/server"], run.reasons()["g/server"]) == (status, "exit" if code else None)


@pytest.mark.parametrize("end", [AttemptEnd(status=C), failed_launch("no image")])
def test_a_member_that_was_stopped_before_it_started_is_skipped(end: AttemptEnd) -> None:
    """What its backend removed from its queue, or could not start any more, has not succeeded."""
    run = followed(*members("server", "client"), until="g/client")
    run.schedule.take_ready(0.0, None, needs_slot={"local": True})
    for name in ("g/server", "g/client"):
        run.decisions.journal.note(events.SUBMITTED, task=name, attempt=1)
    run.end("g/client", code=0)
    state = run.history.tasks["g/server"]
    assert not run.decisions.skip_unstarted("g/server", state, end, None), "it was not stopped"
    assert run.decisions.skip_unstarted("g/server", state, end, state.cancel)
    assert (state.status, state.reason) == (K, "until")


def test_a_member_that_fails_first_stops_the_leader() -> None:
    """All others are CANCELLED with reason `dependency`, unless the member may fail."""
    run = followed(*members("server", "client", "third"), until="g/client")
    run.start()
    run.end("g/server", code=7)
    for name in ("g/client", "g/third"):
        run.end(name, code=143, is_own=False)
    assert run.statuses() == {"g/server": F, "g/client": C, "g/third": C}
    assert set(run.reasons().values()) == {"exit", "dependency"}
    run = followed(*members("server", "client", allow_failure=True), until="g/client")
    run.start()
    run.end("g/server", code=7)
    assert run.history.tasks["g/client"].cancel is None


def test_a_leader_that_may_fail_excuses_the_others() -> None:
    """What was stopped for its failure does not make the experiment FAILED, and dependents run."""
    server, client = members("server", "client")
    client = task("g/client", 1, group="g", allow_failure=True)
    after = task("after", 2, dependencies=("g/server", "g/client"))
    run = followed(server, client, until="g/client", more=(after,))
    run.start()
    run.end("g/client", code=1)
    run.end("g/server", code=143, is_own=False)
    assert run.statuses()["g/server"] is C
    assert run.start() == ["after"]
    run.end("after", code=0)
    assert run.schedule.final_status() is ExperimentStatus.COMPLETED


def test_a_member_starts_only_with_its_leader() -> None:
    """With one slot both start at once: a server in the only slot would wait for its client for ever."""
    run = followed(*members("server", "client", "third"), until="g/client", slots=1)
    assert run.start() == ["g/server", "g/client"]


@pytest.mark.parametrize(("word", "end"), [("all", None), ("any", "until")])
def test_a_task_may_be_called_as_the_words_of_until(word: str, end: str | None) -> None:
    """A task `all`, or `any`, is the leader of no group."""
    after = task(word, 2, dependencies=("g/one", "g/two"))
    run = followed(*members("one", "two"), until=word, more=(after,))
    assert run.start() == ["g/one", "g/two"]
    run.end("g/one", code=0)
    cancel = run.history.tasks["g/two"].cancel
    assert (cancel.reason if cancel else None) == end
    run.end("g/two", code=0, is_own=False)
    assert run.start() == [word]


def test_a_crash_between_the_end_and_the_signal_changes_nothing() -> None:
    """A new supervisor stops what still runs; also if the request to do so was not recorded."""
    run = followed(*members("server", "client"), until="g/client")
    run.start()
    state = run.history.tasks["g/client"]
    run.decisions.end_unstarted("g/client", state, AttemptEnd(status=S, exit_code=0))
    run.supervise()
    assert run.history.tasks["g/server"].cancel is not None
    run.history.apply({"event": events.RESUMED, "time": stamp(), "by": "test", "tasks": {}})
    assert run.history.tasks["g/server"].cancel is None
    run.supervise()
    assert run.history.tasks["g/server"].cancel is not None


def test_a_leader_does_not_run_again_next_to_what_is_being_stopped() -> None:
    """A resume is refused until the members that were asked to stop have ended; others are adopted."""
    run = followed(*members("server", "client"), until="g/client")
    run.start()
    run.decisions.end_unstarted("g/client", run.history.tasks["g/client"], from_exit_code(1))
    decisions = resume_plan.decide(run.schedule)
    resume_plan.refuse_late(run.schedule, decisions)
    assert [decision.action for decision in decisions] == ["adopt", "run"]
    run.decisions.settle(run.schedule.tasks["g/client"])
    with pytest.raises(UsageError, match="asked to stop, and still alive: g/server"):
        resume_plan.refuse_late(run.schedule, resume_plan.decide(run.schedule))
    run.end("g/server", code=143, is_own=False)
    decisions = resume_plan.decide(run.schedule)
    resume_plan.refuse_late(run.schedule, decisions)
    assert [decision.action for decision in decisions] == ["run", "run"]
