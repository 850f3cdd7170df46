"""Names each failure when it happens, so that a run that is cut short has told what it found."""

from __future__ import annotations

from typing import Final

import pytest

NAME: Final = "failures as they happen"


class Announcer:
    """Writes to the terminal of the process that shows the results, which is none of the workers."""

    def __init__(self, reporter: pytest.TerminalReporter) -> None:
        self._reporter = reporter

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Name a test that failed, with the first line of why."""
        if report.failed:
            crash = getattr(report.longrepr, "reprcrash", None)
            lines = (crash.message if crash else report.longreprtext).splitlines()
            self._reporter.ensure_newline()
            self._reporter.write_line(f"{report.nodeid} ({report.when}): {lines[0] if lines else 'failed'}")


@pytest.hookimpl(trylast=True)  # once there is a reporter
def pytest_configure(config: pytest.Config) -> None:
    """Announce failures where there is a terminal to announce them on."""
    reporter = config.pluginmanager.get_plugin("terminalreporter")
    if reporter is not None and not config.pluginmanager.has_plugin(NAME):
        config.pluginmanager.register(Announcer(reporter), NAME)
