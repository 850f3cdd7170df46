from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from support.extent import amount

from nemorun_cli.model import metric_keys

NAMES = st.text(alphabet="ab/%.2FE0 :*[]=<\n", min_size=1, max_size=4)
FIELDS = st.lists(st.tuples(st.none() | NAMES, NAMES), max_size=6, unique=True)


@settings(max_examples=amount(60, long=3_000), deadline=None)
@given(FIELDS)
def test_each_field_has_a_key_of_its_own(fields: list[metric_keys.Field]) -> None:
    """No two fields have the same key; each is found by its key, and by its exact key if no key equals it."""
    titled = metric_keys.titles(fields)
    assert len(set(titled.values())) == len(fields)
    for field in fields:
        assert metric_keys.matching(titled[field], titled) == [field]
        by_exact = metric_keys.matching(metric_keys.exact(field), titled)
        assert by_exact == [field] or metric_keys.exact(field) in titled.values()
        assert metric_keys.is_wanted(field, [titled[field]])


def test_a_key_is_exact_only_where_it_has_to_be() -> None:
    """A field that shares its plain key with another one gets the encoded form."""
    titled = metric_keys.titles([("train", "loss"), (None, "train/loss"), (None, "lr"), ("a", "b/c")])
    assert list(titled.values()) == ["train/loss", "./train%2Floss", "lr", "a/b/c"]
    assert metric_keys.matching("./train%2Floss", titled) == [(None, "train/loss")]
    assert metric_keys.matching("a/b%2Fc", titled) == [("a", "b/c")]


def test_a_plain_key_of_two_fields_is_ambiguous() -> None:
    """Both are meant, so that the caller can name their keys."""
    titled = metric_keys.titles([("a", "b/c"), ("a/b", "c")])
    assert list(titled.values()) == ["a/b%2Fc", "a%2Fb/c"]
    assert metric_keys.matching("a/b/c", titled) == [("a", "b/c"), ("a/b", "c")]


def test_a_name_goes_before_a_glob() -> None:
    """A text with glob characters that is the name of a field selects this field alone."""
    fields = [("t", "a*b"), ("t", "a-b"), ("t", "acc[1]")]
    chosen = metric_keys.literal(["a*b", "acc[1]", "x*"], fields)
    assert [metric_keys.is_wanted(field, chosen) for field in fields] == [True, False, True]
    assert metric_keys.is_wanted(("t", "xy"), chosen)
