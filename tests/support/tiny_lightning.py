"""A tiny model for Lightning."""

from __future__ import annotations

import importlib
import sys
from typing import Any

import torch
from torch.utils.data import DataLoader, TensorDataset

# The two packages that Lightning is published as; a program may have imported one of them.
LIBRARY: Any = importlib.import_module(
    "pytorch_lightning" if "pytorch_lightning" in sys.modules else "lightning.pytorch"
)
QUIET: Any = {
    "accelerator": "cpu",
    "enable_checkpointing": False,
    "enable_model_summary": False,
    "enable_progress_bar": False,
    "log_every_n_steps": 1,
}


class Model(LIBRARY.LightningModule):
    """Learns whether the sum of four numbers is positive; the epoch has four steps."""

    def __init__(self, lr: float = 0.1, **others: Any) -> None:  # noqa: ARG002 - hyperparameters, too
        super().__init__()
        self.save_hyperparameters()
        self.net = torch.nn.Linear(4, 1)

    def loss(self, batch: Any) -> Any:
        x, y = batch
        return torch.nn.functional.binary_cross_entropy_with_logits(self.net(x), y)

    def training_step(self, batch: Any, _: int) -> Any:
        loss = self.loss(batch)
        self.log("train/loss", loss)
        return loss

    def validation_step(self, batch: Any, _: int) -> None:
        self.log("val_loss", self.loss(batch), on_step=True, on_epoch=True)

    def test_step(self, batch: Any, _: int) -> None:
        self.log("test_loss", self.loss(batch))

    def configure_optimizers(self) -> Any:
        return torch.optim.SGD(self.parameters(), lr=self.hparams["lr"])


def batches() -> DataLoader[Any]:
    """Four batches."""
    x = torch.linspace(-1, 1, 128).reshape(32, 4)
    return DataLoader(TensorDataset(x, (x.sum(1, keepdim=True) > 0).float()), batch_size=8)
