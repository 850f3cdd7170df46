from __future__ import annotations

import math

from nemorun_cli.cli.plotting import MOST_CURVES, Curve, curve, draw


def rows(values: list[float], **over: list[float]) -> list[dict[str, float]]:
    """Rows with a loss each, and what they are recorded over."""
    return [
        {"_ts": float(at), "loss": value, **{name: several[at] for name, several in over.items()}}
        for at, value in enumerate(values)
    ]


def drawn(*curves: Curve, width: int = 60, colours: bool = False) -> list[str]:
    """The lines of a picture."""
    return draw("train/loss", curves, width=width, height=6, colours=colours).splitlines()


def test_a_curve_is_drawn_over_step_then_epoch_then_rows() -> None:
    """Values stand over the step, else the epoch, else the number of their row."""
    assert curve("a", rows([5, 6], step=[10, 20], epoch=[1, 2]), "loss").points == [(10, 5), (20, 6)]
    assert curve("a", rows([5, 6], epoch=[1, 2]), "loss").points == [(1, 5), (2, 6)]
    assert curve("a", [{"_ts": 0, "x": 1}, *rows([5, 6])], "loss").points == [(0, 5), (1, 6)]


def test_a_long_curve_keeps_its_extremes_and_its_place() -> None:
    """Of very many rows so many are drawn as can be seen, spikes among them, each at its own place."""
    values = [1.0] * 50_000
    values[31_234] = 99.0
    points = curve("a", rows(values), "loss").points
    assert len(points) <= 1_000
    assert (31_234, 99.0) in points
    assert points[-1] == (49_999, 1.0)


def test_a_picture_fits_and_is_named() -> None:
    """A picture is as wide as asked for, says what is drawn over what, and begins with the least number."""
    lines = drawn(curve("a", rows([2.5, 0.5], epoch=[1, 9]), "loss"))
    assert lines[0] == "train/loss   a"
    assert max(map(len, lines)) <= 60
    assert "(epoch)" in lines[-2]
    assert lines[-3].lstrip().startswith("0.5 |")


def test_curves_are_told_apart() -> None:
    """Several curves differ by letters where there are no colours."""
    both = (curve("one", rows([1, 2]), "loss"), curve("two", rows([2, 1]), "loss"))
    plain = drawn(*both)
    assert plain[0] == "train/loss   a one   b two"
    assert any("b" in line and "⠀" in line for line in plain)
    assert any("a" in line and "⠀" in line for line in plain)
    assert drawn(*both, colours=True)[0] == "train/loss   ━ one   ━ two"


def test_what_is_not_finite_leaves_a_gap() -> None:
    """NaN and infinities are not drawn, and neither stops the drawing nor moves the axes."""
    lines = drawn(curve("a", rows([1, math.nan, math.inf, 2]), "loss"))
    assert any("⠀" in line for line in lines)
    assert not any("inf" in line or "nan" in line for line in lines)
    assert drawn(curve("a", rows([math.nan]), "loss")) == ["train/loss: no numbers yet"]
    assert drawn(curve("a", [{"_ts": 0, "loss": "text"}], "loss")) == ["train/loss: no numbers yet"]


def test_integers_beyond_floats_are_drawn_at_the_edge() -> None:
    """An integer larger than any float is a point, at the largest number that is drawn."""
    points = curve("a", rows([1, 10**400, -(10**400)]), "loss").points
    assert points == [(0, 1), (1, 1e300), (2, -1e300)]
    assert len(drawn(Curve("a", points, "row"))) > 6


def test_one_point_and_equal_values_are_drawn() -> None:
    """A single value, and a curve that does not move, are pictures too."""
    for values in ([3.0], [3.0, 3.0], [1e300, -1e300], [0.0, 5e-324]):
        assert len(drawn(curve("a", rows(values), "loss"))) > 6


def test_more_curves_than_can_be_told_apart_are_counted() -> None:
    """Only so many curves are drawn as there are colours; the others are counted."""
    several = [curve(f"c{number}", rows([1, 2]), "loss") for number in range(MOST_CURVES + 3)]
    assert drawn(*several, width=200)[0].endswith("and 3 more")


def test_rows_with_a_time_alone_are_placed_by_it() -> None:
    """What is measured without steps is drawn over the seconds since the first row of the series."""
    measured = [{"_ts": 100.0, "cpu": 1}, {"_ts": 105.0, "memory": 7}, {"_ts": 130.5, "memory": 9}]
    timed = curve("a", measured, "memory", is_timed=True)
    assert (timed.over, timed.points) == ("seconds", [(5, 7), (30.5, 9)])
    assert curve("a", rows([1], step=[3]), "loss", is_timed=True).over == "step"


def test_memory_is_drawn_in_sizes() -> None:
    """The numbers at the y axis of bytes have a unit, those at the x axis do not."""
    used = curve("a", rows([2**28, 2**30], step=[1, 2000]), "loss", are_bytes=True)
    picture = drawn(used)
    assert any(line.lstrip().startswith("256M |") for line in picture)
    assert "1.96K" not in "".join(picture)
