"""Multi-task machine-learning experiments described in YAML, and an honest ledger of what happened."""

from __future__ import annotations

__version__ = "0.1.0"
