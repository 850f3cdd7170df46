"""Curves drawn with the characters of a terminal."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from nemorun_cli.model.control_characters import one_line
from nemorun_cli.model.units import size_text
from nemorun_cli.tracking.store.row_selection import downsample, number

if TYPE_CHECKING:
    from collections.abc import Sequence

    from nemorun_cli.tracking.store.row_files import Row

COLOURS: Final = ("cyan", "yellow", "magenta", "green", "red", "blue", "white")
MOST_CURVES: Final = len(COLOURS)  # in one picture: each has a colour of its own
MOST_POINTS: Final = 1_000  # of one curve
BESIDES: Final = 24  # columns next to a picture for its axes
FEWEST_COLUMNS: Final = 20
TIME: Final = "_ts"
SECONDS: Final = "seconds"  # the name of the axis of time
LARGEST: Final = 1e300  # larger values are drawn here: differences between them overflow
SMALLEST: Final = 1e-300  # smallest range that is drawn to scale


@dataclass(frozen=True, slots=True)
class Curve:
    """A line through points; a NaN interrupts it."""

    label: str
    points: list[tuple[float, float]]
    over: str  # name of the x axis
    are_bytes: bool = False


def curve(
    label: str, rows: Sequence[Row], field: str, *, is_timed: bool = False, are_bytes: bool = False
) -> Curve:
    """A field over `step`, else `epoch`, else the row number or the seconds since the first row.

    Args:
        label: the name of the curve.
        rows: the rows of one series.
        field: the field.
        is_timed: whether rows without step and epoch are placed by their time.
        are_bytes: whether the values are numbers of bytes.
    """
    with_field = [row for row in rows if field in row]
    over = next((name for name in ("step", "epoch") if any(name in row for row in with_field)), None)
    if over is None and is_timed:
        begin = next((moment for row in rows if (moment := number(row.get(TIME))) is not None), 0.0)
        with_field = [
            {**row, SECONDS: None if (moment := number(row.get(TIME))) is None else moment - begin}
            for row in with_field
        ]
        over = SECONDS
    if len(with_field) > MOST_POINTS:
        numbered = [{**row, "": index} for index, row in enumerate(with_field)]
        with_field = downsample(numbered, MOST_POINTS, keys=[field])
    points = []
    for index, row in enumerate(with_field):
        x = number(row.get("", index) if over is None else row.get(over))
        y = number(row[field])
        points.append((_drawable(x), _drawable(y)))
    return Curve(label, points, over or "row", are_bytes)


def _drawable(value: float | None) -> float:
    if value is None or value in {math.inf, -math.inf}:
        return math.nan
    return float(max(-LARGEST, min(LARGEST, value)))  # before: integers may be larger than any float


def draw(title: str, curves: Sequence[Curve], *, width: int, height: int, colours: bool) -> str:
    """A picture of at most MOST_CURVES curves, as lines of text.

    Args:
        title: the heading.
        curves: the curves.
        width: columns of the whole picture.
        height: lines of the plot without its heading and axes.
        colours: whether colours distinguish the curves; else letters do.
    """
    import plotille  # noqa: PLC0415 - only to draw, and slow to import

    title = one_line(title)
    shown = [line for line in curves if any(map(_is_finite, line.points))][:MOST_CURVES]
    if not shown:
        return f"{title}: no numbers yet\n"
    figure = plotille.Figure()
    figure.width = max(FEWEST_COLUMNS, width - BESIDES)
    figure.height = height
    figure.color_mode = "names"
    figure.with_colors = colours
    figure.origin = False
    figure.x_label, figure.y_label = shown[0].over, title.rpartition("/")[2]
    _set_limits(figure, [point for line in shown for point in line.points if _is_finite(point)])
    tick = _tick_of_bytes if shown[0].are_bytes else _tick
    figure.register_label_formatter(float, tick)
    figure.register_label_formatter(int, tick)
    for index, line in enumerate(shown):
        marker = None if colours or len(shown) == 1 else chr(ord("a") + index)
        for part in _unbroken(line.points):
            xs, ys = zip(*part, strict=True)
            figure.plot(xs, ys, lc=COLOURS[index], marker=marker)
    names = [_name(index, line, shown, colours=colours) for index, line in enumerate(shown)]
    rest = f" and {len(curves) - len(shown)} more" if len(curves) > len(shown) else ""
    return "\n".join([f"{title}   {'   '.join(names)}{rest}", str(figure.show()), ""])


def _set_limits(figure: Any, points: Sequence[tuple[float, float]]) -> None:
    """Set the limits from the smallest number to the largest plus one dot: plotille omits the upper limit."""
    xs, ys = zip(*points, strict=True)
    figure.set_x_limits(*_limits(xs, dots=2 * figure.width))  # a character has two by four dots
    figure.set_y_limits(*_limits(ys, dots=4 * figure.height))


def _limits(numbers: Sequence[float], *, dots: int) -> tuple[float, float]:
    low, high = min(numbers), max(numbers)
    if high - low < SMALLEST:
        margin = max(abs(low) / 10, 1.0)
        return low - margin, high + margin
    return low, high + (high - low) / (dots - 1)


def _name(index: int, line: Curve, shown: Sequence[Curve], *, colours: bool) -> str:
    label = one_line(line.label)
    if not colours:
        return label if len(shown) == 1 else f"{chr(ord('a') + index)} {label}"
    import plotille  # noqa: PLC0415 - imported already

    return str(plotille.color(f"━ {label}", fg=COLOURS[index], mode="names"))


def _tick(value: float, chars: int, delta: float, left: bool = False) -> str:  # noqa: FBT001, FBT002 - how plotille calls
    """A number at an axis, padded to the given number of characters."""
    del delta
    text = f"{value:.{max(1, min(6, chars - 6))}g}"
    return text.ljust(chars) if left else text.rjust(chars)


def _tick_of_bytes(value: float, chars: int, delta: float, left: bool = False) -> str:  # noqa: FBT001, FBT002 - the same
    """The same, as a size such as `295M` at the y axis, whose numbers are at the right."""
    return _tick(value, chars, delta, left) if left else size_text(max(0, round(value))).rjust(chars)


def _unbroken(points: Sequence[tuple[float, float]]) -> list[list[tuple[float, float]]]:
    """The runs of points between NaNs."""
    parts: list[list[tuple[float, float]]] = [[]]
    for point in points:
        if _is_finite(point):
            parts[-1].append(point)
        elif parts[-1]:
            parts.append([])
    return [part for part in parts if part]


def _is_finite(point: Any) -> bool:
    return all(map(math.isfinite, point))
