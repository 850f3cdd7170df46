"""Waiting with a time limit, as the contract of executors does."""

from nemorun_cli.contract.fixtures import PATIENCE, eventually

__all__ = ["PATIENCE", "eventually"]
