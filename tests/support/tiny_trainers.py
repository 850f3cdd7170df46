"""A program with two trainings, by Lightning and by transformers, each of which goes on from its checkpoint.

    python tiny_trainers.py STEPS HELD_AT

The first attempt at its task begins the second training after step HELD_AT of the first one, and waits after
the same step of the second one until somebody kills it. PyTorch is slow to import: one process imports it.
"""

from __future__ import annotations

import os
import sys
import time
import warnings
from pathlib import Path
from typing import Any

from pytorch_lightning import Trainer
from pytorch_lightning.callbacks import Callback, ModelCheckpoint
from support import tiny_transformers
from support.tiny_lightning import QUIET, Model, batches
from transformers import TrainerCallback
from transformers.trainer_utils import get_last_checkpoint

from nemorun_cli.loggers.lightning import ExpLogger
from nemorun_cli.loggers.transformers import ExpCallback

SAVED = 4  # steps between checkpoints
STEPS, HELD_AT = map(int, sys.argv[1:])
FOLDER = Path(os.environ["EXP_TASK_DIR"])  # of the task, so its next attempt finds it
IS_FIRST = os.environ["EXP_ATTEMPT"] == "1"


class BeginsAnother(Callback):
    def on_train_batch_end(self, trainer: Trainer, *_: Any) -> None:
        if IS_FIRST and trainer.global_step == HELD_AT:
            with_transformers()


class WaitsToBeKilled(TrainerCallback):
    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        del args, control
        while IS_FIRST and state.global_step == HELD_AT:
            time.sleep(60)


def with_lightning() -> None:
    """Train to the last step."""
    kept = ModelCheckpoint(dirpath=FOLDER / "lightning", save_last=True, every_n_train_steps=SAVED)
    options = {**QUIET, "enable_checkpointing": True, "callbacks": [kept, BeginsAnother()]}
    trainer = Trainer(**options, max_steps=STEPS, logger=ExpLogger())
    trainer.fit(Model(), batches(), batches(), ckpt_path="last")


def with_transformers() -> None:
    """Train to the last step."""
    folder = FOLDER / "transformers"
    folder.mkdir(exist_ok=True)
    tracking = ExpCallback(f"{os.environ['EXP_PREFIX']}/transformers")
    saving = {"save_strategy": "steps", "save_steps": SAVED, "save_total_limit": 1}
    trainer = tiny_transformers.trainer(folder, tracking, WaitsToBeKilled(), max_steps=STEPS, **saving)
    trainer.train(resume_from_checkpoint=get_last_checkpoint(folder))


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    with_lightning()
    with_transformers()
