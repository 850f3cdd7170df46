"""The lifecycle of a record in this process: `experiment.run`."""

from __future__ import annotations

import contextlib
import errno
import os
import signal
import sys
import warnings
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Generic, Protocol, TypeVar

from nemorun_cli.errors import StateError, UsageError
from nemorun_cli.model.bounded_text import bounded, shown
from nemorun_cli.model.status import ExperimentStatus as Status
from nemorun_cli.system.files import descriptor_to_append, make_folder, write_whole
from nemorun_cli.tracking import assignments, foreign_calls
from nemorun_cli.tracking.process import exit_hooks, failure, process_info
from nemorun_cli.tracking.store.json_values import dump
from nemorun_cli.tracking.store.record_paths import REGISTER
from nemorun_cli.tracking.store.sessions import OpenSession

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from nemorun_cli.tracking.metrics import Metrics
    from nemorun_cli.tracking.outbox.shipping import Shipping
    from nemorun_cli.tracking.store.discarded import DiscardedSession
    from nemorun_cli.tracking.store.record_paths import Place
    from nemorun_cli.tracking.store.row_writer import Writer


class Recorded(Protocol):
    """The attributes of an experiment that its lifecycle uses; `Experiment` describes them."""

    place: Place
    resume: str
    writer: Writer
    metrics: Metrics

    @property
    def prefix(self) -> str:
        """The path of the record, under the folder of all records."""

    @property
    def about(self) -> dict[str, Any]:
        """The description stored with each opening of the record."""

    @property
    def shipping(self) -> Shipping | None:
        """How a copy of the record reaches a server."""

    def move(self, prefix: str) -> None:
        """Use another prefix, before the record is opened."""

    def announce(self) -> None:
        """Print where the record is, if the program did not choose its prefix."""


_NO_FOLDER: Final = frozenset(  # the folder is wrong, rather than the disk full
    {errno.ENOENT, errno.ENOTDIR, errno.EEXIST, errno.EACCES, errno.EPERM, errno.EROFS, errno.ENAMETOOLONG}
)

Owner = TypeVar("Owner", bound=Recorded)


class Lifecycle(assignments.CheckedAttributes, Generic[Owner]):
    """Start and end of an experiment's record.

    As a context manager, it starts the record and ends it with the result of the block; as a decorator, it
    does so around each call.
    """

    label = "experiment.run"
    settable = frozenset({"prefix", "last_status"})

    finish = foreign_calls.of_a_run("experiment.run.complete()", of="a name of wandb")
    log = foreign_calls.of_a_run('experiment.metrics("train").log(loss=0.5)', of="a name of wandb")
    config = foreign_calls.of_a_run("experiment.params.set(lr=0.1)", of="a name of wandb")
    summary = foreign_calls.of_a_run('experiment.metrics("train").stats()', of="a name of wandb")
    info = foreign_calls.of_a_run("experiment.run.opening, or experiment.prefix", of="a name of MLflow")

    def __init__(self, experiment: Owner) -> None:
        self._experiment = experiment
        self._session: OpenSession | DiscardedSession | None = None
        self.last_status: str | None = None  # of the latest opening in this process, as far as it knows
        self._pid = 0  # of the process that opened the record
        self._shipping: Shipping | None = None  # of the current opening

    @property
    def prefix(self) -> str:
        """The path of the record; it can be set until the record is opened."""
        return self._experiment.prefix

    @prefix.setter
    def prefix(self, value: str) -> None:
        self._experiment.move(value)

    @property
    def is_open(self) -> bool:
        """Whether the record accepts data."""
        return self._session is not None and self._experiment.writer.name is not None

    @property
    def _is_child(self) -> bool:
        """Whether another process controls the end of the record, or this is a copy that does not."""
        return os.getpid() != self._pid

    def __getstate__(self) -> dict[str, Any]:
        """A copy logs to the same opening, and cannot end it."""
        return {**self.__dict__, "_pid": 0}

    @property
    def opening(self) -> str | None:
        """The id of the current opening, or None."""
        return self._session.id if self._session and self.is_open else None

    def start(self) -> Owner:
        """Open the record: it is RUNNING.

        Raises:
            StateError: it is already open.
            NotFoundError: `resume="must"`, and the record does not exist.
            UsageError: `resume="never"`, and the record exists; or its folder cannot be created.
            EngineError: the server has to be asked for `resume`, and does not answer.
            OSError: the disk is full, or fails.
        """
        if self.is_open:
            raise StateError(f"the record {self._experiment.prefix!r} is already running")
        experiment = self._experiment
        process: dict[str, Any] | None = None
        shipped: dict[str, Any] = {}
        shipping: Shipping | None = None
        session: OpenSession | DiscardedSession
        if experiment.writer.is_off:
            from nemorun_cli.tracking.store.discarded import DiscardedSession  # noqa: PLC0415 - rarely needed

            session = DiscardedSession(experiment.place)
        else:
            process = process_info.of_process(os.environ)
            if experiment.shipping is not None:
                shipped = experiment.shipping.prepare(experiment.place, experiment.resume)
            shipping = experiment.shipping if shipped else None
            about = {**experiment.about, **shipped}
            try:
                session = OpenSession.start(
                    experiment.place,
                    resume=experiment.resume,
                    about=about,
                    process=process,
                    announces=None if shipping is None else partial(shipping.announce, experiment.place),
                )
            except (OSError, StateError) as error:
                problem = _folder_problem(error, experiment.place.root)
                if problem is None:
                    raise
                raise UsageError(
                    f"the record {experiment.prefix!r} cannot be created in {experiment.place.root}:"
                    f" {problem}",
                    hint="choose another folder with dash_root or EXP_DASH_ROOT",
                ) from None
        self._session = session
        self._pid = os.getpid()
        self.last_status = str(session.status)
        experiment.writer.open(session.id, session.presence())
        exit_hooks.watch(self)
        self._shipping = shipping
        if shipping is not None:
            shipping.opened(experiment.place, session.id)
        if isinstance(session, OpenSession) and process is not None:
            _register(session)
            if not process["rank"]:  # rank 0 records it for all ranks
                _record_environment(session, process)
            experiment.announce()
        return experiment

    def complete(self) -> None:
        """End the record as COMPLETED.

        Raises:
            StateError: it is not running.
        """
        self._end(Status.COMPLETED, exit_code=0)

    def fail(self, reason: str | BaseException | None = None) -> None:
        """End the record as FAILED, with a reason, an exception, or the exception being handled.

        Args:
            reason: a text to display, or the exception. In an `except` block, the exception that is handled
                is recorded in either case.

        Raises:
            TypeError: the reason is something else. The record stays open.
            StateError: it is not running.
        """
        error = reason if isinstance(reason, BaseException) else sys.exception()
        details = {} if error is None else failure.details_of(error)
        if not isinstance(reason, BaseException) and (text := _reason("fail", reason)):
            details["message"] = text
        self._end(Status.FAILED, **details)

    def cancel(self, reason: str | None = None) -> None:
        """End the record as CANCELLED.

        Raises:
            TypeError: the reason is not a text. The record stays open.
            StateError: it is not running.
        """
        self._end(Status.CANCELLED, message=_reason("cancel", reason))

    def __enter__(self) -> Owner:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._session is None:  # the block ended the record itself
            return
        status, details = failure.verdict_of(error)
        try:
            self._end(status, is_interrupted=isinstance(error, KeyboardInterrupt), **details)
        except (OSError, StateError) as fault:
            if error is None:
                raise
            error.add_note(f"the record {self._experiment.prefix!r} also could not be closed: {fault}")

    def __call__(
        self, function: Callable[..., Any] | None = None, /, *_: Any, **__: Any
    ) -> Callable[..., Any]:
        """Wrap a function so that the record is open during each call.

        Raises:
            TypeError: no function is given, as in `exp.run()` of NeMo-Run.
        """
        if not callable(function) or _ or __:
            raise foreign_calls.started()
        from nemorun_cli.tracking.decorator import wrap  # noqa: PLC0415 - it needs inspect, which is slow to import

        return wrap(function, lambda: self, params=False)

    def _end(self, status: Status, *, is_interrupted: bool = False, **details: Any) -> None:
        session = self._session
        if session is None:
            raise StateError(
                f"the record {self._experiment.prefix!r} is not running, so it cannot become {status}",
                hint="experiment.run.start() opens it",
            )
        is_removed, lost = False, None
        try:
            self._experiment.metrics.finish()
        finally:
            lost = self._experiment.writer.secure()
            if lost and status is Status.COMPLETED:
                status, details = Status.FAILED, {"message": lost}
            if not self._is_child:  # otherwise close only the files of this process, or of this copy
                is_removed = session.is_removed
                session.end(status, **details)
                self.last_status = str(status)
            self._close()
        if self._shipping is not None and not self._is_child and not is_removed:
            self._shipping.ended(session.place, session.id, is_interrupted=is_interrupted)
        if is_removed:
            raise StateError(
                f"the folder of the record {self._experiment.prefix!r} was removed while it was open:"
                " what was logged is lost",
                hint="remove a record when it has ended",
            )
        if lost:
            raise StateError(lost, hint="move or remove parts of a record when it has ended")

    def _close(self) -> None:
        self._session = None
        self._experiment.writer.close()
        exit_hooks.release(self)

    def exited(self, error: BaseException | None) -> None:
        """Called when the interpreter exits without an explicit end of the record: record what is known."""
        if self._session is None:
            return
        status, details = failure.verdict_of(error) if error else (Status.COMPLETED, {})
        self._end(
            status,
            **details,
            note="the program did not end the record; its status was determined when the interpreter exited",
        )

    def terminated(self, signal_number: int) -> None:
        """Called on a termination signal: the record is CANCELLED, unless this is a forked child."""
        if self._session is not None and not self._is_child:
            name = signal.Signals(signal_number).name
            self._end(Status.CANCELLED, is_interrupted=True, signal=name, message=f"ended by {name}")

    def forked(self) -> None:
        """Called in a forked child: continue in separate files; the parent still ends the record."""
        if self._session is not None:
            self._session.release()
        self._experiment.writer.forked()


def _folder_problem(error: Exception, root: str) -> str | None:
    """Why no record can be created in a folder of records, if that is why it could not be opened."""
    fault = error.__cause__ if isinstance(error, StateError) else error
    if not isinstance(fault, OSError) or fault.errno not in _NO_FOLDER:
        return None
    if isinstance(error, StateError) and os.path.isdir(root):  # the record was removed meanwhile
        return None
    return f"{fault.strerror}: {fault.filename}"


def _reason(call: str, reason: object) -> str | None:
    """The reason that a call was given, as it is kept."""
    if reason is not None and not isinstance(reason, str):
        raise TypeError(
            f"{call}() takes a reason as a text, not {type(reason).__qualname__}: {shown(reason)}"
        )
    return None if reason is None else bounded(reason)


def _register(session: OpenSession) -> None:
    """Inside a task, report the record, which may be in any folder, to the supervisor.

    This helps to find the record and to close it after a crash. A failure to report it is ignored.
    """
    output_file = os.environ.get("EXP_OUTPUT")
    if not output_file:
        return
    place = session.place
    line = dump({"dash_root": place.root, "prefix": place.prefix, "opening": session.id})
    with contextlib.suppress(OSError):
        descriptor = descriptor_to_append(f"{os.path.dirname(output_file)}/{REGISTER}")
        try:
            os.write(descriptor, f"{line}\n".encode("ascii"))
        finally:
            os.close(descriptor)


def _record_environment(session: OpenSession, process: dict[str, Any]) -> None:
    """Record packages and uncommitted changes for the opening.

    They help to repeat a run. A failure to record them is only a warning.
    """
    from nemorun_cli.tracking.process import git_state  # noqa: PLC0415 - not needed by readers

    place = session.place
    try:
        make_folder(place.environment)
        write_whole(place.packages(session.id), f"{dump(process_info.packages())}\n".encode("ascii"))
        if process["git"] and process["git"]["folder"]:
            git_state.take_diff(process["git"]["folder"], place.diff(session.id))
    except OSError as error:
        with contextlib.suppress(Exception):  # stderr may be closed, or warnings be errors
            warnings.warn(
                f"packages and uncommitted changes were not recorded: {error}", RuntimeWarning, stacklevel=4
            )
