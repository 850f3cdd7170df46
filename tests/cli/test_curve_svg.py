from __future__ import annotations

import math
import re
from xml.etree import ElementTree as ET

from nemorun_cli.cli.curve_svg import LIGHT, MOST_NAMED, page, picture
from nemorun_cli.cli.plotting import Curve

SVG = "{http://www.w3.org/2000/svg}"
HOSTILE = "</text><script>alert(1)</script>&\x00\u202e\ud800"


def parsed(text: str) -> ET.Element:
    """The root of a picture of ours."""
    return ET.fromstring(text)  # noqa: S314 - our own


def drawn(curves: dict[str, list[Curve]], *, is_log: bool = False) -> ET.Element:
    """The picture, which is XML."""
    return parsed(picture("title", curves, is_log=is_log))


def line(label: str, *values: float) -> Curve:
    """A curve over its rows."""
    return Curve(label, [(float(index), value) for index, value in enumerate(values)], "step")


def texts(svg: ET.Element) -> list[str]:
    """All texts in it."""
    return [each.text or "" for each in svg.iter(f"{SVG}text")]


def parts_of(svg: ET.Element, name: str) -> list[list[tuple[float, float]]]:
    """The lines of a class in the field, without that of the legend."""
    return [
        [(float(x), float(y)) for x, y in (pair.split(",") for pair in each.attrib["points"].split())]
        for each in svg.iter(f"{SVG}polyline")
        if each.attrib["class"] == name
    ][:-1]


def test_nan_interrupts_a_curve() -> None:
    """A line has a gap where there is no number, and where it ends with NaN that is written."""
    svg = drawn({"loss": [line("a", 1, 2, math.nan, 2, 1, math.nan)]})
    assert [len(part) for part in parts_of(svg, "c0")] == [2, 2]
    assert "NaN" in texts(svg)


def test_ticks_are_round_and_inside() -> None:
    """An axis has a few round numbers between the ends of its range."""
    svg = drawn({"loss": [line("a", 0.013, 0.971)]})
    assert {"0.2", "0.4", "0.6", "0.8"} <= set(texts(svg))
    svg = drawn({"loss": [line("a", 1_000_000, 1_000_001)]})
    labels = [text for text in texts(svg) if text.startswith(("1e6", "1,000,00", "1000000", "1.0"))]
    assert len(set(labels)) == len(labels)


def test_a_logarithmic_axis_has_decades_and_says_what_it_leaves_out() -> None:
    """Equal factors are equal distances, and numbers of zero or less are counted."""
    svg = drawn({"loss": [line("a", 1, 0.1, 0.01, 0, -1)]}, is_log=True)
    (part,) = parts_of(svg, "c0")
    heights = [y for _, y in part]
    assert round(heights[1] - heights[0], 1) == round(heights[2] - heights[1], 1)
    assert {"1", "0.1", "0.01", "2 points of 0 or less not drawn"} <= set(texts(svg))


def test_curves_are_told_apart_beyond_their_colours() -> None:
    """From the seventh on lines are dashed; what has no colour is grey, below the others, and counted."""
    svg = drawn({"loss": [line(f"run {index}", index, index + 1) for index in range(MOST_NAMED + 3)]})
    styles = {
        (each.attrib["class"], each.attrib.get("stroke-dasharray"))
        for each in svg.iter(f"{SVG}polyline")
        if each.attrib["class"] != "rest"
    }
    assert len(styles) == MOST_NAMED
    assert next(svg.iter(f"{SVG}polyline")).attrib["class"] == "rest"
    assert "and 3 more, in grey" in texts(svg)


def test_texts_are_escaped() -> None:
    """Names that try markup, control characters or lone surrogates are texts of a valid file."""
    svg = picture(HOSTILE, {HOSTILE: [line(HOSTILE, 1, 2)]})
    found = parsed(svg)
    assert not list(found.iter(f"{SVG}script"))
    assert any("<script>alert(1)</script>" in text and "\\x00" in text for text in texts(found))
    assert "<script" not in page(HOSTILE, svg)


def test_a_picture_is_light_or_dark_and_asks_for_nothing() -> None:
    """It has both sets of colours, and no address."""
    svg = picture("t", {"loss": [line("a", 1, 2)]})
    assert "@media (prefers-color-scheme:dark)" in svg
    assert all(colour in svg for colour in LIGHT)
    assert not re.findall(r"https?://(?!www\.w3\.org/2000/svg)", page("t", svg))


def test_numbers_of_any_size_are_drawn() -> None:
    """Nothing, one number, equal numbers and the largest floats each give a picture of finite places."""
    for values in ((), (5.0,), (3.0, 3.0), (-1e300, 1e300), (5e-324, 1e-320), (math.nan, math.nan)):
        for is_log in (False, True):
            text = picture("t", {"loss": [line("a", *values)]}, is_log=is_log)
            parsed(text)
            assert "nan," not in text
            assert "inf" not in text
