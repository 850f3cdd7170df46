from __future__ import annotations

import re
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


def test_options_of_executors_are_explained(exp: Exp) -> None:
    """The options of a type are below its name; below any other name are those of all types."""
    assert "    shm_size\n" in exp("schema", "executors.docker").stdout
    assert "    shm_size\n" not in exp("schema", "executors.slurm").stdout
    assert "1-12:00:00" in exp("schema", "executors.cluster.time").stdout
    assert "as ssh takes it" in exp("schema", "executors.cluster.tunnel.host").stdout
    assert "did you mean time?" in exp("schema", "executors.cluster.tim", code=3).stderr


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


def test_each_path_in_a_hint_works(exp: Exp) -> None:
    """What a hint names as `exp schema PATH` is explained, from the whole spec down to a plain value."""
    path, lengths = "", []
    while named := _named(exp("schema", *filter(None, [path])).stderr):
        (path,) = named
        lengths.append(path.count("."))
    assert lengths == list(range(len(lengths)))
    assert len(lengths) > 1
    assert _named(exp("schema", "params.lr.type").stderr) == []


def test_a_key_of_another_place_leads_to_it(exp: Exp) -> None:
    """A key that is unknown here and known elsewhere gets the paths of it, each of which works."""
    for given, meant in (("matrix", "tasks.matrix"), ("retry.limit", "tasks.retry.limit")):
        named = _named(exp("schema", given, code=3).stderr)
        assert named[0] == meant
        for path in named:
            exp("schema", path)


def _named(text: str) -> list[str]:
    """The paths that a message names as `exp schema PATH`."""
    return re.findall(r"exp schema ([\w.]+)", text)
