from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from nemorun_cli.storage import ledger
from nemorun_cli.storage.paths import Home
from nemorun_cli.views import listing

if TYPE_CHECKING:
    from pathlib import Path

CREATED = {
    "event": "created",
    "time": "2026-11-22T08:00:00.000Z",
    "id": "x_1700000000",
    "name": "x",
    "format": ledger.FORMAT,
    "tags": ["t"],
    "key": "k",
}
FINISHED = {
    "event": "finished",
    "time": "2026-11-22T08:01:00.000Z",
    "status": "COMPLETED",
    "counts": {"SUCCEEDED": 1},
}
GONE = {"event": "supervisor_ended", "time": "2026-11-22T08:01:00.001Z"}
RESUMED = {"event": "resumed", "time": "2026-11-22T09:00:00.000Z", "tasks": {}}
NOISE = {"event": "ended", "task": "a" * 200, "attempt": 1}


def _make(tmp_path: Path, *batches: bytes, seconds: int = 1_700_000_000, name: str = "x") -> Home:
    folder = tmp_path / "experiments" / name / f"{name}_{seconds}"
    folder.mkdir(parents=True)
    (folder / "ledger.jsonl").write_bytes(b"".join(batches))
    return Home(tmp_path)


@pytest.mark.parametrize("noise", [0, 100])
def test_the_ends_of_a_ledger_tell_all_of_what_is_over(tmp_path: Path, noise: int) -> None:
    """A finished experiment is summed up from its first line and its last batches, nothing else is needed."""
    home = _make(
        tmp_path,
        ledger.encode([CREATED]),
        *[ledger.encode([NOISE])] * noise,
        ledger.encode([NOISE, FINISHED]),
        ledger.encode([GONE]),
    )
    (summary,) = listing.newest_first(home)
    assert (summary.status, summary.counts, summary.tags, summary.key) == (
        "COMPLETED",
        {"SUCCEEDED": 1},
        ["t"],
        "k",
    )
    assert listing.duration_text(summary) == "1m"


@pytest.mark.parametrize(
    "last",
    [
        ledger.encode([RESUMED]),
        ledger.encode([FINISHED])[:-5],
        ledger.encode([FINISHED]) + b'{"event":"torn',
        ledger.encode([FINISHED]).replace(b"COMPLETED", b"COMPLETEX"),
    ],
)
def test_in_doubt_the_whole_is_looked_at(tmp_path: Path, last: bytes) -> None:
    """After a resume, and where the last batch is torn or damaged, the ends alone are not believed."""
    home = _make(tmp_path, ledger.encode([CREATED]), last)
    (summary,) = listing.newest_first(home)
    assert summary.status is None  # there is no resolved.json to look at it with
    assert "resolved.json" in (summary.problem or "")


@pytest.mark.parametrize("event", [{}, [], None, 1])
def test_an_event_of_any_form_hides_no_other_experiment(tmp_path: Path, event: object) -> None:
    """What follows the last `finished` in a ledger from elsewhere can be anything that is JSON."""
    end = ledger.encode([CREATED, FINISHED])
    _make(tmp_path, end, ledger.encode([{**GONE, "event": event}]))
    home = _make(tmp_path, end, ledger.encode([GONE]), name="y")
    problem, sound = sorted(listing.newest_first(home), key=lambda summary: summary.name)
    assert problem.status is None
    assert problem.problem
    assert sound.status == "COMPLETED"


def test_ids_of_one_second_are_ordered_by_their_exact_time(tmp_path: Path) -> None:
    """Experiments of two names, made within one second, come in the order in which they were made."""
    end = ledger.encode([FINISHED])
    _make(tmp_path, ledger.encode([{**CREATED, "time": "2026-11-22T08:00:00.900Z"}]), end, name="a")
    home = _make(tmp_path, ledger.encode([{**CREATED, "time": "2026-11-22T08:00:00.100Z"}]), end, name="b")
    assert [summary.name for summary in listing.newest_first(home)] == ["a", "b"]


def test_what_is_too_old_is_not_read(tmp_path: Path) -> None:
    """With `since` an experiment made long before is passed over by its id."""
    home = _make(tmp_path, b"no ledger at all", seconds=1_000_000_000)
    assert list(listing.newest_first(home, since="2026-11-22T08:00:00.000Z")) == []
