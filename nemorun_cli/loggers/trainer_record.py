"""The record of a trainer: opened when it begins, and ended with its result."""

from __future__ import annotations

import atexit
import multiprocessing
import sys
import weakref
from typing import TYPE_CHECKING, Any, Final, Self

from nemorun_cli.errors import ExpError
from nemorun_cli.loggers.plain_params import recordable_params, recordable_row, warn
from nemorun_cli.tracking.experiment import Experiment

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Mapping

ENDED_EARLY: Final = "the program ended before the training did"


class TrainerRecord:
    """A record that is opened at its first use, unless it is open already.

    A record that the program opened stays open. One that is opened here stays open while the program may
    still use it: until it exits, or another trainer begins with another record. A trainer that fails ends
    it at once.

    Args:
        experiment: the record, or its prefix; default: as for `Experiment()`.
        options: other arguments of `Experiment`.
        is_writer: whether this process may write to the record; others check no arguments.
    """

    def __init__(
        self,
        experiment: Experiment | str | os.PathLike[str] | None,
        options: Mapping[str, Any],
        *,
        is_writer: bool,
    ) -> None:
        if isinstance(experiment, Experiment) and options:
            raise TypeError(f"an Experiment has its arguments already: {', '.join(options)} cannot be added")
        self._given = experiment
        self._options = dict(options)
        self._experiment: Experiment | None = None
        self._opened_here = False
        self._is_running = False  # whether a trainer has begun and not ended
        self._was_opened = False
        self._warnings: set[str] = set()  # each is given once
        if is_writer:
            _ = self.experiment  # wrong arguments are reported where they are written

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        """A copy of a trainer writes to the same record."""
        return self

    def __getstate__(self) -> dict[str, Any]:
        """What another process needs to open the record itself."""
        experiment = self.experiment
        arguments = {**experiment.about, "dash_root": experiment.dash_root}
        arguments["print_logs"] = self._options.get("print_logs", True)
        return {"prefix": experiment.prefix, "arguments": arguments}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(state["prefix"], state["arguments"], is_writer=False)  # type: ignore[misc] # that of this class

    @property
    def experiment(self) -> Experiment:
        """The record, open or closed."""
        if self._experiment is None:
            given = self._given
            self._experiment = given if isinstance(given, Experiment) else Experiment(given, **self._options)
        return self._experiment

    @property
    def is_running(self) -> bool:
        """Whether a trainer has begun and not ended."""
        return self._is_running

    def open(self) -> Experiment:
        """The record, open.

        Raises:
            ExpError: it cannot be opened; the program has recorded nothing yet.
            OSError: the same.
        """
        experiment = self.experiment
        if not experiment.run.is_open:
            for other in list(_opened):
                other.release()
            experiment.run.start()
            experiment.resume = "allow"  # `must` and `never` are about the first time
            self._opened_here = True
            _opened.add(self)
        self._was_opened = True
        return experiment

    def begin(self) -> Experiment:
        """Open the record for a trainer that begins; an earlier one that did not end has failed."""
        if self._is_running:
            self.fail(None)
        experiment = self.open()
        self._is_running = True
        return experiment

    def finish(self) -> None:
        """The trainer ended well. A process that it started may end without notice: the record ends now."""
        self._is_running = False
        if multiprocessing.parent_process() is not None:
            self.release()

    def release(self) -> None:
        """End a record that was opened here as COMPLETED, unless a trainer is using it."""
        if not self._is_running:
            self._end_here(self.experiment.run.complete)

    def fail(self, error: BaseException | None) -> None:
        """The trainer failed with this error: end a record that was opened here with its verdict."""
        self._is_running = False
        cause = error or sys.exception()
        if cause is None:
            self._end_here(lambda: self.experiment.run.fail("the trainer did not finish"))
        else:
            self._end_here(lambda: self.experiment.run.__exit__(type(cause), cause, cause.__traceback__))

    def cancel(self, reason: str) -> None:
        """The trainer was stopped: end a record that was opened here as CANCELLED."""
        self._is_running = False
        self._end_here(lambda: self.experiment.run.cancel(reason))

    def exited(self) -> None:
        """The program exits. The hooks of the record itself know the exception that ended it, if one did."""
        if getattr(sys, "last_value", None) is not None:
            return
        if self._is_running:
            self._end_here(lambda: self.experiment.run.fail(ENDED_EARLY))
        else:
            self.release()

    def _end_here(self, end: Callable[[], None]) -> None:
        """End the record in this way, if it is open and was opened here; a failure is only a warning."""
        is_ours = self._opened_here and self.experiment.run.is_open
        self._opened_here = False
        _opened.discard(self)
        if not is_ours:
            return
        try:
            end()
        except (ExpError, OSError) as error:
            self._warn(f"the end of the record {self.experiment.prefix!r} was not written: {error}")

    def log(self, series: str | None, fields: Mapping[Any, Any], step: int | None) -> None:
        """Log a row. What cannot be recorded is reported by a warning: it does not end the training."""
        row = fields if step is None else {**fields, "step": step}

        def write(experiment: Experiment) -> None:
            metric = experiment.metrics(series)
            try:
                metric.log(row)
            except (TypeError, ValueError):  # before anything was written
                metric.log(recordable_row(row))

        self._write(write, "a row of the record {} was not written")

    def set_params(self, values: object) -> None:
        """Set params. What cannot be recorded is reported by a warning: it does not end the training."""
        named = recordable_params(values)

        def write(experiment: Experiment) -> None:
            try:
                experiment.params.set(named)
            except (TypeError, ValueError):  # nothing was set: find out which of them it is
                for name, value in named.items():
                    try:
                        experiment.params.set({name: value})
                    except (TypeError, ValueError) as error:
                        self._warn(f"a hyperparameter was not recorded: {error}")

        self._write(write, "params of the record {} were not written")

    def _write(self, write: Callable[[Experiment], None], failure: str) -> None:
        """Write to the record, which is opened if needed; a failure is only a warning.

        Raises:
            ExpError: the record cannot be opened, and never was: the training has not begun.
        """
        try:
            experiment = self.open()
        except ExpError as error:
            if not self._was_opened:
                raise
            self._warn_of(failure, error)
            return
        except OSError as error:
            self._warn_of(failure, error)
            return
        try:
            write(experiment)
        except (ExpError, OSError, TypeError, ValueError) as error:
            self._warn_of(failure, error)

    def _warn_of(self, failure: str, error: Exception) -> None:
        self._warn(f"{failure.format(repr(self.experiment.prefix))}: {error}")

    def _warn(self, message: str) -> None:
        """Warn once: a record that was removed would be reported with each row."""
        if message not in self._warnings:
            self._warnings.add(message)
            warn(message)


_opened: weakref.WeakSet[TrainerRecord] = weakref.WeakSet()


@atexit.register  # after that of the records, so that it runs before it
def _at_exit() -> None:
    for record in list(_opened):
        record.exited()
