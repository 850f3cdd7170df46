"""`exp schema --json` with packages that add executors, launchers, packagers and plugins."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from jsonschema import Draft202012Validator
from support.installed_packages import install_package

if TYPE_CHECKING:
    from pathlib import Path

    from support.workspace import Exp

ENTRY_POINTS = """
[nemorun_cli.executors]
far = extra:Far
broken = no_such_package:Broken
odd = extra:Odd

[nemorun_cli.launchers]
slow = extra:Slow

[nemorun_cli.packagers]
zip = extra:Zip

[nemorun_cli.plugins]
watch = extra:Watch
count = extra:Count
"""
EXTRA = """
print("loaded")


def options(**properties):
    return {"type": "object", "additionalProperties": False, "properties": properties}


class Far:
    options_schema = {**options(size={"$ref": "#/$defs/size"}), "$defs": {"size": {"type": "integer"}}}

    @classmethod
    def capabilities(cls, options):
        return None


class Odd(Far):
    options_schema = {"type": "no such type"}


class Slow:
    options_schema = options(by={"type": "number"})


class Zip:
    options_schema = options(level={"enum": [1, 9]})


class Watch:
    schema = options(mail={"type": "string", "format": "email"})


class Count:
    def __init__(self, *, limit, unit="s"):
        pass
"""


def task(**keys: Any) -> dict[str, Any]:
    return {"tasks": {"a": {"command": "echo", **keys}}}


def executor(**options: Any) -> dict[str, Any]:
    return {"executors": {"c": options}, **task()}


def plugin(uses: str, **options: Any) -> dict[str, Any]:
    return {"plugins": [{"uses": uses, "with": options}], **task()}


def test_the_schema_is_that_of_the_installation(exp: Exp, tmp_path: Path) -> None:
    """Installed parts are named and their options checked; what cannot be loaded is a warning."""
    site = install_package(tmp_path / "site", name="extra", entry_points=ENTRY_POINTS, module=EXTRA)
    printed = exp("schema", "--json", env={"PYTHONPATH": str(site)})
    Draft202012Validator.check_schema(printed.json)
    is_valid = Draft202012Validator(printed.json).is_valid
    warned = re.findall(r"warning: the (executor type '\w+') may have any options", printed.stderr)
    assert warned == ["executor type 'broken'", "executor type 'odd'"]
    assert "loaded" in printed.stderr

    assert is_valid(executor(type="far", size=3, env={"A": 1}))
    assert is_valid(executor(type="far", size="${{ params.size }}"))
    assert not is_valid(executor(type="far", size="3"))
    assert not is_valid(executor(type="far", sizes=3))
    assert not is_valid(executor(type="farr", size=3))
    assert is_valid(executor(type="broken", anything=1))
    assert is_valid(executor(type="slurm", time="1:00"))
    assert not is_valid(executor(type="slurm", tim="1:00"))
    assert is_valid(task(launcher={"slow": {"by": 2}}, packager={"type": "zip", "level": 9}))
    assert is_valid(task(launcher="slow", packager="zip"))
    assert not is_valid(task(launcher={"slow": {"bye": 2}}))
    assert not is_valid(task(packager={"type": "zip", "level": 5}))
    assert is_valid(plugin("watch", mail="a"))
    assert is_valid(plugin("watch", mail={"secret": {"env": "MAIL"}}))
    assert not is_valid(plugin("watch", mails="a"))
    assert is_valid(plugin("count", limit=3))
    assert not is_valid(plugin("count", limits=3))
    assert not is_valid(plugin("count", unit="m"))


def test_a_part_is_that_of_the_installation(exp: Exp) -> None:
    """The path of an option leads to its schema, whatever the executor is called."""
    part = exp("schema", "executors.cluster.shm_size", "--json").json
    assert "/dev/shm" in part["description"]  # noqa: S108 - not a file of the test
    assert not Draft202012Validator(part).is_valid("many")


ENDS = """
import os
import subprocess

os.write(1, b"written")
subprocess.run(["echo", "by a child"], check=True)
raise SystemExit(0)
"""


def test_a_package_that_ends_the_program_is_a_warning(exp: Exp, tmp_path: Path) -> None:
    """A package that calls sys.exit or writes to descriptor 1 when it is imported changes no document."""
    points = "[nemorun_cli.executors]\nfar = ends:Far\n[nemorun_cli.plugins]\nwatch = ends:Watch\n"
    site = install_package(tmp_path / "site", name="ends", entry_points=points, module=ENDS)
    printed = exp("schema", "--json", env={"PYTHONPATH": str(site)})
    is_valid = Draft202012Validator(printed.json).is_valid
    assert len(re.findall(r"warning: the (?:executor type 'far'|plugin 'watch') may", printed.stderr)) == 2
    assert "written" in printed.stderr
    assert "by a child" in printed.stderr
    assert is_valid(executor(type="far", anything=1))
    assert not is_valid(executor(type="slurm", tim="1:00"))
    spec = exp.spec("executors: {c: {type: far}}\ntasks: {a: {command: 'true', executor: c}}\n")
    refused = exp("validate", spec, env={"PYTHONPATH": str(site)}, code=2)
    assert "cannot be loaded: it ends the program when it is imported" in refused.stderr
