from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nemorun_cli.model.units import duration, duration_text


@pytest.mark.parametrize(
    ("written", "seconds"),
    [
        ("90s", 90),
        ("10m", 600),
        ("2h", 7200),
        ("1d", 86400),
        ("1h30m", 5400),
        ("0.5s", 0.5),
        ("45", 45),
        (45, 45),
    ],
)
def test_duration_is_read_in_seconds(written: str | float, seconds: float) -> None:
    """Durations are `90s`, `10m`, `2h`, `1d`, several of them, or plain seconds."""
    assert duration(written) == seconds


@pytest.mark.parametrize(
    "written",
    ["", "soon", "1x", "m", "-5", "1m1h", "1 h", "٣s", float("nan"), float("inf"), -1, True, "9" * 30],
)
def test_what_is_no_duration_is_refused_with_the_forms(written: str | float) -> None:
    """Anything else is refused by a message that says how to write it."""
    with pytest.raises(ValueError, match="1h30m"):
        duration(written)


@given(st.integers(0, 86_400 * 1000))
def test_durations_survive_being_written(seconds: int) -> None:
    """A duration that is written as text is read as the same again."""
    assert duration(duration_text(seconds)) == seconds
