"""Curves as an SVG picture, light or dark as its reader prefers, with a chart for each key."""

from __future__ import annotations

import html
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from nemorun_cli.model.control_characters import escaped
from nemorun_cli.model.units import size_text

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from nemorun_cli.cli.plotting import Curve

Point = tuple[float, float]

WIDTH: Final = 860  # pixels
PLOT: Final = 260  # the height of the field of a chart
LEFT, RIGHT, TOP, BOTTOM = 64, 16, 44, 42  # around the field
LEGEND_LINE: Final = 18
LEGEND_GAP: Final = 24
LETTER: Final = 6.7  # the widest that a letter of the legend usually is
MOST_LABEL: Final = 60  # characters of a name; a longer one is shown without its middle
MOST_NAMED: Final = 24  # curves that have a colour and a name: more would look alike
MOST_CHARTS: Final = 48
TICKS: Final = 6
SMALLEST_PLAIN, LARGEST_PLAIN = 1e-3, 1e6  # what reads well without an exponent
NARROW: Final = 1e-12  # of its values: a range that is no range

LIGHT: Final = (
    *("#4130C9", "#AB5601", "#248670", "#940887", "#A78708", "#1593DE"),
    *("#704941", "#7E4FFD", "#323E07", "#EB2E6E", "#1C0C52", "#848FA9"),
)
DARK: Final = (
    *("#9CB7FF", "#FE7F20", "#33DA88", "#D27CBF", "#D3EA2E", "#A1E5FE"),
    *("#B04D06", "#A585FC", "#6CB179", "#FEC5C6", "#4268D4", "#868686"),
)
DASHED_FROM: Final = 6  # colours alone do not distinguish more curves
SANS: Final = "Inter,ui-sans-serif,system-ui,'Segoe UI',Roboto,'DejaVu Sans',sans-serif"


@dataclass(frozen=True, slots=True)
class Span:
    """What an axis shows, in the numbers of the data."""

    low: float
    high: float
    is_log: bool = False

    def place(self, value: float) -> float:
        """Where a value is, from 0 to 1."""
        if self.is_log:
            return math.log10(value / self.low) / math.log10(self.high / self.low)
        # Halves: the difference of two large numbers may be no number.
        return (value / 2 - self.low / 2) / (self.high / 2 - self.low / 2)


def picture(title: str, curves: dict[str, list[Curve]], *, is_log: bool = False) -> str:
    """The picture.

    Args:
        title: of the whole.
        curves: of each key, as `metrics_view.curves_of` returns them.
        is_log: whether the values are on logarithmic axes.
    """
    charts, top = [], 16.0
    for key, lines in list(curves.items())[:MOST_CHARTS]:
        chart, height = _chart(key, lines, is_log=is_log)
        charts.append(f'<g transform="translate(0 {_px(top)})">{chart}</g>')
        top += height + 16
    if (left_out := len(curves) - MOST_CHARTS) > 0:
        charts.append(_text(LEFT, top + 12, f"{left_out} more are not drawn; choose with --key", "note"))
        top += 28
    shown = _xml(title)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {_px(top)}" width="{WIDTH}" '
        f'height="{_px(top)}" role="img" aria-label="{shown}"><title>{shown}</title>'
        f'<style>{_style()}</style><rect class="ground" width="{WIDTH}" height="{_px(top)}"/>'
        f"{''.join(charts)}</svg>\n"
    )


def page(title: str, svg: str) -> str:
    """An HTML page with a picture; it asks for nothing, and has no script."""
    policy = "default-src 'none'; style-src 'unsafe-inline'"
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<meta name="color-scheme" content="light dark"><title>{_xml(title)}</title>'
        "<style>body{margin:0;background:#FAFAF8}svg{display:block;max-width:100%;height:auto;margin:auto}"
        "@media (prefers-color-scheme:dark){body{background:#0F1215}}</style></head>"
        f"<body>{svg}</body></html>\n"
    )


def _style() -> str:
    rules = [
        f"text{{font:11px {SANS};fill:#61676E}}",
        "text.head{font-size:13px;font-weight:600;fill:#17191C}",
        "text.name{font-size:12px;fill:#474C52}",
        "text.mark{stroke:#FFFFFF;stroke-width:3;paint-order:stroke;stroke-linejoin:round}",
        "circle{stroke-width:1.5}",
        ".ground,circle{fill:#FFFFFF}",
        ".grid{stroke:#E5E5E0}",
        ".minor{stroke:#C9C9C2}",
        "polyline{fill:none;stroke-width:1.5;stroke-linejoin:round}",
        ".rest{stroke:#C9C9C2;stroke-width:1}",
        *(f".c{index}{{stroke:{colour}}}" for index, colour in enumerate(LIGHT)),
    ]
    dark = [
        "text{fill:#8E97A0}",
        "text.head{fill:#E9ECEF}",
        "text.name{fill:#B1B9C1}",
        ".ground,circle{fill:#15191D}",
        "text.mark{stroke:#15191D}",
        ".grid{stroke:#262C32}",
        ".minor,.rest{stroke:#3C444C}",
        *(f".c{index}{{stroke:{colour}}}" for index, colour in enumerate(DARK)),
    ]
    return f"{''.join(rules)}@media (prefers-color-scheme:dark){{{''.join(dark)}}}"


def _chart(key: str, curves: Sequence[Curve], *, is_log: bool) -> tuple[str, float]:
    """The elements of one chart, and its height."""
    hidden = sum(is_log and y <= 0 for curve in curves for _, y in curve.points)
    drawn = [list(_drawn(curve.points, is_log=is_log)) for curve in curves]
    finite = [point for points in drawn for point in points if all(map(math.isfinite, point))]
    x = _span([point[0] for point in finite], rises=True)
    y = _span([point[1] for point in finite], is_log=is_log)
    wide = WIDTH - LEFT - RIGHT
    parts = [_text(LEFT - 44, 18, _middle(key, 90), "head")]
    are_bytes = bool(curves) and curves[0].are_bytes
    for value, is_labelled in _ticks(y):
        level = TOP + PLOT * (1 - y.place(value))
        if is_labelled:
            parts.append(_line(LEFT, level, WIDTH - RIGHT, level, "grid"))
            label = size_text(round(value)) if are_bytes and value > 0 else _number(value, y)
            parts.append(_text(LEFT - 8, level + 4, label, anchor="end"))
        else:
            parts.append(_line(LEFT - 4, level, LEFT, level, "minor"))
    for value, _ in _ticks(x):
        parts.append(_text(LEFT + wide * x.place(value), TOP + PLOT + 18, _number(value, x), anchor="middle"))
    over = curves[0].over if curves else ""
    parts.append(_text(WIDTH - RIGHT, TOP + PLOT + 34, over, anchor="end"))
    places = [
        [
            (LEFT + wide * x.place(a), TOP + PLOT * (1 - y.place(b))) if _is_finite(a, b) else None
            for a, b in points
        ]
        for points in drawn
    ]
    order = [*range(MOST_NAMED, len(curves)), *range(min(MOST_NAMED, len(curves)))]
    for index in order:  # those without a name below the others
        parts += _polylines(places[index], _class(index), _dashes(index))
    for index in order:
        parts += _nan_mark(places[index], curves[index].points, _class(index))
    if not finite:
        parts.append(_text(LEFT + wide / 2, TOP + PLOT / 2, "no numbers yet", anchor="middle"))
    legend, height = _legend(curves)
    parts.append(f'<g transform="translate(0 {TOP + PLOT + BOTTOM})">{legend}</g>')
    if hidden:
        note = f"{hidden:,} {'point' if hidden == 1 else 'points'} of 0 or less not drawn"
        parts.append(_text(WIDTH - RIGHT, 18, note, "note", anchor="end"))
    return "".join(parts), TOP + PLOT + BOTTOM + height


def _drawn(points: Sequence[Point], *, is_log: bool) -> Iterator[Point]:
    for x, y in points:
        yield x, math.nan if is_log and y <= 0 else y


def _is_finite(x: float, y: float) -> bool:
    return math.isfinite(x) and math.isfinite(y)


def _span(values: Sequence[float], *, is_log: bool = False, rises: bool = False) -> Span:
    """The range of an axis, with a little room around values."""
    if not values:
        return Span(1.0, 10.0, is_log) if is_log else Span(0.0, 1.0)
    low, high = min(values), max(values)
    if is_log:
        if high / low < 1 + 1e-9:
            return Span(low / 2, high * 2, is_log=True)
        room = (high / low) ** 0.04
        return Span(low / room, high * room, is_log=True)
    if high / 2 - low / 2 <= NARROW * max(abs(low), abs(high)):
        room = max(abs(low) / 10, 1e-9) if low else 1.0
        return Span(low - room, high + room)
    room = 0 if rises else high * 0.04 - low * 0.04
    return Span(low - room, high + room)


def _ticks(span: Span) -> list[tuple[float, bool]]:
    """Round values on an axis, and whether each has a label."""
    if span.is_log:
        first, last = math.ceil(math.log10(span.low) - 1e-9), math.floor(math.log10(span.high) + 1e-9)
        if last - first >= 1:
            step = -(-(last - first) // TICKS)
            decades = range(first, last + 1)
            ticks = [(10.0**power, (power - first) % step == 0) for power in decades]
            if step == 1:
                minor = (
                    10.0**power * digit for power in range(first - 1, last + 1) for digit in range(2, 10)
                )
                ticks += [(value, False) for value in minor if span.low <= value <= span.high]
            return sorted(ticks)
    raw = (span.high / 2 - span.low / 2) / TICKS * 2
    size = 10.0 ** math.floor(math.log10(raw))
    step_size = next(size * factor for factor in (1, 2, 5, 10) if size * factor >= raw * 0.999)
    number = math.ceil(span.low / step_size - 1e-9)
    found: list[tuple[float, bool]] = []
    while number * step_size <= span.high + step_size * 1e-9 and len(found) <= 2 * TICKS:
        value = number * step_size
        if value >= span.low and (value > 0 or not span.is_log):
            found.append((value, True))
        number += 1
    return found


def _number(value: float, span: Span) -> str:
    size = max(abs(span.low), abs(span.high))
    if value == 0 or abs(value) < NARROW * size:
        return "0"
    step = max((span.high / 2 - span.low / 2) / TICKS * 2, size * NARROW)
    digits = 3 if span.is_log else max(3, math.ceil(math.log10(size / step)) + 1)
    mantissa, _, power = f"{value:.{digits}g}".partition("e")
    if not power:
        return mantissa
    if SMALLEST_PLAIN <= abs(value) < LARGEST_PLAIN:
        return f"{value:,.0f}"
    return f"{mantissa}e{int(power)}"


def _class(index: int) -> str:
    return f"c{index % len(LIGHT)}" if index < MOST_NAMED else "rest"


def _dashes(index: int) -> str:
    if DASHED_FROM <= index < len(LIGHT):
        return ' stroke-dasharray="7 3"'
    return ' stroke-dasharray="2 3"' if len(LIGHT) <= index < MOST_NAMED else ""


def _polylines(places: Sequence[Point | None], name: str, dashes: str) -> Iterator[str]:
    """A line for each part without a gap; a point between two gaps is a short one."""
    part: list[Point] = []
    for place in [*places, None]:
        if place is not None:
            part.append(place)
            continue
        if part:
            ends = part if len(part) > 1 else [(part[0][0] - 1.5, part[0][1]), (part[0][0] + 1.5, part[0][1])]
            text = " ".join(f"{_px(x)},{_px(y)}" for x, y in ends)
            yield f'<polyline class="{name}"{dashes} points="{text}"/>'
        part = []


def _nan_mark(places: Sequence[Point | None], points: Sequence[Point], name: str) -> Iterator[str]:
    """A cross in a ring where a curve ends with NaN, and has no number after it."""
    last = next((index for index in reversed(range(len(places))) if places[index] is not None), None)
    if last is None or last == len(places) - 1 or not math.isnan(points[-1][1]):
        return
    place = places[last]
    if place is not None:
        x, y = place
        yield f'<circle class="{name}" cx="{_px(x)}" cy="{_px(y)}" r="5"/>'
        for sign in (-1, 1):
            yield _line(x - 2.5, y - 2.5 * sign, x + 2.5, y + 2.5 * sign, name)
        yield _text(x + 9, y + 4, "NaN", "mark")


def _legend(curves: Sequence[Curve]) -> tuple[str, float]:
    """The names in rows, and their height."""
    parts, x, y = [], float(LEFT), 14.0
    named = [_middle(curve.label, MOST_LABEL) for curve in curves[:MOST_NAMED]]
    if (rest := len(curves) - MOST_NAMED) > 0:
        named.append(f"and {rest:,} more, in grey")
    for index, name in enumerate(named):
        width = 30 + LETTER * len(name)
        if x > LEFT and x + width > WIDTH - RIGHT:
            x, y = float(LEFT), y + LEGEND_LINE
        ends = f"{_px(x)},{_px(y - 4)} {_px(x + 22)},{_px(y - 4)}"
        sample = f'<polyline class="{_class(index)}"{_dashes(index)} points="{ends}"/>'
        parts += [sample, _text(x + 28, y, name, "name")]
        x += width + LEGEND_GAP
    return "".join(parts), y + 10


def _middle(text: str, most: int) -> str:
    """A name without its middle if it is long: its end distinguishes it."""
    shown = escaped(text)
    if len(shown) <= most:
        return shown
    end = most * 2 // 3
    return f"{shown[: most - end - 1]}…{shown[-end:]}"


def _line(x: float, y: float, to_x: float, to_y: float, name: str) -> str:
    return f'<line class="{name}" x1="{_px(x)}" y1="{_px(y)}" x2="{_px(to_x)}" y2="{_px(to_y)}"/>'


def _text(x: float, y: float, text: str, name: str = "", *, anchor: str = "start") -> str:
    kind = f' class="{name}"' if name else ""
    return f'<text{kind} x="{_px(x)}" y="{_px(y)}" text-anchor="{anchor}">{_xml(text)}</text>'


def _xml(text: str) -> str:
    """A text for XML, which has no control characters and no lone surrogates."""
    return html.escape(escaped(text)).encode("utf-8", errors="replace").decode()


def _px(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0")
