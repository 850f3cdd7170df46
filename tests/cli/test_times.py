from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING

import pytest

from nemorun_cli.cli import times
from nemorun_cli.model.clock import stamp

if TYPE_CHECKING:
    from collections.abc import Iterator

    from support.workspace import Exp

STAMP = "2026-01-22T23:11:33.120Z"


@pytest.fixture
def _in_nepal(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A local time zone that is not a whole number of hours from UTC."""
    with monkeypatch.context() as patch:
        patch.setenv("TZ", "NPT-5:45")
        time.tzset()
        yield
    time.tzset()


@pytest.mark.usefixtures("_in_nepal")
def test_a_local_time_is_of_the_time_zone_and_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """`local` converts to TZ: to the minute in tables, with the offset by itself, exact in sequences."""
    monkeypatch.setenv(times.VARIABLE, "local")
    assert times.brief(STAMP) == "2026-01-23 04:56"
    assert times.full(STAMP) == "2026-01-23 04:56:33 +05:45"
    assert times.exact(STAMP) == "2026-01-23 04:56:33.120"
    assert times.brief(None) == times.full(None) == ""


def test_utc_is_the_stamp_as_in_files(monkeypatch: pytest.MonkeyPatch) -> None:
    """`utc` is what files and JSON have."""
    monkeypatch.setenv(times.VARIABLE, "utc")
    assert {times.brief(STAMP), times.full(STAMP), times.exact(STAMP)} == {STAMP}


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.2, "just now"),
        (59, "59 s ago"),
        (61, "1 min ago"),
        (3 * 3600 + 5, "3 h ago"),
        (25 * 3600, "1 day ago"),
        (6 * 86400, "6 days ago"),
    ],
)
def test_a_recent_time_is_relative(monkeypatch: pytest.MonkeyPatch, seconds: float, text: str) -> None:
    """A time of the last week is how long ago it was, in one unit; by itself next to the local time."""
    monkeypatch.setenv(times.VARIABLE, "relative")
    given = stamp(time.time() - seconds)
    assert times.brief(given) == text
    assert times.full(given).endswith(f", {text}")


@pytest.mark.parametrize("seconds", [8 * 86400, -3600])
def test_another_time_is_a_date(monkeypatch: pytest.MonkeyPatch, seconds: float) -> None:
    """An earlier time, or one in the future of this machine's clock, is a local date and time."""
    monkeypatch.setenv(times.VARIABLE, "relative")
    assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d", times.brief(stamp(time.time() - seconds)))


def test_a_pipe_has_utc_and_a_terminal_relative_times(exp: Exp) -> None:
    """By default scripts get the same text everywhere, and people what they read at once; JSON is UTC."""
    exp("run", exp.spec("name: s\ntasks:\n  a: {command: 'true'}\n"), "-q")
    assert re.search(r" \d{4}-\d\d-\d\dT[\d:.]+Z ", exp("list").stdout)
    assert re.search(r" (just now|\d+ (s|min) ago) ", exp.on_terminal("list", columns=80).stdout)
    assert re.search(r"created: +\d[\d-]+ [\d:]+ [+-]\d\d:\d\d", exp.on_terminal("status", columns=80).stdout)
    assert "s ago" not in exp.on_terminal("status", columns=80, NEMORUN_TIMES="local").stdout
    document = exp("list", "--json", env={"NEMORUN_TIMES": "local"}).json
    assert document["experiments"][0]["created"].endswith("Z")
    assert "relative, local, utc" in exp("list", env={"NEMORUN_TIMES": "bogus"}, code=2).stderr
