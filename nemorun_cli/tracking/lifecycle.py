"""The life of a record in this process: `experiment.run`."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import warnings
from typing import TYPE_CHECKING, Any, Final, Generic, Protocol, TypeVar

from nemorun_cli.errors import StateError
from nemorun_cli.model.status import ExperimentStatus as Status
from nemorun_cli.tracking.process import exit_hooks, process_info
from nemorun_cli.tracking.store.json_values import dump
from nemorun_cli.tracking.store.record_paths import FILE_MODE, REGISTER, make_folder, write_aside
from nemorun_cli.tracking.store.sessions import OpenSession

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from nemorun_cli.tracking.metrics import Metrics
    from nemorun_cli.tracking.store.record_paths import Place
    from nemorun_cli.tracking.store.row_files import Writer

MAX_TRACEBACK: Final = 65_536  # characters of a traceback that are kept, its end


class Recorded(Protocol):
    """What a record's lifecycle needs of an experiment; see `Experiment` for what each is."""

    place: Place
    resume: str
    writer: Writer
    metrics: Metrics

    @property
    def prefix(self) -> str:
        """Where the record is, under the folder of all records."""

    @property
    def about(self) -> dict[str, Any]:
        """What the record is described as when it is opened."""


Owner = TypeVar("Owner", bound=Recorded)


class Lifecycle(Generic[Owner]):
    """Start and end of an experiment's record.

    As a context manager it starts the record and ends it as the block ended; as a decorator it
    does so around each call.
    """

    def __init__(self, experiment: Owner) -> None:
        self._experiment = experiment
        self._holder: OpenSession | None = None
        self._pid = 0  # of the process that opened it

    @property
    def is_open(self) -> bool:
        """Whether the record takes what is logged."""
        return self._holder is not None

    @property
    def _is_child(self) -> bool:
        """Whether this process was forked from the one that opened the record, whose life it is."""
        return os.getpid() != self._pid

    @property
    def opening(self) -> str | None:
        """The id of the present opening, or None."""
        return self._holder.id if self._holder else None

    def start(self) -> Owner:
        """Open the record: it is RUNNING.

        Raises:
            StateError: it is open already.
            NotFoundError: `resume="must"`, and there is none.
            UsageError: `resume="never"`, and there is one.
        """
        if self._holder is not None:
            raise StateError(f"the record {self._experiment.prefix!r} is running already")
        experiment = self._experiment
        process = process_info.of_process(os.environ)
        holder = OpenSession.start(
            experiment.place, resume=experiment.resume, about=experiment.about, process=process
        )
        self._holder = holder
        self._pid = os.getpid()
        experiment.writer.open(holder.id)
        exit_hooks.watch(self)
        _register(holder)
        if not process["rank"]:  # one of the ranks is enough
            _keep_environment(holder, process)
        return experiment

    def complete(self) -> None:
        """End the record as COMPLETED.

        Raises:
            StateError: it is not running.
        """
        self._end(Status.COMPLETED, exit_code=0)

    def fail(self, reason: str | BaseException | None = None) -> None:
        """End the record as FAILED, with a reason, an exception, or the one that is being handled.

        Raises:
            StateError: it is not running.
        """
        error = reason if isinstance(reason, BaseException) else sys.exception()
        message = reason if isinstance(reason, str) else None
        self._end(Status.FAILED, **_failure(error), **({"message": message} if message else {}))

    def cancel(self, reason: str | None = None) -> None:
        """End the record as CANCELLED.

        Raises:
            StateError: it is not running.
        """
        self._end(Status.CANCELLED, message=reason)

    def __enter__(self) -> Owner:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._holder is None:  # the block itself said how it ended
            return
        status, details = verdict_of(error)
        try:
            self._end(status, **details)
        except OSError as failure:
            if error is None:
                raise
            error.add_note(f"and the record {self._experiment.prefix!r} could not be closed: {failure}")

    def __call__(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """The function with the record open around each of its calls."""
        from nemorun_cli.tracking.decorator import wrap  # noqa: PLC0415 - it needs inspect, which is slow to import

        return wrap(function, lambda: self, params=False)

    def _end(self, status: Status, **details: Any) -> None:
        holder = self._holder
        if holder is None:
            raise StateError(
                f"the record {self._experiment.prefix!r} is not running, so it cannot become {status}",
                hint="experiment.run.start() opens it",
            )
        try:
            self._experiment.metrics.finish()
        finally:
            if (
                not self._is_child
            ):  # else the record is the parent's, and only this process's own files are closed
                holder.end(status, **details)
            self._closed()

    def _closed(self) -> None:
        self._holder = None
        self._experiment.writer.close()
        exit_hooks.release(self)

    def exited(self, error: BaseException | None) -> None:
        """The interpreter ends and nobody said how the record did: say what is known."""
        if self._holder is None:
            return
        status, details = verdict_of(error) if error else (Status.COMPLETED, {})
        self._end(
            status,
            **details,
            note="the program did not say how it ended; this was seen when its interpreter did",
        )

    def terminated(self, signal_number: int) -> None:
        """The process was told to end: the record is CANCELLED. In a child it stays the parent's."""
        if self._holder is not None and not self._is_child:
            name = signal.Signals(signal_number).name
            self._end(Status.CANCELLED, signal=name, message=f"ended by {name}")

    def forked(self) -> None:
        """Go on in files of one's own; the record's life stays the parent's."""
        if self._holder is not None:
            self._holder.release()
        self._experiment.writer.forked()
        self._experiment.metrics.forked()


def verdict_of(error: BaseException | None) -> tuple[Status, dict[str, Any]]:
    """What a record becomes whose block was left by this exception, or by none, and the details."""
    if error is None or isinstance(error, GeneratorExit):  # a generator that its consumer had enough of
        return Status.COMPLETED, {"exit_code": 0}
    if isinstance(error, SystemExit):
        code = error.code if isinstance(error.code, int) else int(error.code is not None)
        message = error.code if isinstance(error.code, str) else f"sys.exit({code})"
        return (
            (Status.FAILED, {"exit_code": code, "message": message})
            if code
            else (Status.COMPLETED, {"exit_code": 0})
        )
    if isinstance(error, KeyboardInterrupt):
        return Status.CANCELLED, {"signal": "SIGINT", "message": "interrupted"}
    asyncio = sys.modules.get("asyncio")
    if asyncio is not None and isinstance(error, asyncio.CancelledError):
        return Status.CANCELLED, {"message": "the asyncio task was cancelled"}
    return Status.FAILED, _failure(error)


def _failure(error: BaseException | None) -> dict[str, Any]:
    if error is None:
        return {}
    import traceback  # noqa: PLC0415 - needed only where something failed

    text = "".join(traceback.format_exception(error))
    last = traceback.format_exception_only(error)[-1].strip()
    kind = type(error)
    return {
        "exit_code": 1,
        "message": last,
        "error": {
            "type": kind.__qualname__
            if kind.__module__ == "builtins"
            else f"{kind.__module__}.{kind.__qualname__}",
            "message": last.partition(": ")[2],
            "traceback": text[-MAX_TRACEBACK:],
        },
    }


def _register(holder: OpenSession) -> None:
    """Inside a task, tell its supervisor of the record, which may lie anywhere.

    It helps to find the record and to close it after a crash; that it cannot be told is no reason not to run.
    """
    outputs = os.environ.get("EXP_OUTPUT")
    if not outputs:
        return
    place = holder.place
    line = dump({"dash_root": place.root, "prefix": place.prefix, "opening": holder.id})
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC
    with contextlib.suppress(OSError):
        descriptor = os.open(f"{os.path.dirname(outputs)}/{REGISTER}", flags, FILE_MODE)
        try:
            os.write(descriptor, f"{line}\n".encode("ascii"))
        finally:
            os.close(descriptor)


def _keep_environment(holder: OpenSession, process: dict[str, Any]) -> None:
    """Keep packages and uncommitted changes beside the opening.

    They help to repeat a run; that they cannot be kept is no reason not to run.
    """
    from nemorun_cli.tracking.process import git_state  # noqa: PLC0415 - who only reads needs none of it

    place = holder.place
    try:
        make_folder(place.environment)
        write_aside(place.packages(holder.id), f"{dump(process_info.packages())}\n".encode("ascii"))
        if process["git"] and process["git"]["folder"]:
            git_state.take_diff(process["git"]["folder"], place.diff(holder.id))
    except OSError as error:
        warnings.warn(
            f"packages and uncommitted changes were not recorded: {error}", RuntimeWarning, stacklevel=4
        )
