"""What members on different executors know of each other before they run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from nemorun_cli.executors import planning
from nemorun_cli.executors.docker import container
from nemorun_cli.executors.member_hosts import MemberHosts, experiment_label
from nemorun_cli.model.spec import Group, Spec, Task
from nemorun_cli.storage.paths import ExperimentFiles

if TYPE_CHECKING:
    from nemorun_cli.model.plan import Plan

FILES = ExperimentFiles(Path("/home/experiments/tried/tried_1"))
DOCKER = {"type": "docker", "image": "i"}
EXECUTORS: dict[str, dict[str, Any]] = {
    "local": {"type": "local"},
    "own": DOCKER,
    "same": {**DOCKER, "image": "other"},
    "host": {**DOCKER, "network": "host"},
    "host2": {**DOCKER, "extra": {"network_mode": "host"}},
    "lan": {**DOCKER, "network": "lan"},
    "bridge": {**DOCKER, "network": "bridge"},
    "none": {**DOCKER, "network": "none"},
    "linked": {**DOCKER, "extra": {"links": {"db": "db"}}},
    "slurm": {"type": "slurm"},
}


def plans(**group: Any) -> dict[str, Plan]:
    """The plan of a member on each executor, by the executor's name."""
    tasks = tuple(
        Task(id=f"g/{name}", index=index, kind="inline", body="true", executor=name, workdir="/", group="g")
        for index, name in enumerate(EXECUTORS)
    )
    groups = (Group(id="g", members=tuple(task.id for task in tasks), **group),)
    spec = Spec(name="tried", folder="/", tasks=tasks, groups=groups, executors=EXECUTORS)
    hosts = MemberHosts(spec, FILES)
    return {
        task.executor: planning.make(task, spec=spec, files=FILES, attempt=1, home=Path("/home"), hosts=hosts)
        for task in tasks
    }


def test_members_know_those_they_can_reach() -> None:
    """A host is given only of members on the same network; of others, and of those on none, nothing."""
    known = {
        name: json.loads(plan.env.get("EXP_GROUP_HOSTS", "{}")) for name, plan in plans(together=True).items()
    }
    names = {name: f"{name}.g.{experiment_label(FILES)}.exp.internal" for name in EXECUTORS}
    own = {name: [names[name]] for name in ("own", "same")}
    host = {name: ["127.0.0.1"] for name in ("host", "host2")}
    nothing: dict[str, Any] = {name: {} for name in ("bridge", "none", "linked", "slurm")}
    assert known == {
        "local": {"local": ["127.0.0.1"]},
        **dict.fromkeys(("own", "same"), own),
        **dict.fromkeys(("host", "host2"), host),
        "lan": {"lan": [names["lan"]]},
        **nothing,
    }


def test_containers_join_networks_only_where_names_help() -> None:
    """Members whose options choose no network join the experiment's; in a named network they get names."""
    joined = {
        name: container.details(plan, EXECUTORS[name], host="unix:///s").get("network")
        for name, plan in plans(until="g/own").items()
        if EXECUTORS[name]["type"] == "docker"
    }
    label = experiment_label(FILES)
    aliases = {name: [f"{name}.g.{label}.exp.internal", f"g.{name}", name] for name in joined}
    network = f"exp-tried_1-{label}"
    assert {name: details for name, details in joined.items() if details} == {
        "own": {"name": network, "is_own": True, "aliases": aliases["own"]},
        "same": {"name": network, "is_own": True, "aliases": aliases["same"]},
        "lan": {"name": "lan", "is_own": False, "aliases": aliases["lan"]},
    }


@pytest.mark.parametrize("group", [{}, {"together": True, "axes": ("x",)}, {"until": "any", "axes": ("x",)}])
def test_members_of_other_groups_know_nothing(group: dict[str, Any]) -> None:
    """Without `together` or a leader, and in a sweep, tasks get no variables and join no network."""
    for name, plan in plans(**group).items():
        assert not [variable for variable in plan.env if variable.startswith(("EXP_HOST", "EXP_GROUP"))]
        assert (plan.peers, plan.aliases) == ({}, ())
        if EXECUTORS[name]["type"] == "docker":
            assert "network" not in container.details(plan, EXECUTORS[name], host="unix:///s")
