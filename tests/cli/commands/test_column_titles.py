"""The titles of the columns of `exp compare`."""

from __future__ import annotations

import csv
import io
from typing import TYPE_CHECKING

import pytest

from nemorun_cli.tracking import Experiment

if TYPE_CHECKING:
    from support.workspace import Exp

NAMES = (
    *("EXPERIMENT", "RECORD", "STATUS", "TASK", "RUNS", "status", "prefix", "n", "loss", "loss mean"),
    *("m/loss", "params.loss", "params.params.loss", "record.status", "params.a/b", "a/b", "loss:min"),
)


@pytest.fixture(scope="module")
def named(shared: Exp) -> Exp:
    """Two records with params and metrics of these names, each with another value."""
    for record, first in (("one", 1000), ("two", 5000)):
        with Experiment(f"a/{record}", dash_root=shared.home / "dash", print_logs=False).run as experiment:
            experiment.params.set({name: first + number for number, name in enumerate(NAMES)})
            experiment.metrics().log({name: first + 1000 + number for number, name in enumerate(NAMES)})
            experiment.metrics("m").log({name: first + 2000 + number for number, name in enumerate(NAMES)})
            experiment.metrics("params.a").log(b=first + 3000)
    return shared


def table(exp: Exp, *words: str) -> tuple[list[str], list[str]]:
    """The titles of a comparison and the cells of its first row."""
    shown = exp("compare", "a/", "--format", "csv", "--raw", *words).stdout
    titles, cells, *_ = csv.reader(io.StringIO(shown))
    return titles, cells


def test_no_two_columns_have_one_title(named: Exp) -> None:
    """Whatever params and metrics are called, each has a column of its own, whose title selects it."""
    titles, cells = table(named, "--sort", "params.n")
    assert len(set(titles)) == len(titles)
    assert titles[:2] == ["RECORD", "STATUS"]
    expected = {str(base + number) for base in (1000, 2000, 3000) for number in range(len(NAMES))}
    assert sorted(cells) == sorted(["a/one", "COMPLETED", "4000", *expected])
    for title, cell in zip(titles[2:], cells[2:], strict=True):
        if int(cell) >= 2000:
            assert cell in table(named, "-k", title, "--where", f"{title}={cell}")[1]
        assert table(named, "--where", f"{title}={cell}", "-k", "m/n")[1][0] == "a/one"


def test_the_titles_of_groups_differ(named: Exp) -> None:
    """So it is with groups, also by a param and a field of the record of one name."""
    by = ["RUNS", "loss mean", "params.status", "record.status", "params.loss", "a/b"]
    words = [word for name in by for word in ("--group-by", name)]
    titles, cells = table(named, *words)
    assert len(set(titles)) == len(titles)
    assert len(titles) == len(cells) == 3 + len(by) + 3 * (2 * len(NAMES) + 1)
    shown = named("compare", "a/", "--format", "markdown", *words).stdout.splitlines()
    assert len({line.count(" | ") for line in shown}) == 1
    header = named("compare", "a/", *words, "-k", "m/RUNS", "-k", "RUNS").stdout.splitlines()[0].split("  ")
    titles = [title.strip() for title in header if title]
    assert len(set(titles)) == len(titles)


def test_a_metric_is_shown_once(named: Exp) -> None:
    """Two keys of one metric make one column; a key of `-k` means a metric before a param."""
    assert table(named, "-k", "m/n", "-k", "./n", "-k", "n")[0][-2:] == ["m/n", "n"]
    assert table(named, "--where", "params.n<2000", "-k", "a/b")[1][-1] == str(2000 + NAMES.index("a/b"))
