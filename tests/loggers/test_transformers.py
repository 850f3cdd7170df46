"""ExpCallback with the real Trainer of transformers."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING, Any

import pytest
from support.documents import ROOT, blocks
from support.tiny_transformers import trainer
from transformers import TrainerCallback

from nemorun_cli import Experiment
from nemorun_cli.loggers.transformers import ExpCallback
from nemorun_cli.tracking.process import exit_hooks

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [
    pytest.mark.torch,
    pytest.mark.filterwarnings(
        "ignore", "error::RuntimeWarning:nemorun_cli"
    ),  # those of others are their own
]

FRAMEWORKS = ROOT / "docs" / "guides" / "frameworks.md"
PREFIX = "alice/tests/transformers"


class RaisesOnce(TrainerCallback):
    """Raises after the third step of the first training."""

    has_raised = False

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:  # noqa: D102 - of transformers
        del args, control
        if state.global_step == 3 and not self.has_raised:
            self.has_raised = True
            raise ZeroDivisionError("division by zero")


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def steps(experiment: Experiment, key: str, series: str | None = None) -> list[int]:
    """The steps of the rows that have this key."""
    return [row["step"] for row in experiment.metrics(series).read(keys=[key, "step"]) if key in row]


def test_a_training_has_its_curves_and_params(tmp_path: Path) -> None:
    """Rows of `train` are in the unnamed series, those of `evaluate` and `predict` in their own ones."""
    callback = ExpCallback(prefix=PREFIX)
    training = trainer(tmp_path, callback, max_steps=8, eval_strategy="epoch", learning_rate=0.01)
    training.train()
    training.evaluate()
    training.predict(training.eval_dataset)
    experiment = callback.experiment
    assert experiment.metrics.names() == [None, "evaluate", "predict"]
    assert steps(experiment, "loss") == list(range(1, 9))
    assert steps(experiment, "eval_loss") == [4, 8]
    assert steps(experiment, "eval_loss", "evaluate") == steps(experiment, "test_loss", "predict") == [8]
    assert experiment.metrics().last("epoch") == 2.0
    params = experiment.params.get()
    assert (params["learning_rate"], params["max_steps"]) == (0.01, 8)
    assert (params["model.hidden_size"], params["model.model_type"]) == (8, "bert")
    assert len(experiment.openings()) == 1


def test_a_training_that_raised_has_failed_when_the_next_one_begins(tmp_path: Path) -> None:
    """The Trainer tells nobody of an exception, so that the next training closes the record of the first."""
    callback = ExpCallback(prefix=PREFIX)
    training = trainer(tmp_path, callback, RaisesOnce(), max_steps=4)
    with pytest.raises(ZeroDivisionError):
        training.train()
    training.train()
    assert [opening.status for opening in callback.experiment.openings()] == ["FAILED", "RUNNING"]


class StoppedAt(TrainerCallback):
    """Sends the stop signal after the third step."""

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:  # noqa: D102 - of transformers
        del args, control
        if state.global_step == 3:
            os.kill(os.getpid(), signal.SIGTERM)


def test_a_stop_ends_the_training_as_transformers_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The signal of a task that is stopped ends `train` after the step, and the program continues."""
    monkeypatch.setenv("EXP_OUTPUT", str(tmp_path / "outputs"))
    (tmp_path / "stopped").touch()
    handler = signal.getsignal(signal.SIGTERM)
    training = trainer(tmp_path, ExpCallback(prefix=f"{PREFIX}/1"), max_steps=8)
    training.add_callback(StoppedAt())
    training.train()
    assert training.state.global_step in {3, 4}
    last = ExpCallback(prefix=f"{PREFIX}/2")
    trainer(tmp_path, last, max_steps=1).train()
    last.experiment.run.complete()
    first = Experiment(f"{PREFIX}/1")
    assert (first.status, first.metrics().last("step")) == ("COMPLETED", training.state.global_step)
    assert signal.getsignal(signal.SIGTERM) in (handler, exit_hooks._on_sigterm)


def test_a_record_that_the_program_opened_stays_open(tmp_path: Path) -> None:
    """In `with experiment.run` the callback adds rows and does not end the record."""
    with Experiment(PREFIX).run as experiment:
        trainer(tmp_path, ExpCallback(experiment), max_steps=2).train()
        experiment.log("goes on")
    assert experiment.status == "COMPLETED"
    assert steps(experiment, "loss") == [1, 2]


def test_the_program_of_the_page_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a task, the program of the docs needs no prefix; its second run continues from the checkpoint."""
    (page,) = (block.text for block in blocks(FRAMEWORKS) if block.mark == "torch: transformers")
    program = page.replace("save_steps=500", "save_steps=4, max_steps=steps, logging_steps=1, use_cpu=True")
    for name, value in {"EXP_PREFIX": PREFIX, "EXP_TASK": "train", "EXP_TASK_DIR": str(tmp_path)}.items():
        monkeypatch.setenv(name, value)
    given = trainer(tmp_path)
    for count in (4, 8):
        names = {"model": given.model, "data": given.train_dataset, "steps": count}
        exec(program, names)  # noqa: S102 - of the page
    assert steps(Experiment(), "loss") == list(range(1, 9))


def test_a_metric_that_cannot_be_recorded_does_not_end_a_training(tmp_path: Path) -> None:
    """`compute_metrics` may return anything: mappings stay, and objects become texts with a warning."""
    callback = ExpCallback(prefix=PREFIX)
    odd = {"counts": {"a": [1, 2]}, "kind": dict}
    training = trainer(
        tmp_path, callback, metrics=lambda _: dict(odd), max_steps=4, eval_strategy="epoch", report_to="none"
    )
    with pytest.warns(RuntimeWarning, match="the metric 'eval_kind' was recorded as a text"):
        training.train()
    (row,) = callback.experiment.metrics().read(keys=["eval_counts", "eval_kind"])
    assert (row["eval_counts"], row["eval_kind"]) == ({"a": [1, 2]}, "dict")
