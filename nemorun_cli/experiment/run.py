"""Experiments from Python: find one, query, cancel or resume it. The command line is built on this."""

from __future__ import annotations

import itertools
import re
import time
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final

from nemorun_cli.errors import (
    AmbiguousError,
    EngineError,
    LedgerError,
    LockHeldError,
    NotFoundError,
    NotOverError,
    UsageError,
)
from nemorun_cli.model.status import ExperimentStatus
from nemorun_cli.storage import creation_mark, ledger, spec_copies
from nemorun_cli.storage.paths import ExperimentFiles, Home, age_key, skip
from nemorun_cli.system.files import open_to_read
from nemorun_cli.views.observe import look

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from nemorun_cli.experiment.change_spec import SpecChange
    from nemorun_cli.model.spec import Spec
    from nemorun_cli.scheduler.resume_plan import Decision
    from nemorun_cli.spec.document import Document
    from nemorun_cli.supervisor.assignment import ResumeRequest
    from nemorun_cli.views.snapshot import Snapshot

LATEST: Final = "latest"
LONGEST_LINE: Final = 1 << 20  # bytes that are read of the first line of a ledger

_WORD: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}", re.ASCII)  # an id, or a prefix of one


@dataclass(frozen=True, slots=True)
class Run:
    """A handle of one experiment: its files, and the values that must not be shown.

    `secrets` are the values that this process resolved to start or resume it.
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
        """The folder of the experiment."""
        return self.files.directory

    def status(self, *, observe: bool = True, others: bool = False) -> Snapshot:
        """The current state of the experiment; with `observe`, the state of live tasks is also polled.

        With `others`, that holds for the backends of an experiment that this home did not create, too: its
        folder may name any host.
        """
        return look(self.files, home=self.home.directory, observe=observe, others=others)

    def spec(self) -> Spec:
        """The spec as resolved when the experiment was created."""
        return spec_copies.read_spec(self.files)

    def wait(
        self,
        *,
        timeout: float | None = None,
        report: Callable[[str], None] = lambda _: None,
        others: bool = False,
    ) -> Snapshot:
        """Wait until the experiment is no longer running.

        Args:
            timeout: seconds; None waits forever.
            report: called with a message if the supervisor does not respond, and when it responds again.
            others: see `status`.

        Raises:
            NotOverError: the experiment is still running after the timeout.
            UsageError: this home did not create the experiment, so that its backends are not asked.
        """
        from nemorun_cli.views.follow import Watch  # noqa: PLC0415 - not for a single poll

        deadline = None if timeout is None else time.monotonic() + timeout
        with Watch(self.files, self.home, others=others) as watch:
            while True:
                snapshot = watch.look()
                if watch.notice:
                    report(f"{self.id}: {watch.notice}")
                if snapshot.status is not ExperimentStatus.RUNNING:
                    return snapshot
                remaining = None if deadline is None else deadline - time.monotonic()
                if remaining is not None and remaining <= 0:
                    raise NotOverError(f"{self.id} is still running after {timeout:g} s")
                watch.pause(limit=remaining)

    def cancel(
        self,
        tasks: Sequence[str] = (),
        *,
        signal: str | None = None,
        grace: float | None = None,
        abandon: bool = False,
        others: bool = False,
    ) -> Snapshot:
        """Cancel tasks (default: the whole experiment) and return when they have terminated.

        Args:
            tasks: ids of tasks or groups, globs, or their unique beginnings.
            signal: instead of each task's `stop_signal`.
            grace: seconds until KILL, instead of each task's `stop_grace`.
            abandon: record CANCELLED without confirmation from the engine.
            others: see `status`.

        Raises:
            UsageError: this home did not create the experiment, so that its backends are not asked.
            NotOverError: some tasks, which the message names, are still running, or the supervisor does not
                respond.
            EngineError: the experiment runs on another host.
        """
        from nemorun_cli.experiment.cancel import cancel  # noqa: PLC0415 - only writers pay for its imports

        return cancel(
            self.files, self.home, tasks, signal=signal, grace=grace, abandon=abandon, others=others
        )

    def resume(
        self,
        *,
        below: Sequence[str] = (),
        host_is_gone: bool = False,
        document: Document | None = None,
        accept_changes: bool = False,
    ) -> bool:
        """Continue the experiment in a new supervisor; returns whether there was anything to do.

        Args:
            below: tasks to run again even if they succeeded, with all that depend on them.
            host_is_gone: treat the original host as lost, with everything that ran on it.
            document: a changed spec, from `load.changed` or `load.again`.
            accept_changes: whether tasks that ran may be changed and run again.

        Raises:
            UntrustedError: another user, or everybody, may change what it runs.
            SpecError: a secret is missing.
            UsageError: the change is refused, the experiment is running, or an abandoned attempt is alive.
            EngineError: it runs on another host, or the state of an abandoned attempt is unknown.
            LockHeldError: its supervisor is stopped, or another command, such as a cancel, works on it.
        """
        from nemorun_cli.scheduler import resume_plan  # noqa: PLC0415 - only for a resume
        from nemorun_cli.scheduler.schedule import Schedule  # noqa: PLC0415 - the same
        from nemorun_cli.spec import secret_values, secret_warnings  # noqa: PLC0415 - the same
        from nemorun_cli.storage import requests  # noqa: PLC0415 - the same
        from nemorun_cli.supervisor.assignment import ResumeRequest  # noqa: PLC0415 - the same
        from nemorun_cli.system.files import read_bytes  # noqa: PLC0415 - the same

        self.files.require_trusted_programs()
        by = requests.who()
        self._adopt(host_is_gone=host_is_gone)
        snapshot = self.status()
        self.require_gone(snapshot, host_is_gone=host_is_gone)
        if snapshot.supervisor == "alive":
            if document is not None:
                raise self._is_busy()
            return False
        if document is not None:
            from nemorun_cli import executors  # noqa: PLC0415 - only for a changed spec
            from nemorun_cli.experiment import change_spec  # noqa: PLC0415 - the same

            change = change_spec.order(
                self.files, self.home, document, snapshot, below=below, accepts=accept_changes
            )
            if change is None:
                return False
            creation_mark.write(self.home, self.files, change.spec)
            values = secret_values.resolve(change.spec, document)
            stored = (
                read_bytes(self.files.source).decode(errors="replace") if self.files.source.exists() else ""
            )
            secret_warnings.refuse_in_params(document, values, stored=stored)
            executors.ask_engines(change.spec)
            with change.written(by) as planned:
                request = replace(planned, host_is_gone=host_is_gone, seen=snapshot.history.resumed)
                if not self._go(request, values, change.spec):
                    raise self._is_busy()
            return True
        names = snapshot.match_tasks(below)
        decisions = self.plan_resume(below=names, snapshot=snapshot)
        if resume_plan.is_pointless(snapshot.history, decisions):
            return False
        resume_plan.refuse_late(Schedule(snapshot.spec, snapshot.history), decisions)
        values = secret_values.resolve(snapshot.spec)
        request = ResumeRequest(
            by=by, seen=snapshot.history.resumed, below=tuple(names), host_is_gone=host_is_gone
        )
        return self._go(request, values, snapshot.spec)

    def _adopt(self, *, host_is_gone: bool) -> None:
        """Make the experiment one of this home, whose backends may be asked, unless it runs already."""
        snapshot = self.status(observe=False)
        if snapshot.supervisor != "alive" and (host_is_gone or snapshot.supervisor != "elsewhere"):
            creation_mark.write(self.home, self.files, snapshot.spec)

    def require_gone(self, snapshot: Snapshot, *, host_is_gone: bool = False) -> None:
        """Refuse if a task may still run on another host or after it was abandoned, or nobody drives it.

        Raises:
            LockHeldError: its supervisor is stopped.
            UsageError: an abandoned attempt is alive.
            EngineError: it ran on another host, or the state of an abandoned attempt is unknown.
        """
        from nemorun_cli.experiment import abandoned  # noqa: PLC0415 - only for a resume

        if snapshot.supervisor == "elsewhere" and not host_is_gone:
            host = snapshot.holder.host if snapshot.holder else "another host"
            raise EngineError(
                f"{self.id} ran on {host}, which may still be running it",
                hint="resume it on that host, or use --host-is-gone if the host is permanently lost",
            )
        if snapshot.supervisor == "alive":
            self._require_responding(snapshot)
        else:
            abandoned.refuse_alive(snapshot, host_is_gone=host_is_gone)

    def _require_responding(self, snapshot: Snapshot) -> None:
        """Refuse if the supervisor does not respond: nothing would continue."""
        if snapshot.stall_text:
            raise LockHeldError(f"{self.id}: {snapshot.stall_text}", hint=snapshot.stall_remedy)

    def _is_busy(self) -> UsageError:
        return UsageError(
            f"{self.id} is running: its spec cannot be changed now",
            hint=f"wait until it has finished, or cancel it: exp cancel {self.id}",
        )

    def _go(self, request: ResumeRequest, secrets: Mapping[str, str], spec: Spec) -> bool:
        from nemorun_cli.spec import secret_values  # noqa: PLC0415 - only for a resume
        from nemorun_cli.supervisor import client  # noqa: PLC0415 - only for a resume
        from nemorun_cli.supervisor.assignment import Assignment  # noqa: PLC0415 - the same

        self.secrets.update(secrets.values())
        assignment = Assignment(
            directory=self.directory,
            home=self.home.directory,
            secrets=secrets,
            sources=secret_values.sources(spec, secrets),
            resume=request,
        )
        try:
            client.take().go(assignment)
        except client.AlreadyRunning:
            return False
        return True

    def plan_change(
        self, document: Document, *, below: Sequence[str] = (), snapshot: Snapshot | None = None
    ) -> SpecChange:
        """Plan a resume with a changed spec; nothing is written.

        Raises:
            SpecError: the spec has problems.
            UsageError: it belongs to another experiment, or it changes a live task.
        """
        from nemorun_cli.experiment import change_spec  # noqa: PLC0415 - only for a resume

        return change_spec.plan(self.files, document, below=below, snapshot=snapshot or self.status())

    def plan_resume(self, *, below: Sequence[str] = (), snapshot: Snapshot | None = None) -> list[Decision]:
        """Plan what a resume would do with each task, and why; nothing is written."""
        from nemorun_cli.scheduler import resume_plan  # noqa: PLC0415 - only for a resume
        from nemorun_cli.scheduler.schedule import Schedule  # noqa: PLC0415 - the same

        current = snapshot or self.status()
        return resume_plan.decide(Schedule(current.spec, current.history), below=current.match_tasks(below))

    def logs(self, task: str, *, attempt: int | None = None) -> Path:
        """The log file of a task's attempt (default: its latest).

        Raises:
            NotFoundError: there is no such task, or it has not started.
        """
        snapshot = self.status(observe=False)
        names = snapshot.match_tasks([task])
        if len(names) != 1:
            raise AmbiguousError(f"{task!r} matches several tasks: {', '.join(names[:10])}")
        number = attempt or snapshot.history.tasks[names[0]].attempt
        path = self.files.attempt(names[0], number).log
        if not path.exists():
            raise NotFoundError(f"there is no log of attempt {number} of {names[0]}")
        return path


def find(which: str = LATEST, *, home: Home | None = None) -> Run:
    """Find an experiment by id, name (its latest), unique prefix of an id, or `latest` for the newest of all.

    If nothing else matches, it may be the title of experiments of one name.

    Raises:
        NotFoundError: none matches.
        AmbiguousError: several ids have this prefix, or experiments of several names this title; the
            message lists them.
        LedgerError: none that matches can be read.
        UsageError: the home cannot be read, or another user could have changed it.
    """
    home = trusted(home)
    if not _WORD.fullmatch(which):  # no id starts like this; often an unset variable of a script
        if titled := _by_title(which, home):
            return titled
        raise NotFoundError(f"no experiment can be called {which[:80]!r}", hint="list them with: exp list")
    if files := home.experiment(which):
        return Run(files, home)
    names = home.names()
    unreadable: list[LedgerError] = []
    files = _find(which, names, home=home, report=unreadable.append)
    if files is None and unreadable:
        raise unreadable[-1]
    for error in unreadable:
        skip(error)
    if files is not None:
        return Run(files, home)
    if which == LATEST:
        raise NotFoundError(
            f"there are no experiments under {home.directory} yet", hint="start one: exp run SPEC"
        )
    if titled := _by_title(which, home):
        return titled
    raise NotFoundError(
        f"there is no experiment {which!r} under {home.directory}", hint="list them with: exp list"
    )


def _by_title(title: str, home: Home) -> Run | None:
    """The latest experiment of the one name that experiments with this title have."""
    if not title.strip():
        return None
    from nemorun_cli.views import listing  # noqa: PLC0415 - only if nothing else matches

    names = listing.names_of_title(home, title)
    if len(names) > 1:
        raise AmbiguousError(
            f"{title!r} is the title of experiments of several names: {', '.join(names[:10])}"
        )
    return find(names[0], home=home) if names else None


def trusted(home: Home | None) -> Home:
    """The home that was given, or else `$NEMORUN_HOME`.

    Raises:
        UsageError: another user, or everybody, may change it.
    """
    if home is None:
        return Home.from_environment()
    home.require_trusted()
    return home


def _find(
    which: str, names: Sequence[str], *, home: Home, report: Callable[[LedgerError], None]
) -> ExperimentFiles | None:
    """The latest experiment of this name, the one with this prefix, or for `latest` the newest of all."""
    if which in names and (newest := _newest(home, [which], report)):
        return newest
    near = [name for name in names if which.startswith(name) or name.startswith(which)]
    ids = (run_id for _, run_id in home.readable_ids(near, report=report) if run_id.startswith(which))
    candidates = {files.id: files for files in home.readable(ids, report=report)}
    if len(candidates) > 1:
        listed = ", ".join(sorted(candidates, key=age_key)[-10:])
        raise AmbiguousError(f"{which!r} matches {len(candidates)} experiments: {listed}")
    if candidates:
        return next(iter(candidates.values()))
    return _newest(home, names, report) if which == LATEST else None


def _newest(
    home: Home, names: Sequence[str], report: Callable[[LedgerError], None]
) -> ExperimentFiles | None:
    found = (run_id for _, run_id in home.readable_ids(names, report=report))
    ids = sorted(found, key=age_key, reverse=True)
    for _, same_second in itertools.groupby(ids, key=lambda run_id: age_key(run_id)[0]):
        if newest := list(home.readable(same_second, report=report)):
            return newest[0] if len(newest) == 1 else max(newest, key=_created)
    return None


def _created(files: ExperimentFiles) -> str:
    """The exact creation time; experiments of two names may share a second."""
    try:
        with open_to_read(files.ledger, follows_link=False) as stream:
            event = ledger.parse(stream.readline(LONGEST_LINE))
    except OSError:
        return ""
    return str(event.get("time", "")) if event else ""
