"""Experiments from Python: start one, find one, ask, end or continue it. The command line lies on this."""

from __future__ import annotations

import contextlib
import itertools
import json
import re
import time
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final, Literal

from nemorun_cli import ledger, observation
from nemorun_cli.errors import (
    AmbiguousError,
    EngineError,
    NotFoundError,
    NotOverError,
    RunningError,
    UsageError,
)
from nemorun_cli.home import ExperimentFiles, Home, age_key
from nemorun_cli.states import ExperimentStatus

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from nemorun_cli.alteration import Change
    from nemorun_cli.loading.document import Document
    from nemorun_cli.observation import Snapshot
    from nemorun_cli.resumption import Decision
    from nemorun_cli.spec import Spec
    from nemorun_cli.start import Supervisor

LATEST: Final = "latest"

_WORD: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}", re.ASCII)  # an id, or a beginning of one

IfRunning = Literal["fail", "skip", "replace"]


@dataclass(frozen=True, slots=True)
class Run:
    """A handle of one experiment: where it lies, and the values that must not be shown.

    `secrets` are those that this process resolved to start or resume it.
    """

    files: ExperimentFiles
    home: Home
    secrets: set[str] = field(default_factory=set, repr=False, compare=False)

    @property
    def id(self) -> str:
        """The experiment's id."""
        return self.files.id

    @property
    def directory(self) -> Path:
        """Where the experiment lies."""
        return self.files.directory

    def status(self, *, observe: bool = True) -> Snapshot:
        """How the experiment stands now, looked at and not only remembered."""
        return observation.look(self.files, home=self.home.directory, observe=observe)

    def spec(self) -> Spec:
        """The spec as resolved when the experiment was created."""
        return observation.read_spec(self.files)

    def wait(self, *, timeout: float | None = None) -> Snapshot:
        """Wait until the experiment has ended, or nothing is left that could end by itself.

        Args:
            timeout: seconds; None waits for ever.

        Raises:
            NotOverError: the time is over, and the experiment is not.
        """
        from nemorun_cli.watching import Watch  # noqa: PLC0415 - not for a single look

        end = None if timeout is None else time.monotonic() + timeout
        with Watch(self.files, self.home) as watching:
            while True:
                snapshot = watching.look()
                if snapshot.status is not ExperimentStatus.RUNNING:
                    return snapshot
                left = None if end is None else end - time.monotonic()
                if left is not None and left <= 0:
                    raise NotOverError(f"{self.id} is not over after {timeout:g} s")
                watching.pause(limit=left)

    def cancel(
        self,
        tasks: Sequence[str] = (),
        *,
        signal: str | None = None,
        grace: float | None = None,
        abandon: bool = False,
    ) -> Snapshot:
        """End tasks (default: the whole experiment) and return when they are gone.

        Args:
            tasks: ids of tasks or groups, globs, or their unique beginnings.
            signal: instead of each task's `stop_signal`.
            grace: seconds until KILL, instead of each task's `stop_grace`.
            abandon: record CANCELLED without asking the engine.

        Raises:
            NotOverError: something outlived it; the message names the survivors.
            EngineError: it runs on another host.
        """
        from nemorun_cli.cancellation import cancel  # noqa: PLC0415 - only writers pay for what it needs

        return cancel(self.files, self.home, tasks, signal=signal, grace=grace, abandon=abandon)

    def resume(
        self,
        *,
        below: Sequence[str] = (),
        host_is_gone: bool = False,
        document: Document | None = None,
        accept_changes: bool = False,
    ) -> bool:
        """Continue the experiment in a new supervisor; says whether there was anything to do.

        Args:
            below: tasks to run again even if they succeeded, with all that depend on them.
            host_is_gone: the host where it ran will not come back; what ran there is lost.
            document: a changed spec, as `load.changed` and `load.again` give it.
            accept_changes: whether tasks that ran may be something else now, and run again.

        Raises:
            SpecError: a secret is missing.
            UsageError: the spec cannot be changed so, or not now; or an attempt that was abandoned is alive.
            EngineError: it runs on another host, or of an abandoned attempt it cannot be told.
        """
        from nemorun_cli import resumption, secret_values  # noqa: PLC0415 - only for a resume

        snapshot = self.status()
        self.require_gone(snapshot, host_is_gone=host_is_gone)
        if snapshot.supervisor == "alive":
            if document is not None:
                raise self._is_busy()
            return False
        if document is not None:
            from nemorun_cli import alteration  # noqa: PLC0415 - only for a changed spec

            order = alteration.order(
                self.files, self.home, document, snapshot, below=below, accepts=accept_changes
            )
            if order is None:
                return False
            values = secret_values.resolve(order.spec, document)
            ask_engines(order.spec)
            with order.written() as told:
                if not self._go(told, secrets=values, host_is_gone=host_is_gone):
                    raise self._is_busy()
            return True
        names = snapshot.match_tasks(below)
        decisions = self.plan_resume(below=names, snapshot=snapshot)
        if resumption.is_pointless(snapshot.history, decisions):
            return False
        resumption.refuse_late(snapshot.history, decisions)
        values = secret_values.resolve(snapshot.spec)
        return self._go({"from": names}, secrets=values, host_is_gone=host_is_gone)

    def require_gone(self, snapshot: Snapshot, *, host_is_gone: bool = False) -> None:
        """See that nothing of it runs where this cannot look, or runs though it was given up.

        Raises:
            UsageError: an attempt that was abandoned is alive.
            EngineError: it ran on another host, or of an abandoned attempt it cannot be told.
        """
        from nemorun_cli import abandoned  # noqa: PLC0415 - only for a resume

        if snapshot.supervisor == "elsewhere" and not host_is_gone:
            host = snapshot.holder.host if snapshot.holder else "another host"
            raise EngineError(
                f"{self.id} ran on {host}, which may still be running it",
                hint="resume it there, or if that host is gone for good use --host-is-gone",
            )
        if snapshot.supervisor != "alive":
            abandoned.refuse_alive(snapshot, host_is_gone=host_is_gone)

    def _is_busy(self) -> UsageError:
        return UsageError(
            f"{self.id} is running: its spec cannot be changed now",
            hint=f"wait for its end, or end it with: exp cancel {self.id}",
        )

    def _go(self, order: Mapping[str, Any], *, secrets: Mapping[str, str], host_is_gone: bool) -> bool:
        from nemorun_cli import start  # noqa: PLC0415 - only for a resume

        self.secrets.update(secrets.values())
        wish = {**order, "by": start.who(), "host_is_gone": host_is_gone}
        try:
            start.take().go(self.files, home=self.home.directory, secrets=secrets, resume=wish)
        except start.AlreadyRunning:
            return False
        return True

    def plan_change(
        self, document: Document, *, below: Sequence[str] = (), snapshot: Snapshot | None = None
    ) -> Change:
        """What a resume with a changed spec would do; nothing is changed.

        Raises:
            SpecError: the spec has problems.
            UsageError: it is another experiment's, or it changes what is alive.
        """
        from nemorun_cli import alteration  # noqa: PLC0415 - only for a resume

        return alteration.plan(self.files, document, below=below, snapshot=snapshot or self.status())

    def plan_resume(self, *, below: Sequence[str] = (), snapshot: Snapshot | None = None) -> list[Decision]:
        """What a resume would do with each task, and why; nothing is changed."""
        from nemorun_cli import resumption  # noqa: PLC0415 - only for a resume
        from nemorun_cli.schedule import Schedule  # noqa: PLC0415 - the same

        seen = snapshot or self.status()
        return resumption.decide(Schedule(seen.spec, seen.history), below=seen.match_tasks(below))

    def logs(self, task: str, *, attempt: int | None = None) -> Path:
        """The log file of a task's attempt (default: its latest).

        Raises:
            NotFoundError: there is no such task, or it has not begun.
        """
        snapshot = self.status(observe=False)
        names = snapshot.match_tasks([task])
        if len(names) != 1:
            raise AmbiguousError(f"{task!r} is several tasks: {', '.join(names[:10])}")
        number = attempt or snapshot.history.tasks[names[0]].attempt
        path = self.files.attempt(names[0], number).log
        if not path.exists():
            raise NotFoundError(f"there is no log of attempt {number} of {names[0]}")
        return path


def find(which: str = LATEST, *, home: Home | None = None) -> Run:
    """The experiment of this id, name (its latest), unique beginning of an id, or the `latest` of all.

    Raises:
        NotFoundError: there is none.
        AmbiguousError: the beginning fits several, which are listed.
    """
    home = home or Home.from_environment()
    if not _WORD.fullmatch(which):  # no id begins like this: an unset variable of a script, for one
        raise NotFoundError(f"no experiment can be called {which[:80]!r}", hint="see what there is: exp list")
    if files := home.experiment(which):
        return Run(files, home)
    if found := _newest(home, [which]):
        return Run(found, home)
    candidates = [
        experiment_id
        for name in home.names()
        if which.startswith(name) or name.startswith(which)
        for experiment_id in home.ids(name)
        if experiment_id.startswith(which) and home.experiment(experiment_id)
    ]
    if len(candidates) > 1:
        listed = ", ".join(sorted(candidates, key=age_key)[-10:])
        raise AmbiguousError(f"{which!r} fits {len(candidates)} experiments: {listed}")
    if candidates and (files := home.experiment(candidates[0])):
        return Run(files, home)
    if which == LATEST:
        if found := _newest(home, home.names()):
            return Run(found, home)
        raise NotFoundError(
            f"there are no experiments under {home.directory} yet", hint="start one: exp run SPEC"
        )
    raise NotFoundError(
        f"there is no experiment {which!r} under {home.directory}", hint="see what there is: exp list"
    )


def _newest(home: Home, names: Sequence[str]) -> ExperimentFiles | None:
    ids = sorted((one for name in names for one in home.ids(name)), key=age_key, reverse=True)
    for _, same_second in itertools.groupby(ids, key=lambda one: age_key(one)[0]):
        if found := [files for one in same_second if (files := home.experiment(one))]:
            return found[0] if len(found) == 1 else max(found, key=_created)
    return None


def _created(files: ExperimentFiles) -> str:
    """When exactly it was made; experiments of two names may share a second."""
    with files.ledger.open("rb") as stream:
        event = ledger.parse(stream.readline())
    return str(event.get("time", "")) if event else ""


def run(
    spec: Path | str | Mapping[str, Any],
    *,
    params: Mapping[str, Any] | Sequence[str] = (),
    sets: Sequence[str] = (),
    only: Sequence[str] = (),
    options: Mapping[str, Any] | None = None,
    key: str | None = None,
    if_running: IfRunning | None = None,
    home: Home | None = None,
    plugins: Sequence[object] = (),
) -> Run:
    """Start an experiment in a supervisor of its own and return as soon as that has begun.

    Args:
        spec: a spec file, or the same as a mapping.
        params: values for the spec's `params`, by name or as texts `name=value`.
        sets: changes to any field, as texts `path.to.key=value`.
        only: the tasks to run, alone.
        options: what to use instead of fields of the spec's `run` section.
        key: names the logical run.
        if_running: what to do when one with the same key (or name) is not over: `fail` (the default
            with a key), `skip` (return that one) or `replace` it.
        home: instead of `$NEMORUN_HOME`.
        plugins: besides those of the spec, made already or as `{"uses": …, "with": …}`.

    Raises:
        SpecError: with all problems of the spec, a missing secret included.
        UsageError: a plugin raised.
        EngineError: an engine that it needs is absent, down or refuses.
        RunningError: `if_running` is `fail`, and one is running.
    """
    from nemorun_cli import executors, load, start  # noqa: PLC0415 - heavy, and only for starting

    home = home or Home.from_environment()
    supervisor = start.Supervisor()  # it gets ready while the spec is being checked
    try:
        texts = (
            [f"{name}={json.dumps(value)}" for name, value in params.items()]
            if isinstance(params, dict)
            else list(params)
        )
        document = load.read(
            spec,
            params=texts,
            sets=[*sets, *(f"run.{name}={json.dumps(value)}" for name, value in (options or {}).items())],
            only=only,
            executors=executors.known(ask=True),
            home=home,
        )
        if plugins:
            from nemorun_cli.plugins import launching  # noqa: PLC0415 - only where there are some

            document = replace(document, plugins=launching.given(plugins))
        return launch(document, supervisor=supervisor, home=home, key=key, if_running=if_running)
    except BaseException:
        supervisor.abandon()
        raise


def launch(
    document: Document,
    *,
    supervisor: Supervisor,
    home: Home,
    key: str | None = None,
    if_running: IfRunning | None = None,
) -> Run:
    """Create the experiment of a document and hand it to a supervisor; see `run`."""
    from nemorun_cli import creation, keys, secret_values, start  # noqa: PLC0415 - only for starting

    identity = creation.tentative(document, home)
    spec = creation.resolve(document, identity)
    values = secret_values.resolve(spec, document)
    ask_engines(spec)
    if key == "":
        raise UsageError("the key is empty", hint="is a variable of the script unset?")
    policy = if_running or ("fail" if key else None)
    with keys.hold(home, key=key, name=document.name) if policy else contextlib.nullcontext() as holding:
        if holding and (running := [one for one in holding.ids() if _is_running(one, home)]):
            present = find(running[-1], home=home)
            if policy == "fail":
                raise RunningError(f"{present.id} is running", hint=f"see it with: exp status {present.id}")
            if policy == "skip":
                supervisor.abandon()
                return present
            if running and any(task.packager for task in spec.tasks):
                from nemorun_cli import packaging  # noqa: PLC0415 - only for who ships

                packaging.look(spec, document, home)  # what forbids it is told before anything is ended
            for one in running:
                replaced = find(one, home=home)
                replaced.cancel()
                replaced.wait()  # for its handlers, which may clean up what the new one needs
        files, spec = creation.create(document, spec, identity, home=home, by=start.who(), key=key)
        if holding:
            holding.add(files.id)
        supervisor.go(files, home=home.directory, secrets=values)
    return Run(files, home, set(values.values()))


def ask_engines(spec: Spec) -> None:
    """Fail now, and not after hours in a queue, if an engine cannot do what the spec wants."""
    from nemorun_cli import executors  # noqa: PLC0415 - only for starting

    if ill := [one for one in executors.ask(spec) if not one.is_well]:
        told = "; ".join(f"{one.engine}: {one.message}" for one in ill)
        remedies = dict.fromkeys(one.remedy for one in ill if one.remedy)
        raise EngineError(told, hint="; ".join(remedies) or None)


def _is_running(experiment_id: str, home: Home) -> bool:
    files = home.experiment(experiment_id)
    return files is not None and Run(files, home).status().status is ExperimentStatus.RUNNING
