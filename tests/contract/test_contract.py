"""Every rule of the contract, for every executor that conftest.py names."""

from nemorun_cli.contract.rules import *  # noqa: F403 - the tests are there
