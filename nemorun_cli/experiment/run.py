"""Experiments from Python: find one, query, cancel or resume it. The command line is built on this."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal

from nemorun_cli.errors import (
    AmbiguousError,
    EngineError,
    LedgerError,
    LockHeldError,
    NotFoundError,
    UnreadableWarning,
    UsageError,
)
from nemorun_cli.experiment.lookup import LATEST, find_files, listed, trusted
from nemorun_cli.storage import creation_mark, ledger, spec_copies
from nemorun_cli.storage.paths import ExperimentFiles, Home, skip
from nemorun_cli.views.observe import look

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from os import PathLike
    from pathlib import Path

    from nemorun_cli.experiment.change_spec import SpecChange
    from nemorun_cli.experiment.start import IfRunning
    from nemorun_cli.experiment.trash import Removal
    from nemorun_cli.json_documents import MetricsDocument, ParamsDocument, WhyDocument
    from nemorun_cli.model.labels import Note
    from nemorun_cli.model.spec import Spec
    from nemorun_cli.scheduler.resume_plan import Decision
    from nemorun_cli.spec.document import Document
    from nemorun_cli.supervisor.assignment import ResumeRequest
    from nemorun_cli.views.snapshot import Snapshot


@dataclass(frozen=True, slots=True, repr=False)
class Run:
    """A handle of one experiment: its files, and the values that must not be shown.

    `secrets` are the values that this process resolved to start or resume it.
    """

    files: ExperimentFiles
    home: Home
    secrets: set[str] = field(default_factory=set, compare=False)

    def __repr__(self) -> str:
        """The id and the folder, without reading the experiment."""
        return f"Run({self.id!r}, {str(self.directory)!r})"

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
        from nemorun_cli.views import follow  # noqa: PLC0415 - not for a single poll

        return follow.wait(self.files, self.home, timeout=timeout, report=report, others=others)

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
            self.files, self.home, listed(tasks), signal=signal, grace=grace, abandon=abandon, others=others
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
        from nemorun_cli.supervisor.assignment import ResumeRequest  # noqa: PLC0415 - the same
        from nemorun_cli.system import user  # noqa: PLC0415 - the same
        from nemorun_cli.system.files import read_bytes  # noqa: PLC0415 - the same

        self.files.require_trusted_programs()
        spec_copies.require_whole(self.files)
        by = user.author()
        self._adopt(host_is_gone=host_is_gone)
        snapshot = self.status()
        self.require_gone(snapshot, host_is_gone=host_is_gone)
        if snapshot.supervisor == "alive":
            if document is not None:
                raise self._is_busy()
            return False
        self._get_missing_records(snapshot)
        if document is not None:
            from nemorun_cli import executors  # noqa: PLC0415 - only for a changed spec
            from nemorun_cli.experiment import change_spec  # noqa: PLC0415 - the same

            change = change_spec.order(
                self.files, self.home, document, snapshot, below=listed(below), accepts=accept_changes
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
        names = snapshot.match_tasks(listed(below))
        decisions = self.plan_resume(below=names, snapshot=snapshot)
        if resume_plan.is_pointless(snapshot.history, decisions):
            return False
        resume_plan.refuse_late(Schedule(snapshot.spec, snapshot.history), decisions)
        values = secret_values.resolve(snapshot.spec)
        request = ResumeRequest(
            by=by, seen=snapshot.history.resumed, below=tuple(names), host_is_gone=host_is_gone
        )
        return self._go(request, values, snapshot.spec)

    def _get_missing_records(self, snapshot: Snapshot) -> None:
        """Get what other machines have recorded from the server that the spec names; warn if that fails."""
        if snapshot.spec.server is None:
            return
        from nemorun_cli.experiment import missing_records  # noqa: PLC0415 - only for specs with a server

        if (note := missing_records.get(snapshot, self.home)) is not None:
            warnings.warn(note, UnreadableWarning, stacklevel=3)

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

        return change_spec.plan(self.files, document, below=listed(below), snapshot=snapshot or self.status())

    def plan_resume(self, *, below: Sequence[str] = (), snapshot: Snapshot | None = None) -> list[Decision]:
        """Plan what a resume would do with each task, and why; nothing is written."""
        from nemorun_cli.scheduler import resume_plan  # noqa: PLC0415 - only for a resume
        from nemorun_cli.scheduler.schedule import Schedule  # noqa: PLC0415 - the same

        current = snapshot or self.status()
        return resume_plan.decide(
            Schedule(current.spec, current.history), below=current.match_tasks(listed(below))
        )

    def rerun(
        self,
        *,
        params: Mapping[str, Any] | Sequence[str] = (),
        sets: Sequence[str] = (),
        sweep: Mapping[str, Any] | Sequence[str] = (),
        only: Sequence[str] = (),
        options: Mapping[str, Any] | None = None,
        key: str | None = None,
        if_running: IfRunning | None = None,
    ) -> Run:
        """Start a new experiment from this one's copies of its spec and scripts, as `exp rerun` does.

        Returns as soon as the new one has started. What is given overrides the options of this one; for the
        arguments see `nemorun_cli.run`.

        Raises:
            SpecError: with all problems that the changes cause, a missing secret included.
            LedgerError: the copies cannot be read, or another user may change them.
            EngineError: an engine that it needs is missing, down or refuses the request.
            RunningError: `if_running` is `fail`, and an experiment is running.
        """
        from nemorun_cli.experiment import start  # noqa: PLC0415 - only for starting

        files, secrets = start.again(
            self.files,
            start.ChangedOptions(params=params, sets=sets, sweep=sweep, only=only, options=options),
            home=self.home,
            key=key,
            if_running=if_running,
        )
        return Run(files, self.home, set(secrets))

    def metrics(
        self,
        task: str | None = None,
        *,
        keys: Sequence[str] = (),
        last: int | None = None,
        attempts: int | Literal["all"] | None = None,
    ) -> MetricsDocument:
        """The metrics that its tasks logged: the document `exp.metrics/1`.

        Its `series` is a list with an entry for each series of each record: `name`, `task`, `prefix`,
        `count`, `rows` (one dict per row: the logged fields, and `_ts`, its time in Unix seconds) and
        `statistics` (by field: `count`, `last`, `min`, `max`, `mean`, …).

        Args:
            task: only this task, group or glob.
            keys: only these fields (`loss`), series (`train`) or both (`train/loss`), as globs.
            last: only so many of the last rows of each series, of which the statistics are then, too.
            attempts: `"all"` for rows that a later attempt has superseded, too; a number for those of this
                attempt.

        Raises:
            NotFoundError: there is no such task or attempt.
            UsageError: a key selects nothing, although metrics were logged.
            LedgerDamagedError: a record cannot be read.
        """
        from nemorun_cli.experiment.records import documents  # noqa: PLC0415 - imports tracking
        from nemorun_cli.experiment.records.targets import Target  # noqa: PLC0415 - the same

        chosen = Target(files=self.files, home=self.home, task=task).choose()
        all_series = documents.read_series(chosen, wanted=listed(keys), tail=last, attempts=attempts)
        return documents.metrics(all_series)

    def params(self, task: str | None = None) -> ParamsDocument:
        """The params that the experiment and its tasks recorded: the document `exp.params/1`.

        Its `records` is a list with an entry for each record: `task` (None for the experiment itself),
        `prefix`, `params` (by dotted name) and `nested`. The params of the spec alone are `spec().params`.

        Args:
            task: only this task, group or glob.

        Raises:
            NotFoundError: there is no such task.
            LedgerDamagedError: a record cannot be read.
        """
        from nemorun_cli.experiment.records import documents  # noqa: PLC0415 - imports tracking
        from nemorun_cli.experiment.records.targets import Target  # noqa: PLC0415 - the same

        return documents.params(Target(files=self.files, home=self.home, task=task).choose())

    def why(self, task: str | None = None, *, others: bool = False) -> WhyDocument:
        """Why a task is waiting, failed, was skipped or was cancelled: the document `exp.why/1`.

        Its `tasks` is a list with an entry for each task, as in `exp.status/1`, plus `causes`, `chain`,
        `log`, `attempts` and `resume`.

        Args:
            task: a task, group or glob; by default all tasks with the worst status that occurs.
            others: see `status`.

        Raises:
            NotFoundError: there is no such task.
            LedgerError: the ledger cannot be read.
        """
        from nemorun_cli.views import known_secrets  # noqa: PLC0415 - only to explain
        from nemorun_cli.views.reports import why_report  # noqa: PLC0415 - the same

        events, _ = ledger.read_settled(self.files.ledger)
        snapshot = self.status(others=others)
        secrets = known_secrets.of_experiment(self.files, snapshot.spec, snapshot.history).values()
        names = why_report.notable(snapshot) if task is None else snapshot.match_tasks([task])
        return why_report.document(snapshot, names, events, secrets={*secrets, *self.secrets})

    @property
    def tags(self) -> list[str]:
        """The tags of its spec as `tag` and `exp tag` changed them."""
        return self.status(observe=False).tags

    def tag(self, add: str | Sequence[str] = (), remove: str | Sequence[str] = ()) -> list[str]:
        """Add and remove tags, whether or not it runs; returns the tags that it has then.

        The experiment's own record gets the same tags. A tag that is removed stays so when the experiment is
        resumed.

        Args:
            add: a tag, or several.
            remove: a tag, or several; those that it does not have are left out.

        Raises:
            UsageError: a tag cannot be added, or none is given.
            LedgerError: the ledger cannot be written.
        """
        from nemorun_cli.experiment import tagging  # noqa: PLC0415 - only writers pay for its imports

        return tagging.tag(self.files, self.home, add=add, remove=remove).tags

    @property
    def notes(self) -> list[Note]:
        """Its notes, the oldest first: each has a `time`, an author `by` and a `text`."""
        return list(self.status(observe=False).history.notes)

    def note(self, text: str) -> None:
        """Add a note, whether or not it runs.

        Raises:
            UsageError: it is empty, or longer than 1 MiB.
            LedgerError: the ledger cannot be written.
        """
        from nemorun_cli.experiment import tagging  # noqa: PLC0415 - only writers pay for its imports

        tagging.note(self.files, text)

    def remove(self, *, records: bool = False) -> Removal:
        """Move the experiment to the trash of its home, from which `nemorun_cli.restore` puts it back.

        `exp gc` deletes what was removed more than 30 days ago.

        Args:
            records: whether the records that it alone wrote are removed, too.

        Raises:
            NotOverError: it runs, or may run; another experiment waits for it; or a record is being written.
            NotFoundError: it was removed already.
            UsageError: the home cannot be written.
        """
        from nemorun_cli.experiment import organize  # noqa: PLC0415 - only for a removal

        return organize.remove_experiment(self.home, self.files, records=records)

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


def find(which: str = LATEST, *, home: Home | str | PathLike[str] | None = None) -> Run:
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
    return Run(find_files(which, home), home)


def runs(
    name: str | Sequence[str] = (),
    *,
    status: str | Sequence[str] = (),
    tag: str | Sequence[str] = (),
    since: str | None = None,
    limit: int | None = None,
    home: Home | str | PathLike[str] | None = None,
) -> list[Run]:
    """The experiments that match all filters, newest first, as `exp list` shows them.

    What cannot be read is left out, with a warning (`errors.UnreadableWarning`).

    Args:
        name: a name or a glob, or several of which one matches.
        status: a status in any case, or several of which it has one.
        tag: a tag, or several which it has all.
        since: only those created within a duration (`2h`) or since a date (`2026-11-22`).
        limit: at most so many.
        home: a folder, instead of `$NEMORUN_HOME`.

    Raises:
        UsageError: there is no such status, `since` is neither, or the home cannot be read or trusted.
    """
    from nemorun_cli.views import listing  # noqa: PLC0415 - only for lists

    home = trusted(home)
    matching = listing.matching(
        home,
        names=listed(name),
        statuses=listing.statuses(listed(status), option="status"),
        tags=listed(tag),
        since=None if since is None else listing.since(since, option="since"),
    )
    found: list[Run] = []
    for summary in matching:
        if limit is not None and len(found) >= limit:
            break
        if summary.problem:
            skip(LedgerError(f"{summary.id}: {summary.problem}"))
        elif files := home.experiment(summary.id):  # None if it was removed meanwhile
            found.append(Run(files, home))
    return found
