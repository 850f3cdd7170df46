"""A tiny model for the Trainer of transformers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from transformers import (
    BertConfig,
    BertForSequenceClassification,
    Trainer,
    TrainingArguments,
)

if TYPE_CHECKING:
    from pathlib import Path

SIZES = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 1, "intermediate_size": 8}


def trainer(folder: Path, *callbacks: Any, metrics: Any = None, **arguments: Any) -> Trainer:
    """A trainer of a random BERT with 32 texts, in epochs of four steps."""
    texts = [{"input_ids": torch.arange(8) + number % 2, "labels": number % 2} for number in range(32)]
    return Trainer(
        model=BertForSequenceClassification(BertConfig(vocab_size=16, **SIZES)),
        args=TrainingArguments(
            output_dir=str(folder),
            **{
                "logging_steps": 1,
                "report_to": "none",
                "use_cpu": True,
                "disable_tqdm": True,
                "save_strategy": "no",
                **arguments,
            },
        ),
        train_dataset=texts,
        eval_dataset=texts[:8],
        callbacks=list(callbacks),
        compute_metrics=metrics,
    )
