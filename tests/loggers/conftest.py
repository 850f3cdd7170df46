"""Tests that need PyTorch are in the files named here; tests/run has a stage for them."""

from __future__ import annotations

import importlib.util

if importlib.util.find_spec("torch") is None:
    collect_ignore = ["test_killed.py", "test_lightning.py", "test_transformers.py"]
