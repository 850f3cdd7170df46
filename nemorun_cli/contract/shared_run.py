"""One experiment for the tasks of many rules: with most engines an experiment costs more than a task.

A rule that only looks at tasks that have ended names them with `ends_alone`, and gets them from the fixture
`ended`. The first such rule of a session runs the tasks of all that were selected for its subject.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import pytest

from nemorun_cli.contract.fixtures import PATIENCE, Workspace, files_for, prepare, working_folder
from nemorun_cli.errors import ExpError
from nemorun_cli.storage.paths import HOME_VARIABLE, Home

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from nemorun_cli.contract.fixtures import Subject
    from nemorun_cli.experiment.run import Run
    from nemorun_cli.storage.paths import AttemptFiles
    from nemorun_cli.storage.state import TaskState

ATTRIBUTE: Final = "shared_tasks"  # of a rule's function: what makes its tasks
AT_ONCE: Final = 8  # tasks of a shared experiment


@dataclass(frozen=True)
class RulePlace:
    """Where the tasks of a rule run, and how their names begin in the shared experiment."""

    folder: Path
    prefix: str

    def name(self, task: str) -> str:
        """The name of a task in the shared experiment, for its expressions."""
        return self.prefix + task

    def entry(self, task: Any) -> dict[str, Any]:
        """A task as the shared spec has it."""
        entry: dict[str, Any] = {"inline": task} if isinstance(task, str) else dict(task)
        if "dependencies" in entry:
            entry["dependencies"] = [self.name(parent) for parent in entry["dependencies"]]
        own = {"workdir": str(self.folder)}
        if "group" in entry:
            return {**entry, "group": [{**own, **member} for member in entry["group"]]}
        return {**own, **entry}


@dataclass(frozen=True, kw_only=True)
class EndedTasks:
    """The tasks of one rule, which have ended, by the names that the rule gave them.

    Attributes:
        workspace: that of the shared experiment, for commands.
        run: the shared experiment.
        place: where the tasks ran.
        states: the state of each task.
        left: what was left of the tasks of all rules when the experiment had ended.
    """

    workspace: Workspace
    run: Run
    place: RulePlace
    states: Mapping[str, TaskState]
    left: Sequence[str]

    @property
    def folder(self) -> Path:
        """The working folder of the rule's tasks."""
        return self.place.folder

    def statuses(self) -> dict[str, str]:
        """The status of each task."""
        return {name: str(state.status) for name, state in self.states.items()}

    def files(self, task: str, attempt: int = 1) -> AttemptFiles:
        """The files of an attempt."""
        return self.run.files.attempt(self.place.name(task), attempt)

    def log(self, task: str, attempt: int = 1) -> bytes:
        """What an attempt wrote."""
        return self.files(task, attempt).log.read_bytes()

    def lines(self, name: str = "ran") -> list[str]:
        """The lines that tasks wrote into a file of the working folder, with the rule's names of tasks."""
        path = self.folder / name
        text = path.read_text(encoding="utf-8") if path.exists() else ""
        return text.replace(self.place.prefix, "").splitlines()


def ends_alone(make: Callable[[RulePlace], Mapping[str, Any]]) -> Callable[[Any], Any]:
    """Mark a rule that only looks at tasks that have ended, and gets them from the fixture `ended`.

    `make` returns the tasks by name, as `Workspace.start` takes them; the rule's cases share them. They need
    no key of the spec's header, and do nothing to the tasks of other rules.
    """

    def marked(rule: Any) -> Any:
        setattr(rule, ATTRIBUTE, make)
        return rule

    return marked


@dataclass
class SharedRuns:
    """The shared experiments of a session.

    If one is refused, or does not end, the tasks of each rule run in an experiment of their own: only the
    rules that are broken fail then.
    """

    base: Path
    stack: contextlib.ExitStack
    by_subject: dict[str, dict[str, EndedTasks]] = field(default_factory=dict)

    def ended(self, subject: Subject, rule: Any, rules: Sequence[Any]) -> EndedTasks:
        """The tasks of a rule, one of those selected."""
        if subject.name not in self.by_subject:
            self.by_subject[subject.name] = {}
            with contextlib.suppress(ExpError):
                self.by_subject[subject.name] = self._run(subject, rules)
        found = self.by_subject[subject.name]
        if rule.__name__ not in found:
            found.update(self._run(subject, [rule]))
        return found[rule.__name__]

    def _run(self, subject: Subject, rules: Sequence[Any]) -> dict[str, EndedTasks]:
        own = self.base / f"{len(list(self.base.iterdir()))}"
        own.mkdir()
        folder = self.stack.enter_context(working_folder(subject, own))
        workspace = Workspace(Home(own / "home"), folder, subject)
        places, tasks = {}, {}
        with pytest.MonkeyPatch.context() as patch, files_for(subject):
            patch.setenv(HOME_VARIABLE, str(workspace.home.directory))
            for index, rule in enumerate(rules):
                place = places[rule.__name__] = RulePlace(folder / f"{index}", f"rule{index}-")
                place.folder.mkdir()
                made = getattr(rule, ATTRIBUTE)(place)
                tasks.update({place.name(name): place.entry(task) for name, task in made.items()})
            run = workspace.start(tasks, run={"max_parallel": AT_ONCE})
            try:
                history = run.wait(timeout=2 * PATIENCE).history
            except BaseException:
                run.cancel(grace=0.0)
                raise
            left = workspace.left()
        return {
            rule: EndedTasks(
                workspace=workspace,
                run=run,
                place=place,
                states={
                    name.removeprefix(place.prefix): state
                    for name, state in history.tasks.items()
                    if name.startswith(place.prefix)
                },
                left=left,
            )
            for rule, place in places.items()
        }


@pytest.fixture(scope="session")
def shared_runs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SharedRuns]:
    """The shared experiments, which all rules of a process read."""
    with contextlib.ExitStack() as stack:
        yield SharedRuns(tmp_path_factory.mktemp("shared-runs"), stack)


@pytest.fixture(name="ended")
def ended_tasks(
    subject: Subject, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> EndedTasks:
    """The tasks of this rule, which have ended."""
    prepare(subject, request)
    runs: SharedRuns = request.getfixturevalue("shared_runs")  # ends before what the subject needs
    found = runs.ended(subject, request.function, selected(subject, request.session.items))
    monkeypatch.setenv(HOME_VARIABLE, str(found.workspace.home.directory))
    return found


def selected(subject: Subject, items: Sequence[pytest.Item]) -> list[Any]:
    """The rules of this kind that were selected for a subject, and that its engine makes possible."""
    rules = {
        item.function.__name__: item.function
        for item in items
        if isinstance(item, pytest.Function) and hasattr(item.function, ATTRIBUTE)
        if hasattr(item, "callspec") and item.callspec.params.get("subject") == subject
    }
    return [rule for name, rule in rules.items() if name not in subject.cannot]
