"""Hints for keys that are called differently in other tools, or belong to another section there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from nemorun_cli.model.problems import Place

# By the foreign word, the key here; it is suggested where that key exists.
_SAME_MEANING: Final = {
    "additional_kwargs": "extra",
    "container_image": "image",
    "container_mounts": "volumes",
    "env_vars": "env",
    "environment": "env",
    "image": "container_image",
    "ipc_mode": "ipc",
    "network_mode": "network",
    "num_gpus": "gpus",
    "retries": "retry",
    "volumes": "container_mounts",
    # of searches, in Optuna, W&B sweeps and Ray Tune
    "direction": "goal",
    "directions": "goal",
    "early_terminate": "pruner",
    "max": "high",
    "method": "sampler",
    "min": "low",
    "n_jobs": "max_parallel",
    "n_trials": "trials",
    "num_samples": "trials",
    "objective": "metric",
    "parameters": "params",
    "values": "choices",
}
_OF_TASKS: Final = {  # options of NeMo-Run's executors that are keys of tasks here
    "array": "a sweep: write `matrix` in the task",
    "dependency_type": "write `dependency_type` in the task",
    "dependencies": "write `dependencies` in the task",
    "launcher": "write `launcher` in the task",
    "nodes": "write `launcher: {torchrun: {nnodes: N}}` in the task",
    "ntasks_per_node": "write `launcher: {torchrun: {nproc_per_node: N}}` in the task",
    "torchrun_nproc_per_node": "write `launcher: {torchrun: {nproc_per_node: N}}` in the task",
    "retries": "write `retry: {limit: N}` in the task",
    "timeout": "write `timeout` in the task",
}
_ELSEWHERE: Final = {
    "container_env": "remove it: the task's variables always win over those of the image",
    "heterogeneous": "write `together: true` in the group, whose members may request different resources",
    "job_dir": "the files of experiments are in $NEMORUN_HOME; on a remote host in `job_dir` of `tunnel`",
    "job_name_prefix": "write `job_name: PREFIX{task}` in quotes",
}


def word_for(name: str, keys: Iterable[str]) -> str | None:
    """The first of the keys that is a foreign word for a key here."""
    return next((key for key in keys if _SAME_MEANING.get(key) == name), None)


def hint(key: str, place: Place, known: Collection[str]) -> str | None:
    """The hint for an unknown key of an executor or a task; None if the word is in no table."""
    if place[:1] not in (("executors",), ("tasks",)):
        return None
    if (same := _SAME_MEANING.get(key)) in known:
        return f"did you mean {same}?"
    if place[0] == "executors":
        return _OF_TASKS.get(key) or _ELSEWHERE.get(key)
    return None
