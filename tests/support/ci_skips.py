"""The rule that nothing is left out where everything can run: in CI, as root, a skip is a failure.

What an executor cannot do by its nature, and says so in the contract, is no test that was left out.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from nemorun_cli.contract.fixtures import CANNOT

if TYPE_CHECKING:
    from _pytest.terminal import TerminalReporter


def skips_fail() -> bool:
    """Whether this is a machine on which every test has what it needs."""
    return os.environ.get("CI", "").lower() in {"1", "true"} and os.geteuid() == 0


def _skipped(config: pytest.Config) -> int:
    reporter: TerminalReporter | None = config.pluginmanager.get_plugin("terminalreporter")
    reports = reporter.stats.get("skipped", ()) if reporter else ()  # a worker of xdist has none
    return sum(CANNOT not in str(report.longrepr) for report in reports)


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Give the session the exit code of a failure."""
    if skips_fail() and _skipped(session.config) and session.exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: TerminalReporter) -> None:
    """Say why."""
    if skips_fail() and (count := _skipped(terminalreporter.config)):
        terminalreporter.write_line(f"CI runs as root, and {count} skipped: that is a failure here", red=True)
