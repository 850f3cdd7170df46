from __future__ import annotations

import functools
import json
import re
from typing import TYPE_CHECKING

import pytest
from jsonschema import Draft202012Validator

from nemorun_cli.spec.schema import published, subschemas

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


def test_below_a_type_are_only_its_options(exp: Exp) -> None:
    """An option of another type is unknown below the name of a type, and so it is for a plugin."""
    for path in ("executors.docker.time", "plugins.notifi", "plugins.notify.onn", "plugins.notify.with"):
        assert "has no key" in exp("schema", path, code=3).stderr
    assert "did you mean notify?" in exp("schema", "plugins.notifi", code=3).stderr
    assert "    webhook\n" in exp("schema", "plugins.notify").stdout
    assert "plugins.notify.on" in exp("schema", "plugins.notify.on").stdout
    assert "launcher.torchrun.nnodes" in exp("schema", "tasks.launcher.torchrun.nnodes").stdout


PATHS = [
    *("", "tasks", "tasks.retry", "tasks.train.retry.limit", "tasks.retry.limt", "tasks.rtry", "retry.limit"),
    *("plugins", "plugins.uses", "plugins.notify", "plugins.env", "plugins.notifi", "plugins.0.uses"),
    *(
        "executors.slurm",
        "executors.docker.time",
        "executors.slurm.time",
        "executors.c.time",
        "executors.c.tim",
    ),
    *("tasks.launcher.torchrun", "tasks.launcher.torchrun.nnodes", "tasks.launcher.torchrun.nnode"),
    *("executors.cluster.tunnel.host", "run.max_paralel", "params.lr.type", "env.A", "packager.dirty"),
    *("secrets.A.env", "defaults.timeout", "on_exit.clean.command", "tasks.matrix", "tasks.group.command"),
]


INSTALLED = functools.cache(published.installed)


@pytest.mark.parametrize("path", PATHS)
def test_json_has_the_same_keys_and_hints(exp: Exp, monkeypatch: pytest.MonkeyPatch, path: str) -> None:
    """`--json` knows the paths that the text knows, and reports the others in the same words."""
    monkeypatch.setattr(published, "installed", INSTALLED)  # it takes longer than all else
    text, document = (exp("schema", *filter(None, [path]), *option, code=None) for option in ([], ["--json"]))
    assert document.code == text.code
    if text.code:
        assert json.loads(document.stdout)["message"] in text.stderr
    else:
        Draft202012Validator.check_schema(document.json)
        used = {name.removeprefix("#/$defs/").split("/")[0] for name in subschemas.references(document.json)}
        assert used == set(document.json.get("$defs", {}))
        assert document.stderr == "".join(
            line for line in text.stderr.splitlines(keepends=True) if "mean" in line
        )


def test_json_of_a_type_has_its_options(exp: Exp) -> None:
    """The part of a type checks an executor of this type."""
    is_valid = Draft202012Validator(exp("schema", "executors.slurm", "--json").json).is_valid
    assert is_valid({"type": "slurm", "time": "1:00"})
    assert not is_valid({"type": "slurm", "tim": "1:00"})
    is_valid = Draft202012Validator(exp("schema", "plugins.notify", "--json").json).is_valid
    assert not is_valid({"onn": ["end"]})


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
