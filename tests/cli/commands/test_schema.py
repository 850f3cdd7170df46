from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from support.workspace import Exp


def test_a_part_is_explained(exp: Exp) -> None:
    """`exp schema tasks.retry` tells each key of it."""
    shown = exp("schema", "tasks.retry").stdout
    for key in ("limit", "delay", "backoff", "max_delay"):
        assert f"    {key}\n" in shown


def test_without_a_path_the_whole_is_explained(exp: Exp) -> None:
    """`exp schema` tells the keys of a spec."""
    assert "    tasks\n" in exp("schema").stdout


def test_an_unknown_key_gets_what_is_there(exp: Exp) -> None:
    """A key that is not there is exit code 3, with the nearest."""
    assert "did you mean max_parallel" in exp("schema", "run.max_paralel", code=3).stderr


def test_the_schema_itself(exp: Exp) -> None:
    """`--json` is that part of the JSON Schema."""
    assert exp("schema", "--json").json["$schema"].startswith("https://json-schema.org/")
    assert "$defs" in exp("schema", "tasks.retry", "--json").json


def test_a_key_that_reads_as_a_name_gets_the_nearest(exp: Exp) -> None:
    """A misspelt key where a name may stand is explained as a name, with the key it may be meant to be."""
    assert "did you mean tasks.retry?" in exp("schema", "tasks.rtry").stderr
    assert "did you mean" not in exp("schema", "tasks.train").stderr
