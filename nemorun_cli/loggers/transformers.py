"""`ExpCallback`, for `Trainer(callbacks=[…])` of transformers."""

from __future__ import annotations

import importlib
import os
from typing import TYPE_CHECKING, Any, Final

from nemorun_cli.loggers.stop_request import StopRequest
from nemorun_cli.loggers.trainer_record import TrainerRecord
from nemorun_cli.tracking.process import process_info

try:
    from transformers import TrainerCallback
except ModuleNotFoundError as error:
    if error.name != "transformers":
        raise
    raise ModuleNotFoundError(
        "ExpCallback needs transformers, which is not installed: pip install 'nemorun-cli[transformers]'",
        name=error.name,
    ) from None

if TYPE_CHECKING:
    from collections.abc import Mapping

    from nemorun_cli.tracking.experiment import Experiment


ASK_EVERY: Final = 10  # steps between which several processes ask each other


class ExpCallback(TrainerCallback):  # type: ignore[misc] # the library need not be installed
    """Logs arguments, the model's configuration and metrics of a transformers `Trainer` to a record.

        Trainer(…, callbacks=[ExpCallback()])                              # in a task of `exp run`
        Trainer(…, callbacks=[ExpCallback(prefix="alice/text/bert")])      # elsewhere
        Trainer(…, callbacks=[ExpCallback(experiment)])                    # to a record that the program has

    Metrics of `train` keep their names, in the unnamed series, with `step` and `epoch`. Those of `evaluate`
    and `predict`, called by the program, are in the series of that name. Only the first process writes.

    When the task is stopped by its `stop`, `train` ends after a step, as with `control.should_training_stop`.

    Args:
        experiment: the record, or its prefix. A record that is open stays open.
        options: arguments of `Experiment`, such as `prefix`, `dash_root` and `tags`.

    Raises:
        TypeError: an argument is unknown, or an `Experiment` is given with other arguments.
        InvalidValueError: the prefix could leave the root.
    """

    def __init__(self, experiment: Experiment | str | os.PathLike[str] | None = None, **options: Any) -> None:
        super().__init__()
        is_writer = not process_info.rank(os.environ)
        self._record = TrainerRecord(experiment, options, is_writer=is_writer)
        self._request = StopRequest()

    @property
    def experiment(self) -> Experiment:
        """The record, open, for calls such as `callback.experiment.files`."""
        return self._record.open()

    def on_train_begin(self, args: Any, state: Any, control: Any, model: Any = None, **_: Any) -> None:
        """Open the record, and set the arguments and the model's configuration as params."""
        del control
        if not state.is_world_process_zero:
            self._request.listen()
            return
        self._record.begin()
        self._request.listen()  # after the record, which handles the signal in other cases
        self._record.set_params(args.to_dict())
        config = getattr(model, "config", None)
        if config is not None:
            self._record.set_params({"model": config.to_dict() if hasattr(config, "to_dict") else config})

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """End the training if its task is stopped; all its processes after the same step."""
        if args.world_size == 1:
            is_requested = self._request.is_made
        elif state.global_step % ASK_EVERY:
            return
        else:
            is_requested = _any_of_all(self._request.is_made, args.device)
        if is_requested:
            control.should_training_stop = True

    def on_log(
        self, args: Any, state: Any, control: Any, logs: Mapping[str, Any] | None = None, **_: Any
    ) -> None:
        """Log a row."""
        del args, control
        if state.is_world_process_zero and logs:
            self._record.log(None if self._record.is_running else "evaluate", logs, state.global_step)

    def on_predict(self, args: Any, state: Any, control: Any, metrics: Mapping[str, Any], **_: Any) -> None:
        """Log the metrics of a prediction as a row."""
        del args, control
        if state.is_world_process_zero and metrics:
            self._record.log("predict", metrics, state.global_step)

    def on_train_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """The training ended well."""
        del args, control
        self._request.close()
        if state.is_world_process_zero:
            self._record.finish()


def _any_of_all(is_requested: bool, device: Any) -> bool:  # noqa: FBT001 - the value of this process
    """Whether something holds in any of the processes of a training."""
    torch: Any = importlib.import_module("torch")  # which need not be installed for other programs
    if not (torch.distributed.is_available() and torch.distributed.is_initialized()):
        return is_requested
    found = torch.tensor(int(is_requested), device=device)
    torch.distributed.all_reduce(found, torch.distributed.ReduceOp.MAX)
    return bool(found.item())
