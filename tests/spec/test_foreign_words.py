"""Unknown keys of executors and tasks that other tools know by other names."""

from __future__ import annotations

from typing import Any

import pytest

from nemorun_cli import Builder, Command, DockerExecutor
from nemorun_cli.errors import SpecError
from nemorun_cli.spec import load


def hints(executor: dict[str, Any], task: dict[str, Any] | None = None) -> dict[str, str]:
    """The hint of each unknown key in the spec, by the key's place."""
    spec = {
        "name": "words",
        "executors": {"x": executor},
        "tasks": {"t": {"command": "true", "executor": "x", **(task or {})}},
    }
    with pytest.raises(SpecError) as refused:
        load.read(spec)
    return {problem.path: str(problem.hint) for problem in refused.value.problems}


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ({"type": "local"}, {"env_vars": "mean env?", "retries": "retry: {limit", "launcher": "`launcher`"}),
        ({"type": "local"}, {"ntasks_per_node": "nproc_per_node", "nodes": "nnodes", "env_var": "mean env?"}),
        (
            {"type": "docker", "image": "x"},
            {
                "container_image": "mean image?",
                "ipc_mode": "mean ipc?",
                "num_gpus": "mean gpus?",
                "additional_kwargs": "mean extra?",
                "env_vars": "mean env?",
                "ntasks_per_node": "nproc_per_node",
            },
        ),
        (
            {"type": "slurm"},
            {
                "env_vars": "mean env?",
                "array": "`matrix`",
                "torchrun_nproc_per_node": "nproc_per_node",
                "dependency_type": "in the task",
                "container_env": "remove it",
                "heterogeneous": "together",
                "job_dir": "tunnel",
            },
        ),
    ],
)
def test_a_word_of_nemo_run_is_translated(kind: dict[str, Any], words: dict[str, str]) -> None:
    """The hint has the word here, or the section in which the key belongs."""
    found = hints({**kind, **dict.fromkeys(words, "x")})
    assert found.keys() == {f"executors.x.{word}" for word in words}
    assert [word for word, hint in words.items() if hint not in found[f"executors.x.{word}"]] == []


def test_the_keys_of_every_executor_are_listed() -> None:
    """Next to the options of a type, the hint lists the keys that each type has."""
    listed = hints({"type": "local", "zzz": 1})["executors.x.zzz"]
    shared = "type, extends, env, env_file, env_inherit, python, packager"
    assert listed == f"there are: {shared}, cpus, memory, gpus"


def test_the_image_by_its_other_word_is_one_problem() -> None:
    """A required option under a foreign word is reported once."""
    found = hints({"type": "docker", "container_image": "x"})
    assert found == {"executors.x.container_image": "did you mean image?"}


def test_a_key_of_the_spec_in_tracking_belongs_next_to_it() -> None:
    """A key such as `prefix` is in no section, and the hint says where it is."""
    spec = {"name": "a", "tasks": {"t": {"inline": "x"}}, "tracking": {"prefix": "p"}}
    with pytest.raises(SpecError) as refused:
        load.read(spec)
    assert {problem.path: problem.hint for problem in refused.value.problems} == {
        "tracking.prefix": "write prefix at the top of the spec, next to tracking",
    }


def test_words_of_tasks_are_translated() -> None:
    """A task has other keys than an executor, and so other hints."""
    found = hints({"type": "local"}, {"env_vars": {}, "retries": 3})
    assert found == {"tasks.t.env_vars": "did you mean env?", "tasks.t.retries": "did you mean retry?"}


def test_an_executor_of_a_program_has_the_same_hints() -> None:
    """In Python, too, another word is a problem of the spec with a hint, and no TypeError."""
    built = Builder("words", executor=DockerExecutor(container_image="x", env_vars={}))
    built.add(Command("true"))
    with pytest.raises(SpecError) as refused:
        built.document({})
    assert {problem.path: problem.hint for problem in refused.value.problems} == {
        "executors.docker.container_image": "did you mean image?",
        "executors.docker.env_vars": "did you mean env?",
    }


def test_a_word_of_another_search_is_translated() -> None:
    """Keys of a search have hints for those who know Optuna, W&B sweeps or Ray Tune."""
    space = {"x": {"type": "float", "min": 0, "max": 1}, "y": {"values": [1, 2]}}
    search = {"parameters": space, "params": space, "metric": "a", "direction": "minimize", "n_trials": 3}
    found = hints({"type": "local"}, {"search": {**search, "trials": 3}})
    place = "tasks.t.search"
    assert {key.removeprefix(f"{place}."): text for key, text in found.items() if key.startswith(place)} == {
        "parameters": "did you mean params?",
        "direction": "did you mean goal?",
        "n_trials": "did you mean trials?",
        "params.x.min": "did you mean low?",
        "params.x.max": "did you mean high?",
        "params.y.values": "did you mean choices?",
    }
