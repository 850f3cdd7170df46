"""The name that a title gives."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nemorun_cli.model import titles


@pytest.mark.parametrize(
    ("title", "name"),
    [
        ("My Experiment", "my-experiment"),
        ("  Über-große Läufe (v2.1) ", "uber-gro-e-laufe-v2-1"),
        ("ﬁne ½", "fine-1-2"),
        ("A_B.c", "a-b-c"),
        ("latest", "x-latest"),
        ("2026", "x-2026"),
        ("attempt 3", "x-attempt-3"),
        ("x" * 70, "x" * 64),
        ("日本", "experiment-5c4c1d"),
    ],
)
def test_names_of_titles(title: str, name: str) -> None:
    """Letters without their marks, digits, and one `-` for all between them."""
    found = titles.name_of(title)
    assert (
        found == name
        if not name.startswith("experiment-")
        else re.fullmatch(r"experiment-[0-9a-f]{6}", found)
    )


@given(st.text(min_size=1))
def test_every_title_gives_a_name(title: str) -> None:
    """Whatever the title is, the name is one; equal titles have equal names."""
    assert titles.NAME.match(titles.name_of(title))
    assert titles.name_of(title) == titles.name_of(title)
