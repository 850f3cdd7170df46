"""The scripts that make the published schemas and the types of JSON documents."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING, Any, Literal, get_type_hints

import pytest
from support.documents import ROOT
from support.scripts import module_of

if TYPE_CHECKING:
    from types import ModuleType

SOURCES = ROOT / "schemas" / "sources"


@pytest.fixture(scope="module")
def typed_documents() -> ModuleType:
    """The module that makes the types."""
    return module_of(SOURCES / "typed_documents.py")


def hints(typed_documents: ModuleType, **properties: Any) -> dict[str, Any]:
    """The types of the fields of a document with these properties, all of which are required."""
    schema = {
        "type": "object",
        "description": "A thing.",
        "properties": properties,
        "required": [*properties],
    }
    names: dict[str, Any] = {}
    exec(typed_documents.module({"thing": schema}), names)  # noqa: S102 - it is Python, which this shows
    return get_type_hints(names["ThingDocument"], names, names)


def test_values_of_a_schema_are_those_of_python(typed_documents: ModuleType) -> None:
    """Booleans, null, and texts with commas, bars and quotes are the same values in the type."""
    texts = [f"{letter * 30}, | ] {letter}" for letter in "abcd"] + ['"', "\\"]
    types = hints(
        typed_documents,
        on={"const": True},
        off={"enum": [False, 0]},
        none={"const": None},
        text={"enum": texts},
    )
    assert types == {
        "on": Literal[True],
        "off": Literal[False, 0],
        "none": type(None),
        "text": Literal[tuple(texts)],
    }


def test_two_lists_of_values_of_one_name_are_refused(typed_documents: ModuleType) -> None:
    """Two documents that define different values under one name would have one type for both."""

    def document(*values: str) -> dict[str, Any]:
        fields = {"word": {"$ref": "#/$defs/word"}}
        return {"description": "A thing.", "properties": fields, "$defs": {"word": {"enum": [*values]}}}

    with pytest.raises(SystemExit, match="two different lists of values would be called WordValue"):
        typed_documents.module({"one": document("a"), "other": document("b")})


@pytest.mark.parametrize(("option", "code"), [("--help", 0), ("--chek", 2), ("check", 2)])
def test_only_the_command_without_options_writes(option: str, code: int) -> None:
    """A misspelt option is an error, and changes no file."""
    before = {path: path.stat().st_mtime_ns for path in (ROOT / "schemas").rglob("*.json")}
    command = [sys.executable, SOURCES / "make.py", option]
    assert subprocess.run(command, capture_output=True, check=False).returncode == code
    assert {path: path.stat().st_mtime_ns for path in (ROOT / "schemas").rglob("*.json")} == before
