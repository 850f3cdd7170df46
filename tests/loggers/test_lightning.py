"""ExpLogger with the real Lightning."""

from __future__ import annotations

import copy
import os
import pickle
import signal
from typing import TYPE_CHECKING, Any

import pytest
from lightning.pytorch import Trainer
from lightning.pytorch.callbacks import Callback, ModelCheckpoint
from support.documents import ROOT, blocks
from support.tiny_lightning import QUIET, Model, batches

from nemorun_cli import Experiment
from nemorun_cli.errors import UsageError
from nemorun_cli.loggers.lightning import ExpLogger

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = [
    pytest.mark.torch,
    pytest.mark.filterwarnings(
        "ignore", "error::RuntimeWarning:nemorun_cli"
    ),  # those of Lightning are its own
]

FRAMEWORKS = ROOT / "docs" / "guides" / "frameworks.md"
PREFIX = "alice/tests/lightning"


class At(Callback):
    """Does something after the third step."""

    def __init__(self, action: Any) -> None:
        self.action = action

    def on_train_batch_end(self, trainer: Trainer, *_: Any) -> None:  # noqa: D102 - that of Lightning
        if trainer.global_step == 3:
            self.action()


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Records are in `.dash` of a new folder; signals are handled as before, which Lightning changes."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    monkeypatch.chdir(tmp_path)
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def fit(logger: ExpLogger, *, action: Any = None, model: Model | None = None, **options: Any) -> Trainer:
    """Train for two epochs of four steps."""
    callbacks = [At(action)] if action else []
    trainer = Trainer(**{**QUIET, "max_epochs": 2, "callbacks": callbacks, **options}, logger=logger)
    trainer.fit(model or Model(), batches(), batches())
    return trainer


def steps(experiment: Experiment, key: str, series: str | None = None) -> list[int]:
    """The steps of the rows that have this key."""
    return [row["step"] for row in experiment.metrics(series).read(keys=[key, "step"]) if key in row]


def test_metrics_keep_their_names_and_have_step_and_epoch() -> None:
    """Rows of `fit` are in the unnamed series; what validation logs for each batch has its own one."""
    logger = ExpLogger(prefix=PREFIX)
    fit(logger)
    experiment = logger.experiment
    assert experiment.metrics.names() == [None, "validate"]
    assert steps(experiment, "train/loss") == list(range(8))
    assert steps(experiment, "val_loss_epoch") == [3, 7]
    assert steps(experiment, "val_loss_step", "validate") == list(range(8))
    assert [row["epoch"] for row in experiment.metrics().read(keys=["train/loss", "epoch"])][::4] == [0, 0, 1]


def test_other_methods_of_the_trainer_have_series_of_their_own() -> None:
    """Rows of `validate` and `test` do not mix with the curves of the training; all is one opening."""
    logger = ExpLogger(prefix=PREFIX)
    trainer = fit(logger)
    trainer.validate(Model(), batches(), verbose=False)
    Trainer(**QUIET, logger=logger).test(Model(), batches(), verbose=False)
    experiment = logger.experiment
    assert steps(experiment, "val_loss_epoch", "validate") == [8]
    assert steps(experiment, "test_loss", "test") == [0]
    assert steps(experiment, "val_loss_epoch") == [3, 7]
    assert len(experiment.openings()) == 1


def test_steps_are_those_of_the_optimizer() -> None:
    """With accumulated gradients `step` counts the steps of the optimizer."""
    logger = ExpLogger(prefix=PREFIX)
    fit(logger, accumulate_grad_batches=2)
    assert steps(logger.experiment, "train/loss") == [0, 1, 2, 3]


def test_hyperparameters_are_params() -> None:
    """What `save_hyperparameters` keeps becomes params, nested, and objects become texts."""
    logger = ExpLogger(prefix=PREFIX)
    fit(logger, model=Model(opt={"name": "sgd", "betas": (0.9, 0.99)}, activation=Model, seed=1))
    assert logger.experiment.params.get() == {
        "lr": 0.1,
        "opt.name": "sgd",
        "opt.betas": [0.9, 0.99],
        "activation": "support.tiny_lightning.Model",
        "seed": 1,
    }


def test_a_record_is_open_until_another_trainer_begins() -> None:
    """A trainer that ended well leaves its record open for `test` and the like; the next one completes it."""
    first, second = ExpLogger(prefix=f"{PREFIX}/1"), ExpLogger(prefix=f"{PREFIX}/2")
    fit(first)
    assert first.experiment.status == "RUNNING"
    fit(second)
    assert Experiment(f"{PREFIX}/1").status == "COMPLETED"
    assert Experiment(f"{PREFIX}/2").status == "RUNNING"


def test_an_exception_fails_the_record_at_once() -> None:
    """The record of a training that raised is FAILED with the exception, also if the program goes on."""
    with pytest.raises(ZeroDivisionError):
        fit(ExpLogger(prefix=PREFIX), action=lambda: 1 / 0)
    (opening,) = Experiment(PREFIX).openings()
    assert opening.status == "FAILED"
    assert opening.end["error"]["type"] == "ZeroDivisionError"


def test_an_interrupt_cancels_the_record() -> None:
    """Ctrl-C in a training, which Lightning turns into an exit, makes the record CANCELLED."""
    with pytest.raises(SystemExit):
        fit(ExpLogger(prefix=PREFIX), action=lambda: os.kill(os.getpid(), signal.SIGINT))
    assert Experiment(PREFIX).status == "CANCELLED"


def test_lightning_handles_sigterm_as_without_the_logger() -> None:
    """After SIGTERM Lightning ends the training itself, and the record is CANCELLED."""
    with pytest.raises(SystemExit):
        fit(ExpLogger(prefix=PREFIX), action=lambda: os.kill(os.getpid(), signal.SIGTERM))
    assert Experiment(PREFIX).status == "CANCELLED"


def test_a_stop_ends_the_training_as_lightning_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The signal of a task that is stopped ends `fit` after the batch; another one acts as before."""
    monkeypatch.setenv("EXP_OUTPUT", str(tmp_path / "outputs"))
    with pytest.raises(SystemExit):
        fit(ExpLogger(prefix=f"{PREFIX}/1"), action=lambda: os.kill(os.getpid(), signal.SIGTERM))
    assert Experiment(f"{PREFIX}/1").status == "CANCELLED"
    (tmp_path / "stopped").touch()
    handler = signal.getsignal(signal.SIGTERM)
    ended = At(lambda: os.kill(os.getpid(), signal.SIGTERM))
    trainer = fit(ExpLogger(prefix=f"{PREFIX}/2"), callbacks=[ended])
    assert (trainer.global_step in {3, 4}, trainer.state.finished) == (True, True)
    assert signal.getsignal(signal.SIGTERM) == handler
    last = ExpLogger(prefix=f"{PREFIX}/3")
    fit(last)
    last.experiment.run.complete()
    assert Experiment(f"{PREFIX}/2").status == "COMPLETED"


def test_a_record_that_the_program_opened_stays_open() -> None:
    """In `with experiment.run` the logger adds rows and does not end the record, whatever happens."""
    with Experiment(PREFIX).run as experiment:
        fit(ExpLogger(experiment))
        with pytest.raises(ZeroDivisionError):
            fit(ExpLogger(experiment), action=lambda: 1 / 0)
        experiment.log("goes on")
    assert experiment.status == "COMPLETED"
    assert len(experiment.openings()) == 1


def test_a_program_may_log_the_graph_itself() -> None:
    """`log_graph` in a program neither begins nor ends a training."""
    logger, model = ExpLogger(prefix=PREFIX), Model()
    logger.log_graph(model)
    fit(logger, model=model, action=lambda: logger.log_graph(model))
    logger.log_graph(model)
    assert steps(logger.experiment, "train/loss") == list(range(8))
    assert [opening.status for opening in logger.experiment.openings()] == ["RUNNING"]


def test_a_copy_writes_to_the_same_record() -> None:
    """A deep copy shares the record, and a logger that was pickled opens the same one when it is used."""
    logger = ExpLogger(prefix=f"{PREFIX}/{{time}}", tags=["copied"])
    fit(logger)
    assert copy.deepcopy(logger).experiment is logger.experiment
    other = pickle.loads(pickle.dumps(logger))  # noqa: S301 - of this test
    assert other.name == logger.name
    other.log_metrics({"loss": 1.0}, step=9)
    assert other.experiment.tags == ["copied"]
    assert logger.experiment.metrics().last("loss") == 1.0


def test_checkpoints_of_each_attempt_are_in_one_folder(tmp_path: Path) -> None:
    """Without a folder of its own, ModelCheckpoint saves below the current one, under the record's prefix."""
    fit(ExpLogger(prefix=PREFIX), enable_checkpointing=True, callbacks=[ModelCheckpoint(save_last=True)])
    assert (tmp_path / PREFIX / "checkpoints" / "last.ckpt").is_file()


def test_a_value_that_cannot_be_recorded_does_not_end_a_training() -> None:
    """It becomes a text with a warning, and the other values of its row are recorded."""
    logger = ExpLogger(prefix=PREFIX)
    fit(logger)
    with pytest.warns(RuntimeWarning, match="the metric 'odd' was recorded as a text"):
        logger.log_metrics({"odd": object(), "loss": 0.5}, step=8)
    row = logger.experiment.metrics().last()
    assert (row["odd"], row["loss"], row["step"]) == ("<object object>", 0.5, 8)


def test_the_program_of_the_page_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a task, the program of the docs needs no prefix; its second run continues from the checkpoint."""
    (page,) = (block.text for block in blocks(FRAMEWORKS) if block.mark == "torch: lightning")
    program = page.replace("Trainer(", "Trainer(**QUIET, ").replace("max_epochs=10", "max_epochs=epochs")
    for name, value in {"EXP_PREFIX": PREFIX, "EXP_TASK": "train", "EXP_TASK_DIR": str(tmp_path)}.items():
        monkeypatch.setenv(name, value)
    options = {**QUIET, "enable_checkpointing": True}
    for epochs in (1, 2):
        given = {"model": Model(), "data": batches(), "QUIET": options, "epochs": epochs}
        exec(program, given)  # noqa: S102 - of the page
    experiment = Experiment()
    assert steps(experiment, "train/loss") == list(range(8))
    assert steps(experiment, "test_loss", "test")[-1] == 8


def test_wrong_arguments_are_refused_before_the_training() -> None:
    """Unknown arguments, a bad prefix, and arguments next to an Experiment raise where the logger is made."""
    with pytest.raises(TypeError, match="did you mean 'prefix'"):
        ExpLogger(prefx=PREFIX)
    with pytest.raises(UsageError):
        ExpLogger(prefix="../outside")
    with pytest.raises(TypeError, match="has its arguments already: tags"):
        ExpLogger(Experiment(PREFIX), tags=["late"])
    fit(ExpLogger(prefix=PREFIX))
    with pytest.raises(UsageError, match="there is already a record"):
        fit(ExpLogger(prefix=PREFIX, resume="never"))
