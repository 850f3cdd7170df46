from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from hypothesis import given, settings
from hypothesis import strategies as st
from support.extent import amount

from nemorun_cli.model import step_cache
from nemorun_cli.model.step_cache import Fingerprint

if TYPE_CHECKING:
    from collections.abc import Mapping

NAMES = st.sampled_from(["run", "args", "param:lr", "input:a", "input:b", "parent:prepare", "also", "newer"])
PARTS = st.dictionaries(NAMES, st.text(max_size=3), max_size=6)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-2, 2) | st.floats(allow_nan=False) | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=2), inner, max_size=3),
    max_leaves=6,
)


@settings(max_examples=amount(50, long=1000))
@given(PARTS, PARTS)
def test_fingerprints_are_equal_exactly_if_their_parts_are(
    one: Mapping[str, str], other: Mapping[str, str]
) -> None:
    """Two fingerprints have one id exactly if they have the same parts; `changes` names the others."""
    first, second = Fingerprint.of(one), Fingerprint.of(other)

    assert (first.id == second.id) == (one == other)
    assert set(first.changes(second)) == {n for n in {**one, **other} if one.get(n) != other.get(n)}
    assert Fingerprint.of(dict(reversed(one.items()))).id == first.id


def test_the_id_of_a_fingerprint_stays() -> None:
    """A later version finds what this version kept: the id of the same parts is the same."""
    assert Fingerprint({"run": '"x"', "input:é": "sha256:0"}).id == "65ae83b84eee8f511a52c0320bfb5b8d"


@settings(max_examples=amount(50, long=2000))
@given(VALUES, VALUES)
def test_a_canonical_text_is_a_value_s_own(one: Any, other: Any) -> None:
    """Values have one canonical text exactly if their JSON is the same, whatever the order of keys."""
    same = json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)

    assert (step_cache.canonical(one) == step_cache.canonical(other)) == same
    assert (step_cache.short(one) == step_cache.short(other)) == same


def test_a_long_value_is_a_digest() -> None:
    """A part never grows with its value, and a text that looks like a digest is none."""
    long = step_cache.short(["x"] * 1000)

    assert long == step_cache.digest(["x"] * 1000)
    assert len(long) < step_cache.MOST_TEXT
    assert step_cache.short(long) != long
