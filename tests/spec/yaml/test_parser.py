from __future__ import annotations

import contextlib
import math
import re
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from nemorun_cli.errors import SpecError
from nemorun_cli.model.plain_text import text_of
from nemorun_cli.model.problems import Finding
from nemorun_cli.spec.yaml import parser
from nemorun_cli.spec.yaml.parser import option_value, parse
from nemorun_cli.spec.yaml.source import SpecSource, open_source

if TYPE_CHECKING:
    from pathlib import Path


def read(text: str) -> Any:
    return parse(SpecSource(text, file="spec.yaml"))


def refused(text: str) -> list[str]:
    with pytest.raises(SpecError) as caught:
        read(text)
    return [str(problem) for problem in caught.value.problems]


CORE = [
    ("on", "on"),
    ("no", "no"),
    ("yes", "yes"),
    ("12:00:00", "12:00:00"),
    ("2026-01-01", "2026-01-01"),
    ("1_000", "1_000"),
    ("1e-3", 0.001),
    ("1e3", 1000.0),
    ("010", 10),
    ("0o17", 15),
    ("0x1F", 31),
    ("0b1", "0b1"),
    ("+5", 5),
    ("-5", -5),
    (".5", 0.5),
    ("5.", 5.0),
    (".", "."),
    ("+", "+"),
    (".inf", math.inf),
    ("-.Inf", -math.inf),
    ("inf", "inf"),
    ("nan", "nan"),
    ("~", None),
    ("null", None),
    ("Null", None),
    ("nULL", "nULL"),
    ("true", True),
    ("False", False),
    ("TRUE", True),
    ("tRUE", "tRUE"),
    ("0o8", "0o8"),
    ("0xG", "0xG"),
    ("1.2.3", "1.2.3"),
    ("=", "="),
    ("٣", "٣"),
]


@pytest.mark.parametrize(("text", "value"), CORE)
def test_plain_scalars_follow_the_core_schema(text: str, value: object) -> None:
    """A plain scalar is what YAML 1.2's core schema says, in specs and in options alike."""
    for found in (read(f"x: {text}")["x"], option_value(text)):
        assert found == value
        assert isinstance(found, type(value))


def test_nan_is_a_number() -> None:
    """`.nan` is a number that equals nothing."""
    assert math.isnan(read("x: .nan")["x"])


@given(st.text(alphabet="0123456789+-.eExoabfnilNIF~_:", max_size=8))
def test_scalars_agree_with_the_grammar_of_the_core_schema(text: str) -> None:
    """What looks like a number, null or a boolean is decided by the table of the core schema alone."""
    value = option_value(text)
    table = {
        "null": r"null|Null|NULL|~|",
        "bool": r"true|True|TRUE|false|False|FALSE",
        "int": r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+",
        "float": r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)",
    }
    kind = next((name for name, pattern in table.items() if re.fullmatch(pattern, text)), "str")
    kinds = {type(None): "null", bool: "bool", str: "str"}
    found = kinds.get(type(value)) or ("int" if isinstance(value, int) else "float")
    assert found == kind


def test_numbers_remember_how_they_were_written() -> None:
    """A number becomes the text that was written: `3.10` stays `3.10`."""
    values = read("x: [3.10, 010, 1e-3, 1.0, 7]")["x"]

    assert [text_of(value) for value in values] == ["3.10", "010", "1e-3", "1.0", "7"]


def test_quoted_scalars_are_text() -> None:
    """Quotes make text of whatever they hold."""
    assert read("""x: ["1", 'true', "", '~']""")["x"] == ["1", "true", "", "~"]


def test_duplicate_keys_are_all_refused_at_their_second_place() -> None:
    """A key that is there twice is a problem, with the place of the second."""
    assert refused("a: {x: 1, x: 2}\nb: 1\nb: 2\n") == [
        "spec.yaml:1:11: a.x: duplicate key 'x' (remove one of them)",
        "spec.yaml:3:1: b: duplicate key 'b' (remove one of them)",
    ]


@pytest.mark.parametrize(
    "tagged",
    ["!!python/object/apply:os.system [id]", "!foo x", "!!binary eA==", "!!set {a}", "!!timestamp x"],
)
def test_tags_are_refused(tagged: str) -> None:
    """A tag other than those of the core schema is refused, whatever it stands for."""
    (problem,) = refused(f"x: {tagged}\n")

    assert "the tag" in problem


def test_core_tags_are_taken() -> None:
    """The core schema's own tags convert, and are refused where they do not fit."""
    assert read("x: [!!str 1, !!float 3, !!int 010, !!null ~, ! 5]")["x"] == ["1", 3.0, 10, None, "5"]
    assert read("x: !!map {a: !!seq [1]}")["x"] == {"a": [1]}
    assert "not a valid !!int" in refused("x: !!int abc")[0]


def test_alias_bomb_is_refused_without_being_expanded() -> None:
    """Aliases that multiply to billions of values are refused at once."""
    levels = [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 12)]

    assert "aliases" in refused("a0: &a0 [x, x]\n" + "\n".join(levels))[0]


def test_aliases_and_merge_keys_work() -> None:
    """An alias repeats its anchor, and << takes in a mapping, whose keys yield to written ones."""
    data = read("a: &a {x: 1, y: 2}\nb: {<<: *a, y: 3}\nc: {<<: [*a, {z: 4}]}\nd: *a\n")

    assert data["b"] == {"x": 1, "y": 3}
    assert data["c"] == {"x": 1, "y": 2, "z": 4}
    assert data["d"] == data["a"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: &a [*a]", "inside the value that it repeats"),
        ("a: *x", "no anchor"),
        ("a: 1\n---\nb: 2\n", "second document"),
        ("a: [1", "is not YAML"),
        ("a:\n\t- b", "is not YAML"),
        ("a: \x01", "is not YAML"),
        ("1: x", "a key must be text"),
        ("[a]: x", "a key must be text"),
        ("a: " + "[" * 100 + "]" * 100, "nested more than"),
        ("a: " + "9" * 2000, "digits"),
        ("a: {<<: 3}", "needs a mapping"),
    ],
)
def test_what_is_no_plain_document_is_refused(text: str, message: str) -> None:
    """Recursion, several documents, wrong syntax, keys that are no text and endless nesting are problems."""
    assert message in refused(text)[0]


def test_works_the_same_without_the_c_loader(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where PyYAML was built without libyaml the pure loader gives the same."""
    text = "a: [1, {b: 010}]\nc: &x {d: on}\ne: *x\n"
    fast = read(text)
    monkeypatch.setattr(parser, "_Loader", yaml.SafeLoader)

    assert read(text) == fast


def test_position_is_that_of_the_key_or_the_value() -> None:
    """A finding is placed at its key, at its value, or at a part of the value's text."""
    source = SpecSource("a:\n  b: |\n    echo\n    echo ${{ x }}\n<<: {c: 1}\n", file="s.yaml")
    findings = [
        Finding(place=("a", "b"), on_key=True, message="key"),
        Finding(place=("a", "b"), message="value"),
        Finding(place=("a", "b"), message="part", needle="${{ x }}"),
        Finding(place=("c",), message="merged"),
        Finding(place=("a", "nowhere", "x"), message="around"),
    ]

    found = {problem.message: (problem.line, problem.column) for problem in map(source.problem, findings)}

    assert found == {"key": (2, 3), "value": (2, 6), "part": (4, 10), "merged": (5, 9), "around": (2, 3)}


def test_columns_count_characters() -> None:
    """What stands behind characters of several bytes is placed by characters."""
    source = SpecSource("ä: {ö: 1, ü: 2}\n", file="s.yaml")

    problem = source.problem(Finding(place=("ä", "ü"), on_key=True, message="m"))

    assert problem.column == 11


@pytest.mark.parametrize(
    ("content", "message"), [(b"\xff\xfea", "not UTF-8"), (b"a: \xe4", "not UTF-8"), (None, "is a directory")]
)
def test_what_cannot_be_read_is_said(tmp_path: Path, content: bytes | None, message: str) -> None:
    """A folder, a missing file and a file that is no UTF-8 are problems that say so."""
    path = tmp_path / "spec.yaml"
    path.write_bytes(content) if content is not None else path.mkdir()

    with pytest.raises(SpecError) as caught:
        open_source(path)

    assert message in str(caught.value.problems[0])


def test_missing_file_is_said(tmp_path: Path) -> None:
    """A file that is not there is a problem, not a traceback."""
    with pytest.raises(SpecError) as caught:
        open_source(tmp_path / "none.yaml")

    assert "does not exist" in str(caught.value.problems[0])


def test_byte_order_mark_is_passed_over(tmp_path: Path) -> None:
    """A byte order mark that an editor left is no part of the first key."""
    path = tmp_path / "spec.yaml"
    path.write_bytes(b"\xef\xbb\xbfa: 1\n")

    assert parse(open_source(path)) == {"a": 1}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("a: b", "a: b"),
        ("# x", "# x"),
        ("*x", "*x"),
        ("{a: 1, b: [x, 010]}", {"a": 1, "b": ["x", 10]}),
        ('"5"', "5"),
        ("'5'", "5"),
        ("'a' or 'b'", "'a' or 'b'"),
        ("", None),
        ("a\nb", "a\nb"),
    ],
)
def test_options_take_scalars_and_flow_collections(text: str, value: object) -> None:
    """In an option only brackets and quotes are YAML; all other text is taken as it is."""
    assert option_value(text) == value


@pytest.mark.parametrize("text", ["[a", "{a: b", "[!!python/name:os.system x]", "[a]: b"])
def test_options_with_broken_collections_are_refused(text: str) -> None:
    """A collection in an option that is no YAML is refused with what is wrong."""
    with pytest.raises(ValueError, match=r".+"):
        option_value(text)


@given(st.text())
def test_any_text_is_data_or_a_problem(text: str) -> None:
    """No text makes the reader fail in another way than by problems."""
    with contextlib.suppress(SpecError):
        read(text)
