"""The parts of a fingerprint that a property over whole specs does not reach."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from nemorun_cli import executors
from nemorun_cli.model.code_package import Package
from nemorun_cli.model.resources import Resources
from nemorun_cli.model.spec import Spec, Task
from nemorun_cli.model.status import TaskStatus
from nemorun_cli.model.step_cache import MOST_FILES, CacheRule
from nemorun_cli.model.stop_rules import StopRule
from nemorun_cli.storage.step_cache.fingerprint_parts import (
    ParentResult,
    Surroundings,
    UndeterminedError,
    fingerprint,
)

TASK = Task(
    id="t", index=0, kind="partial", body="m:f", executor="local", workdir="/w", args={}, cache=CacheRule()
)


def parts(task: Task, package: Package | None = None, **around: Any) -> dict[str, str]:
    """The parts for a task, which depends on what is given."""
    spec = Spec(name="n", folder="/w", tasks=(task,), packages=() if package is None else (package,))
    return dict(fingerprint(task, spec, Surroundings(**around)).parts)


@pytest.mark.parametrize(
    ("fields", "name", "value"),
    [
        ({"args": {"lr": 0.1}}, "arg:lr", "0.1"),
        ({"args": {"model": {"_target_": "m:Net"}}}, "arg:model", '{"_target_":"m:Net"}'),
        ({"artifacts": ("b", "a")}, "results", '{"artifacts":["a","b"]}'),
        ({"metrics": {"m": ("json",)}}, "results", '{"metrics":{"m":["json"]}}'),
        ({"prefix": ("nice",)}, "run", '{"partial":"m:f","prefix":["nice"]}'),
        ({"workdir": "/w/sub"}, "run", '{"partial":"m:f","workdir":"sub"}'),
        ({"workdir": "/other"}, "run", '{"partial":"m:f","workdir":"/other"}'),
    ],
)
def test_a_part_has_its_text(fields: dict[str, Any], name: str, value: str) -> None:
    """A short value is its own text, with paths in the folder of the spec relative to it."""
    assert parts(replace(TASK, **fields))[name] == value


def test_what_stops_it_and_what_starts_it_counts() -> None:
    """A launcher starts processes by the number of GPUs, which does not count otherwise."""
    two = replace(TASK, resources=Resources(gpus=2))
    launched = replace(TASK, launcher={"torchrun": {}})
    assert parts(two) == parts(TASK)
    assert parts(replace(launched, resources=two.resources)) != parts(launched) != parts(TASK)
    assert "results" in parts(replace(TASK, stop=(StopRule(metric="loss"),)))


@pytest.mark.parametrize(
    ("one", "other", "is_equal"),
    [
        ({"type": "slurm", "nodes": 2}, {"type": "slurm", "nodes": 4}, False),
        ({"type": "slurm", "ntasks_per_node": 2}, {"type": "slurm"}, False),
        ({"type": "slurm", "gpus_per_node": "a100:2"}, {"type": "slurm", "gpus_per_node": "a100:4"}, False),
        ({"type": "slurm", "setup_lines": "module load cuda"}, {"type": "slurm"}, False),
        ({"type": "slurm", "additional_parameters": {"nodes": 2}}, {"type": "slurm", "nodes": 2}, True),
        ({"type": "slurm", "partition": "a", "time": "02:00:00"}, {"type": "slurm", "partition": "b"}, True),
        ({"type": "slurm", "mem": "2G"}, {"type": "local"}, True),
        ({"type": "docker", "image": "a", "gpus": 1}, {"type": "docker", "image": "a", "gpus": 2}, False),
        ({"type": "docker", "image": "a", "shm_size": "1G"}, {"type": "docker", "image": "a"}, True),
    ],
)
def test_options_that_change_results_count(
    one: dict[str, Any],
    other: dict[str, Any],
    is_equal: bool,  # noqa: FBT001 - a column
) -> None:
    """Each executor names them; where and how long a task may run is none of them."""
    found = [
        parts(TASK, options=executors.capabilities("x", options).result_options) for options in (one, other)
    ]
    assert (found[0] == found[1]) == is_equal


def test_values_of_variables_are_in_no_part() -> None:
    """A text that contains one is a digest; a secret is no part at all."""
    env = {"TOKEN": "value-1", "N": "1"}
    found = parts(replace(TASK, args={"a": "x value-1", "b": 1}, env=env, secrets=("S",)))
    assert "value-1" not in "".join(found.values())
    assert found["arg:b"] == "1"
    assert [name for name in found if name.startswith("env:")] == ["env:N", "env:TOKEN"]


def test_many_files_and_many_parents_are_a_part_each_glob_and_group() -> None:
    """The ledger does not grow with the number of files; each of them counts."""
    few = {f"d/{number}": "0" * 64 for number in range(MOST_FILES)}
    many = {**few, "d/last": "1" * 64}
    assert len(parts(TASK, inputs={"d/*": few})) == MOST_FILES + 1
    found = parts(TASK, inputs={"d/*": many, "none": {}})
    assert found["input:d/*"].endswith(f" of {MOST_FILES + 1} files")
    assert found["input:none"] == "none"
    assert parts(TASK, inputs={"d/*": {**many, "d/1": "2" * 64}})["input:d/*"] != found["input:d/*"]

    names = [f"g/{number}" for number in range(MOST_FILES + 1)]
    parents = {name: ParentResult(status=TaskStatus.SUCCEEDED) for name in names}
    task = replace(TASK, dependencies=tuple(names))
    together = parts(task, parents=parents)
    assert [name for name in together if name.startswith("parent:")] == ["parent:g"]
    parents["g/7"] = replace(parents["g/7"], outputs={"n": 1})
    assert parts(task, parents=parents)["parent:g"] != together["parent:g"]


def test_the_number_of_a_trial_does_not_count() -> None:
    """What a task of a trial got from another one of it is the same in a trial with another number."""
    ended = ParentResult(status=TaskStatus.SUCCEEDED, fingerprint="f", outputs={"m": 1})
    found = []
    for number in (1, 2):
        upstream = f"g/trial-000{number}/train"
        task = replace(
            TASK, id=f"g/trial-000{number}/t", dependencies=(upstream,), twins={"g/train": upstream}
        )
        found.append(parts(task, parents={upstream: ended}))
    assert found[0] == found[1]
    assert "parent:g/train" in found[0]


@pytest.mark.parametrize("status", [TaskStatus.FAILED, TaskStatus.CANCELLED])
def test_nothing_describes_a_parent_that_failed(status: TaskStatus) -> None:
    """Its files may be anything; one that was skipped left none."""
    task = replace(TASK, dependencies=("p",), dependency_type="afterany")
    with pytest.raises(UndeterminedError, match=f"p, on which it depends, is {status}"):
        parts(task, parents={"p": ParentResult(status=status)})
    skipped = parts(task, parents={"p": ParentResult(status=TaskStatus.SKIPPED)})
    assert skipped != parts(task, parents={"p": ParentResult(status=TaskStatus.SUCCEEDED)})


def test_shipped_code_counts_by_its_content() -> None:
    """Wherever it is stored, and from wherever it was taken."""
    packager = {"type": "git"}
    package = Package(
        packager=packager, hash="a" * 64, store="/s", folder="/f", root="/w", place=".", files=1, bytes=1
    )
    task = replace(TASK, packager=packager)
    assert parts(task, package)["code"] == f"sha256:{'a' * 32}"
    assert parts(task, package) == parts(task, replace(package, store="/elsewhere", folder="/other"))
    assert parts(task, replace(package, hash="b" * 64)) != parts(task, package)
