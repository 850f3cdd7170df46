"""The matrix of a run of the contract: which executor keeps which rule, as Markdown."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping

VARIABLE: Final = "EXP_CONTRACT_MATRIX"  # names the file that the matrix is written to
SECTION: Final = "\n## "
WORST_FIRST: Final = ("failed", "error", "skipped", "passed")
SHOWN: Final = {"failed": "**no**", "error": "**error**", "skipped": "cannot", "passed": "yes"}

HEAD: Final = """\
# The contract of executors, as it was run

Made by a run of the tests, with `EXP_CONTRACT_MATRIX=docs/extend/executors-matrix.md`.
[Executors](../reference/spec/executors.md) describes it.

"""

Table = dict[str, dict[str, set[str]]]  # rule, subject, outcomes


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, Any, Any]:
    """Note on every report of a rule which rule and which subject it is about."""
    report = yield
    call = getattr(item, "callspec", None)
    rule = (getattr(getattr(item, "function", None), "__doc__", None) or "").strip().partition("\n")[0]
    if call is not None and "subject" in call.params and rule:
        report.user_properties.append(("contract", f"{call.params['subject']}\t{rule}"))
    return report


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Print the matrix, and write it to the file $EXP_CONTRACT_MATRIX, whose further sections stay."""
    found = table(terminalreporter.stats)
    if not found:
        return
    text = render(found)
    terminalreporter.section("the contract of executors")
    terminalreporter.write_line(text)
    if path := os.environ.get(VARIABLE):
        Path(path).write_text(HEAD + text + _sections(Path(path)), encoding="utf-8")


def _sections(path: Path) -> str:
    """What follows the matrix in an earlier version of the file, such as what was not tried."""
    try:
        _, heading, sections = path.read_text(encoding="utf-8").partition(SECTION)
    except FileNotFoundError:
        return ""
    return heading + sections


def table(stats: Mapping[str, Any]) -> Table:
    """The outcomes by rule and subject, from pytest's reports."""
    found: Table = {}
    for outcome in WORST_FIRST:
        for report in stats.get(outcome, ()):
            for name, value in getattr(report, "user_properties", ()):
                if name == "contract":
                    subject, rule = value.split("\t", 1)
                    found.setdefault(rule, {}).setdefault(subject, set()).add(outcome)
    return found


def render(found: Table) -> str:
    """The matrix; of several cases of a rule the worst counts."""
    subjects = list(dict.fromkeys(subject for row in found.values() for subject in row))
    lines = [f"| rule | {' | '.join(subjects)} |", f"|---|{'---|' * len(subjects)}"]
    for rule, row in sorted(found.items()):
        cells = [_worst(row.get(subject, set())) for subject in subjects]
        lines.append(f"| {rule} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def _worst(outcomes: set[str]) -> str:
    return next((SHOWN[outcome] for outcome in WORST_FIRST if outcome in outcomes), "")
