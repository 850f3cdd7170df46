"""No text of a spec is code: each place of the schemas, on every executor, with what shells and tools act on.

A text is written into the spec, or comes from a param by an expression. It may be refused, or be a program
that does not exist, or an odd name of a file; it never runs. Texts of `inline`, of `setup_lines` and of
health checks are code by themselves; values in them are not.
"""

from __future__ import annotations

import contextlib
import json
import pkgutil
import re
from typing import TYPE_CHECKING, Any

import pytest
from support.extent import IS_LONG
from support.schema_texts import Places, distinct

from nemorun_cli import executors
from nemorun_cli.executors import launchers
from nemorun_cli.packagers import REGISTRY as PACKAGERS
from nemorun_cli.plugins import BUILT_IN
from nemorun_cli.spec.schema import walk

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from support.workspace import Exp

ALL_AT_ONCE = """';"$(touch PWNED)`touch PWNED`" & touch PWNED; #' | touch PWNED\n"""
ONE_BY_ONE = (
    *("$(touch PWNED)", "`touch PWNED`", ";touch PWNED;", "'\"\ntouch PWNED\n", "x'; touch PWNED; '"),
    *(
        "-oProxyCommand=touch PWNED",
        "--wrap=touch PWNED",
        "{{ touch PWNED }}",
        "%(touch PWNED)s",
        "| touch PWNED",
    ),
    *(
        "${IFS}touch${IFS}PWNED",
        "x\r\ntouch PWNED",
        "\\\ntouch PWNED",
        ">PWNED",
        "a\x00b",
        "~/$(touch PWNED)",
    ),
)
TEXTS = (ALL_AT_ONCE, *ONE_BY_ONE) if IS_LONG else (ALL_AT_ONCE,)
FEWEST_ACCEPTED = 20  # tasks on each type of executor: a test of refusals alone would prove little
FEWEST_SUCCEEDED = 3
EVERY = 1 if IS_LONG else 8  # which tasks run on real engines
MOST_ROUNDS = 90  # of removing what is refused, which reveals more of it
PARAM = "${{ params.v }}"
REQUIRED: Mapping[str, dict[str, Any]] = {"local": {}, "docker": {"image": "alpine"}, "slurm": {}}
CODE = ("inline", "setup_lines", "healthcheck")  # as they are; a value in them has to be a word
COMPOSED = ("group", "packager", "plugins")  # of keys that have the text elsewhere, or that types define
BODIES = ("inline", "script", "command", "partial")
WITH_EXECUTOR = (
    *BODIES,
    "args",
    "env",
    "entrypoint",
    "launcher",
    "matrix",
    "secrets",
    "workdir",
    "artifacts",
)
SECTIONS = (
    *("extends", "include", "name", "description", "tags", "bindrs", "prefix", "tracking", "env"),
    *("env_inherit", "env_file", "secrets", "executor", "run"),
)
RUN = {"command": ["true"]}


class Specs:
    """Specs with a text at every place of the schemas."""

    def __init__(self, text: str) -> None:
        self.text = text
        self._schema = walk.experiment()
        self._places = Places(text, self._schema["$defs"])

    def tasks(self) -> Iterator[dict[str, Any]]:
        """Yield tasks, with the text in each of their keys, launchers, packagers and plugins."""
        definitions = self._schema["$defs"]
        names = ("ownKeys", "commonKeys", "task")
        keys = {key: part for name in names for key, part in definitions[name]["properties"].items()}
        for key, part in keys.items():
            for value in distinct(self._places.values(part)) if key not in COMPOSED else ():
                yield {key: value} if key in BODIES else {**RUN, key: value}
        yield {"inline": f"echo {self.text}"}
        yield {"group": [{**RUN, "name": self.text}]}
        yield {**RUN, "plugins": [{"uses": self.text}]}
        for name in launchers.REGISTRY.names():
            for value in distinct(self._places.values(launchers.REGISTRY.find(name).options_schema)):
                yield {**RUN, "launcher": {name: value}}
        for name in PACKAGERS.names():
            for value in distinct(self._places.values(PACKAGERS.find(name).options_schema)):
                yield {**RUN, "packager": {"type": name, **value}}
        for name, target in BUILT_IN.items():
            for value in distinct(self._places.values(pkgutil.resolve_name(target).schema)):
                yield {**RUN, "plugins": [{"uses": name, "with": value}]}

    def executors(self, kind: str) -> Iterator[dict[str, Any]]:
        """Yield executors of a type, with the text in each of their keys; those of all types are local."""
        common = self._schema["$defs"]["executor"]
        own = executors.find(kind).options_schema
        parts = {**own["properties"], **(common["properties"] if kind == "local" else {})}
        for key, part in parts.items():
            for value in distinct(self._places.values(part)) if key != "packager" else ():
                yield {**REQUIRED[kind], "type": kind, key: value}

    def sections(self) -> Iterator[dict[str, Any]]:
        """Yield specs with the text in keys outside of tasks and executors, as few as possible."""
        parts = self._schema["properties"]
        values = {key: distinct(self._places.values(parts[key])) for key in SECTIONS}
        for number in range(max(map(len, values.values()))):
            chosen = {key: each[number] for key, each in values.items() if number < len(each)}
            yield {**chosen, "params": {"v": ""}, "executors": {}, "tasks": {"a": RUN}}


def _is_code(value: Any) -> bool:
    return isinstance(value, dict) and any(key in CODE or _is_code(part) for key, part in value.items())


def accepted(exp: Exp, spec: dict[str, Any], *command: str) -> dict[str, Any]:
    """The spec without what is refused, after this command on it."""
    for _ in range(MOST_ROUNDS):
        done = exp(*command, exp.spec(json.dumps(spec), "hostile.yaml"), "--json", code=None)
        if done.code != 2:
            return spec
        refused = {tuple(problem["path"].split(".")[:2]) for problem in done.json["problems"]}
        refused |= set(re.findall(r"\b(tasks)\.([\w-]+)", done.json["message"]))  # by a plugin itself
        assert refused, done.stdout
        for section, *name in refused:
            if name and section in ("tasks", "executors"):
                spec[section].pop(name[0], None)
            for key in (section,) if section else ("extends", "include"):  # of a file that these name
                if not isinstance(spec.get(key), dict) or key not in ("tasks", "executors"):
                    spec.pop(key, None)
        spec["tasks"] = {
            name: task
            for name, task in spec["tasks"].items()
            if task.get("executor", "local") in ("local", *spec["executors"])
        }
    raise AssertionError(done.stdout)


def without_refused_extensions(exp: Exp, spec: dict[str, Any]) -> dict[str, Any]:
    """A spec without refused plugins and packagers: a run reports one at a time, so they are tried alone."""
    alone = {name: task for name, task in spec["tasks"].items() if "plugins" in task or "packager" in task}
    kept = accepted(exp, {**spec, "executors": {}, "tasks": dict(alone)}, "run", "--dry-run")["tasks"]
    assert kept
    others = {name: task for name, task in spec["tasks"].items() if name not in alone or name in kept}
    return {**spec, "tasks": others}


def everything(text: str) -> dict[str, Any]:
    """A spec with a task for each place of tasks, and one for each place of executors.

    At each place the text is once as it is, and once the value of an expression.
    """
    both = [(Specs(text), False), (Specs(PARAM), True)]
    tasks = [task for specs, is_value in both for task in specs.tasks() if is_value or not _is_code(task)]
    made: dict[str, Any] = {
        "name": "hostile",
        "params": {"v": text},
        "executors": {kind: {**REQUIRED[kind], "type": kind} for kind in REQUIRED if kind != "local"},
        "tasks": {f"t{number}": task for number, task in enumerate(tasks)},
    }
    for kind in REQUIRED:
        placed = [
            each
            for specs, is_value in both
            for each in specs.executors(kind)
            if is_value or not _is_code(each)
        ]
        for number, executor in enumerate(placed):
            made["executors"][f"{kind}{number}"] = executor
            made["tasks"][f"on-{kind}{number}"] = {**RUN, "executor": f"{kind}{number}"}
    for kind in made["executors"].keys() & REQUIRED:
        for number, task in enumerate(tasks):
            if any(key in WITH_EXECUTOR for key in task if task[key] != RUN.get(key)):
                made["tasks"][f"t{number}-{kind}"] = {**task, "executor": kind}
    return made


def on(kind: str, spec: dict[str, Any]) -> dict[str, Any]:
    """The part of a spec that runs on executors of this type, without plugins, which start programs."""
    types = {"local": "local", **{name: entry["type"] for name, entry in spec["executors"].items()}}
    tasks = {
        name: task
        for name, task in spec["tasks"].items()
        if types.get(str(task.get("executor", "local"))) == kind and "plugins" not in task
    }
    return {**spec, "tasks": tasks}


def fewer(spec: dict[str, Any]) -> dict[str, Any]:
    """A spec with some of the tasks, and always those whose texts shells of the executor read."""
    tasks = list(spec["tasks"].items())
    read = {
        name: task for name, task in tasks if any(key in task for key in ("env", "args", "matrix", "workdir"))
    }
    return {**spec, "tasks": {**dict(tasks[::EVERY]), **dict(list(read.items())[:: max(1, EVERY // 2)])}}


def run_to_end(exp: Exp, spec: dict[str, Any]) -> None:
    """Run what is accepted of a spec; some of its tasks have to succeed."""
    accepted(exp, spec, "run")
    tasks = exp("status", "hostile", "--json", code=None).json["tasks"]
    succeeded = [task["id"] for task in tasks if task["status"] == "SUCCEEDED"]
    assert len(succeeded) >= FEWEST_SUCCEEDED, tasks


def pwned(folder: Path) -> list[str]:
    """The traces of code that ran."""
    return [str(path) for path in folder.rglob("*") if path.name.strip() in ("PWNED", "PWNED)s", "PWNED}}")]


@pytest.fixture
def named(exp: Exp, text: str) -> None:
    """Files with the name of the text, where that is possible, so that more of its places are accepted."""
    with contextlib.suppress(OSError, ValueError):
        (exp.folder / text).write_text("A=1\n", encoding="utf-8")


@pytest.mark.usefixtures("named")
@pytest.mark.parametrize("text", TEXTS, ids=range(len(TEXTS)))
def test_no_text_of_a_spec_is_code(exp: Exp, text: str) -> None:
    """In a dry run and in a run, nothing that a text names is run."""
    spec = accepted(exp, without_refused_extensions(exp, everything(text)), "run", "--dry-run")
    for part in (part for each in (text, PARAM) for part in Specs(each).sections()):
        accepted(exp, {**part, "params": {"v": text}}, "run", "--dry-run")
    assert pwned(exp.folder.parent) == []
    placed = [*spec["executors"].values(), *spec["tasks"].values()]
    assert [each for each in placed if _is_code(each)] == []
    for kind in REQUIRED:
        assert len(on(kind, spec)["tasks"]) > FEWEST_ACCEPTED
    run_to_end(exp, on("local", spec))
    assert pwned(exp.folder.parent) == []


@pytest.mark.usefixtures("named", "docker_engine")
@pytest.mark.parametrize("text", TEXTS, ids=range(len(TEXTS)))
def test_no_text_is_code_in_or_around_containers(exp: Exp, text: str) -> None:
    """With a real engine, nothing that a text names is run on the host or in a container."""
    spec = on("docker", everything(text))
    for name, executor in spec["executors"].items():
        if executor["type"] == "docker" and executor["image"] == REQUIRED["docker"]["image"]:
            spec["executors"][name] = {**executor, "image": "exp-test/busybox"}
    spec = accepted(exp, accepted(exp, spec, "run", "--dry-run"), "run")  # the engine refuses it as a whole
    spec["executors"] = {
        name: executor
        for name, executor in spec["executors"].items()
        if PARAM not in (values := [executor.get(key) for key in ("image", "runtime")])
        and text not in values
        and "gpus" not in executor
    }
    spec["tasks"] = {
        name: task for name, task in spec["tasks"].items() if task["executor"] in spec["executors"]
    }
    run_to_end(exp, fewer(spec))
    assert pwned(exp.folder.parent) == []


@pytest.mark.usefixtures("named", "slurm")
@pytest.mark.parametrize("text", TEXTS, ids=range(len(TEXTS)))
def test_no_text_is_code_in_jobs(exp: Exp, text: str) -> None:
    """With a real cluster, nothing that a text names is run by job scripts or by Slurm."""
    spec = on("slurm", everything(text))
    spec["tasks"] = {
        name: task
        for name, task in spec["tasks"].items()
        if "tunnel" not in spec["executors"][task["executor"]]
    }
    run_to_end(exp, fewer(accepted(exp, spec, "run", "--dry-run")))
    assert pwned(exp.folder.parent) == []
