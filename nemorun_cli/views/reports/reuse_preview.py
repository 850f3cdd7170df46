"""Which tasks with `cache` would get an earlier result, before an experiment exists.

No task is run, no file of the home is written, and no program is run that the spec names.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal, Self

from nemorun_cli.executors import planning
from nemorun_cli.model import python_environment
from nemorun_cli.model.attempt_end import AttemptEnd
from nemorun_cli.model.clock import stamp
from nemorun_cli.model.status import Reason, TaskStatus
from nemorun_cli.model.step_cache import Fingerprint
from nemorun_cli.packagers.environments import existing
from nemorun_cli.packagers.environments.interpreters import EnvironmentFault
from nemorun_cli.scheduler.evaluations import UnevaluatedError
from nemorun_cli.spec.expressions import evaluate
from nemorun_cli.spec.expressions.helper import Helper
from nemorun_cli.spec.expressions.syntax import TemplateError
from nemorun_cli.storage import events as kinds
from nemorun_cli.storage.events import origin_text
from nemorun_cli.storage.paths import ExperimentFiles
from nemorun_cli.storage.state import EnvironmentState, ExperimentState
from nemorun_cli.storage.step_cache import taking
from nemorun_cli.storage.step_cache.attempt_site import AttemptSite
from nemorun_cli.storage.step_cache.content_digests import ContentDigests
from nemorun_cli.storage.step_cache.entries import StepCache
from nemorun_cli.supervisor import fingerprints
from nemorun_cli.supervisor.fingerprint_process import FingerprintMaker
from nemorun_cli.system import locks
from nemorun_cli.views.reports.reuse_report import EarlierSuccesses, changed_json, why_it_runs

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from nemorun_cli.executors.capabilities import Capabilities
    from nemorun_cli.model.spec import Identity, Spec, Task
    from nemorun_cli.storage.paths import Home
    from nemorun_cli.storage.step_cache.entries import StepCacheEntry

Decision = Literal["reuse", "run", "later"]

REUSE: Final = "reuse"
RUN: Final = "run"
LATER: Final = "later"


@dataclass(frozen=True, slots=True, kw_only=True)
class ReusePreview:
    """Whether a task would get an earlier result.

    Attributes:
        decision: `later` if that depends on what a task before it results in.
        message: the reason, as a sentence.
        origin: the attempt whose result it would get.
        compared_with: the earlier success with which a task that runs was compared, if there is one.
        changed: the parts of its fingerprint that differ from that, as `changed_json` has them.
    """

    decision: Decision
    message: str
    origin: dict[str, Any] | None = None
    compared_with: dict[str, Any] | None = None
    changed: Sequence[Mapping[str, str | None]] = ()

    def to_json(self) -> dict[str, Any]:
        """The field `reuse` of a task in `exp.plan/1`."""
        return {
            "decision": self.decision,
            "message": self.message,
            "from": self.origin,
            "compared_with": self.compared_with,
            "changed": list(self.changed),
        }


class ReusePreviews:
    """Looks up earlier results for the tasks of a spec, each after those that it depends on.

    Args:
        spec: the resolved spec.
        identity: that the experiment would have.
        home: where results are kept.
        capabilities: returns those of an executor, by its name.
    """

    def __init__(
        self, spec: Spec, identity: Identity, home: Home, capabilities: Callable[[str], Capabilities]
    ) -> None:
        self._spec, self._identity, self._home = spec, identity, home
        self._capabilities = capabilities
        self._files = ExperimentFiles(Path(identity.directory))
        self._history = ExperimentState.of(spec)
        self._known: dict[str, Decision] = {}  # of the tasks that were looked at
        self._searches = {group.id for group in spec.groups if group.search is not None}
        self._earlier = EarlierSuccesses(home, spec.name, but=identity.id)
        database = home.contents_database(locks.hostname())
        self._digests = ContentDigests(database if database.exists() else None)
        self._cache = StepCache(home, self._digests.of)
        self._restored: dict[Path, str] = {}
        self._maker = FingerprintMaker(
            self._digests, restored=self._restored, runs_only=os.environ.get("PATH", os.defpath)
        )
        self._helper = Helper()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._digests.close()
        self._helper.close()

    def of_task(self, task: Task) -> ReusePreview | None:
        """Whether a task would get an earlier result; None for one without `cache`."""
        if task.cache is None:
            self._known[task.id] = RUN
            return None
        if not self._spec.run.cache:
            preview = ReusePreview(decision=RUN, message="it runs because this run reuses no results")
        elif task.id in self._spec.run.refresh:
            preview = ReusePreview(decision=RUN, message="it runs because it is refreshed")
        else:
            preview = self._preview(task)
        self._known[task.id] = preview.decision
        return preview

    def _preview(self, task: Task) -> ReusePreview:
        if (undecided := self._undecided(task)) is not None:
            return ReusePreview(decision=LATER, message=undecided)
        try:
            filled = self._filled(task)
            self._note_environment(filled)
        except UnevaluatedError as error:
            return ReusePreview(decision=LATER, message=f"decided when the best of {error} is known")
        except (TemplateError, EnvironmentFault) as error:
            return ReusePreview(decision=RUN, message=f"it cannot start: {error.message}")
        order = fingerprints.order(filled, self._spec, self._history, self._files)
        answer = self._maker.answer(order)
        if "fault" in answer:
            return ReusePreview(decision=LATER, message=f"decided when it starts: {answer['fault']}")
        return self._decided(filled, Fingerprint.of(answer["parts"]))

    def _undecided(self, task: Task) -> str | None:
        """Why nothing can be known about a task now, as a sentence; None if something can."""
        running = [name for name in task.dependencies if self._known.get(name) != REUSE]
        if running:
            return f"decided when {_named(running)} {'has' if len(running) == 1 else 'have'} ended"
        if task.external:
            return "decided when what it waits for outside of the experiment has ended"
        if task.group in self._searches:
            return "decided when its trial has values"
        if task.when is not None:
            return "decided with its `when`"
        package = self._spec.package(task)
        if package is not None and not Path(package.workdir(task.workdir, folder=self._spec.folder)).is_dir():
            return "decided when its code is shipped"
        return None

    def _filled(self, task: Task) -> Task:
        """A task with the outputs of those that it depends on, which all have an earlier result."""
        return evaluate.fill_late(
            task,
            spec=self._spec,
            identity=self._identity,
            outputs={name: state.outputs for name, state in self._history.tasks.items() if state.is_over},
            evaluator=self._helper.evaluate,
            external={},
            bests=_NoBests([group.id for group in self._spec.groups if group.best is not None]),
        )

    def _note_environment(self, task: Task) -> None:
        """Read the versions in an environment that exists, as a supervisor does before its tasks start."""
        if task.python is None or "environment" in task.python:
            return
        key = python_environment.key(task.python)
        if key in self._history.environments or self._capabilities(task.executor).has_own_files:
            return
        kind, prefix = planning.environment_of(task.python, self._home.directory)
        version, packages = existing.versions(kind, self._home.directory / prefix)
        self._history.environments[key] = EnvironmentState(
            text=python_environment.text_of(task.python),
            since="",
            fingerprint=existing.fingerprint(version, packages),
        )

    def _decided(self, task: Task, fingerprint: Fingerprint) -> ReusePreview:
        site = self._site(task)
        look = taking.look(self._cache, site, fingerprint.id)
        if isinstance(look, taking.Hit):
            self._take(task, site, look.entry, fingerprint)
            message = f"it gets the result of {origin_text(look.entry.origin)}"
            return ReusePreview(decision=REUSE, message=message, origin=look.entry.origin)
        earlier = self._earlier.newest(task.id)
        changed = () if earlier is None else fingerprint.changes(Fingerprint(earlier.parts))
        if look.message is not None:
            message = look.message
        elif earlier is not None and not changed:
            message = f"it runs because the result of {origin_text(earlier.origin)} is not kept"
        else:
            message = why_it_runs("it runs", self._spec.name, earlier, fingerprint.parts, changed)
        return ReusePreview(
            decision=RUN,
            message=message,
            compared_with=None if earlier is None else earlier.origin,
            changed=changed_json(changed, earlier, fingerprint.parts),
        )

    def _take(self, task: Task, site: AttemptSite, entry: StepCacheEntry, fingerprint: Fingerprint) -> None:
        """Let the tasks that depend on this one see its result."""
        event = {"time": stamp(None), "by": "", "task": task.id, "attempt": 1}
        end = AttemptEnd(status=TaskStatus.SUCCEEDED, reason=Reason.CACHED, outputs=dict(entry.outputs))
        self._history.apply_all(
            [
                {**event, "event": kinds.FINGERPRINTED, "fingerprint": fingerprint.id, "parts": {}},
                {**event, "event": kinds.SUBMITTED},
                {**event, "event": kinds.ENDED, **end.to_event()},
            ]
        )
        self._restored.update((root / kept.name, kept.digest) for root, kept in taking.places(site, entry))

    def _site(self, task: Task) -> AttemptSite:
        spec = self._spec
        package = spec.package(task)
        workdir = package.workdir(task.workdir, folder=spec.folder) if package else task.workdir
        return AttemptSite(
            directory=str(self._files.directory),
            task=task.id,
            attempt=1,
            workdir=None if self._capabilities(task.executor).is_remote else workdir,
            globs=task.cache.outputs if task.cache is not None else (),
            records=str(planning.dash_root(spec, self._home.directory).absolute()),
            prefix=planning.prefix(spec, self._files.id),
        )


class _NoBests(Mapping[str, Mapping[str, Any]]):
    """The best members of groups before an experiment: none is known."""

    def __init__(self, groups: Sequence[str]) -> None:
        self._groups = groups

    def __getitem__(self, group: str) -> Mapping[str, Any]:
        raise UnevaluatedError(group)

    def __iter__(self) -> Iterator[str]:
        return iter(self._groups)

    def __len__(self) -> int:
        return len(self._groups)


def _named(names: list[str]) -> str:
    """The first task, and the number of the others."""
    return names[0] if len(names) == 1 else f"{names[0]} and {len(names) - 1} more"
