"""`ExpLogger`, for `Trainer(logger=…)` of PyTorch Lightning."""

from __future__ import annotations

import importlib
import importlib.util
import os
import signal
import sys
import threading
import weakref
from typing import TYPE_CHECKING, Any, Final

from nemorun_cli.loggers.stop_request import StopRequest
from nemorun_cli.loggers.trainer_record import TrainerRecord
from nemorun_cli.tracking.process import exit_hooks

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Callable, Mapping
    from types import FrameType

    from nemorun_cli.tracking.experiment import Experiment

NAMES: Final = ("lightning.pytorch", "pytorch_lightning")
"""The two packages that the library is published as; a program imports one of them."""


ASK_EVERY: Final = 10  # batches between which several processes ask each other


def _library() -> str:
    """The package that the program uses, or else one that is installed."""
    for name in NAMES:
        if name in sys.modules:
            return name
    for name in NAMES:
        if importlib.util.find_spec(name.partition(".")[0]) is not None:
            return name
    raise ModuleNotFoundError(
        "ExpLogger needs PyTorch Lightning, which is not installed: pip install 'nemorun-cli[lightning]'",
        name="lightning",
    )


_LIBRARY: Final = _library()
_loggers: Any = importlib.import_module(f"{_LIBRARY}.loggers.logger")
_rank: Any = importlib.import_module(f"{_LIBRARY}.utilities.rank_zero").rank_zero_only
_Callback: Any = importlib.import_module(f"{_LIBRARY}.callbacks").Callback
_Terminated: Any = importlib.import_module(f"{_LIBRARY}.utilities.exceptions").SIGTERMException


class ExpLogger(_loggers.Logger):  # type: ignore[misc] # the library need not be installed
    """Logs hyperparameters and metrics of a Lightning `Trainer` to a record.

        Trainer(logger=ExpLogger())                              # in a task of `exp run`
        Trainer(logger=ExpLogger(prefix="alice/vision/resnet"))  # elsewhere
        Trainer(logger=ExpLogger(experiment))                    # to a record that the program has

    Metrics of `fit` keep their names, in the unnamed series, with `step` and `epoch`. Those of `validate`,
    `test` and `predict` are in the series of that name, and so are those that validation logs for each batch,
    whose `step` counts its batches. Only rank 0 writes.

    When the task is stopped by its `stop`, `fit` ends after a batch, as with `trainer.should_stop`.

    Args:
        experiment: the record, or its prefix. A record that is open stays open.
        options: arguments of `Experiment`, such as `prefix`, `dash_root` and `tags`.

    Raises:
        TypeError: an argument is unknown, or an `Experiment` is given with other arguments.
        InvalidValueError: the prefix could leave the root.
    """

    def __init__(self, experiment: Experiment | str | os.PathLike[str] | None = None, **options: Any) -> None:
        super().__init__()
        self._record = TrainerRecord(experiment, options, is_writer=not _rank.rank)
        self._module: weakref.ref[Any] | None = None  # knows its trainer, which knows what it does

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_module": None}

    @property
    def experiment(self) -> Any:
        """The record, open, for calls such as `logger.experiment.files`; on other ranks a dummy."""
        return _loggers.DummyExperiment() if _rank.rank else self._record.open()

    @property
    def name(self) -> str:
        """The prefix of the record; Lightning names the folder of checkpoints after it."""
        return "" if _rank.rank else self._record.experiment.prefix

    @property
    def version(self) -> str:
        """Empty: a further attempt has the same folder of checkpoints."""
        return ""

    @property
    def save_dir(self) -> str:
        """The current folder: Lightning puts checkpoints below it, unless it gets another one."""
        return os.curdir

    def log_metrics(self, metrics: Mapping[str, Any], step: int | None = None) -> None:
        """Log a row of metrics."""
        if not _rank.rank:
            self._record.log(self._series(metrics), metrics, step)

    def log_hyperparams(
        self, params: Mapping[str, Any] | Namespace | None = None, *args: Any, **kwargs: Any
    ) -> None:
        """Record hyperparameters as params; an object that is no plain value becomes a text."""
        del args, kwargs  # of other loggers
        if not _rank.rank and params is not None:
            self._record.set_params(params)

    def log_graph(self, model: Any, input_array: Any = None) -> None:
        """Called when `fit`, `validate`, `test` or `predict` begins: the graph itself is not recorded."""
        del input_array
        self._module = weakref.ref(model)
        trainer = self._trainer()
        is_used = trainer is not None and trainer.state.status == "running"  # programs may call this, too
        if is_used and trainer.state.fn.value == "fit":
            _end_when_stopped(trainer)
        if is_used and not self._record.is_running and not _rank.rank:
            self._record.begin()
            _yield_sigterm()

    def finalize(self, status: str) -> None:
        """Called when `fit`, `validate`, `test` or `predict` has ended; `finished` is no end."""
        error = sys.exception()
        if _rank.rank or status == "finished":  # before Slurm stops the job and queues it again
            return
        if status == "success":
            self._record.finish()
        elif isinstance(error, _Terminated):
            self._record.cancel("ended by SIGTERM")
        else:
            self._record.fail(error)

    def _trainer(self) -> Any:
        """The trainer that uses this logger; None before the first one."""
        module: Any = self._module and self._module()
        return getattr(module, "_trainer", None)

    def _series(self, metrics: Mapping[str, Any]) -> str | None:
        """The series of a row: that of the trainer's method, unless its `step` is that of the training."""
        trainer = self._trainer()
        function = trainer.state.fn if trainer else None
        if function is None:
            return None
        if function.value != "fit":
            return str(function.value)
        return "validate" if trainer.evaluating and "epoch" not in metrics else None


class _StopCallback(_Callback):  # type: ignore[misc] # the library need not be installed
    """Ends a training when its task is stopped; all its processes after the same batch."""

    def __init__(self) -> None:
        self._request = StopRequest()

    def on_train_start(self, trainer: Any, pl_module: Any) -> None:
        """Handle the stop signal in place of Lightning, whose handlers are set now."""
        del trainer, pl_module
        self._request.listen()

    def on_train_batch_end(
        self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """End the training if that is requested."""
        del pl_module, outputs, batch
        if trainer.world_size == 1:
            is_requested = self._request.is_made
        elif batch_idx % ASK_EVERY:
            return
        else:
            is_requested = trainer.strategy.reduce_boolean_decision(self._request.is_made, all=False)
        if is_requested:
            trainer.should_stop = True

    def teardown(self, trainer: Any, pl_module: Any, stage: str) -> None:
        """Handle signals as before."""
        del trainer, pl_module, stage
        self._request.close()


def _end_when_stopped(trainer: Any) -> None:
    if not any(isinstance(each, _StopCallback) for each in trainer.callbacks):
        trainer.callbacks.append(_StopCallback())


def _yield_sigterm() -> None:
    """Let Lightning end a training after SIGTERM: it also calls the earlier handler, that of the record."""
    if threading.current_thread() is not threading.main_thread():
        return
    handler = signal.getsignal(signal.SIGTERM)
    if callable(handler) and getattr(handler, "__module__", None) == exit_hooks.__name__:
        signal.signal(signal.SIGTERM, _unless_composed(handler))


def _unless_composed(handler: Callable[[int, FrameType | None], Any]) -> Callable[..., None]:
    """A handler that does nothing while another one, such as Lightning's, is installed and calls it."""

    def on_sigterm(number: int, frame: FrameType | None) -> None:
        if signal.getsignal(number) is on_sigterm:
            handler(number, frame)

    return on_sigterm
