"""Which network the container of a member joins, and under which names. Pure.

A container joins the network of its experiment only as a member of a group whose members find each other, and
only if its options choose no network.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from nemorun_cli.executors.capabilities import MemberNetwork
from nemorun_cli.executors.member_hosts import experiment_label
from nemorun_cli.model.group_hosts import LOOPBACK
from nemorun_cli.storage.paths import ExperimentFiles

if TYPE_CHECKING:
    from collections.abc import Mapping

    from nemorun_cli.model.plan import Plan

OWN: Final = "docker network of the experiment"
WITHOUT_NAMES: Final = ("none", "bridge", "default")  # networks in which Docker resolves no names
BY_HAND: Final = ("networking_config", "links", "network_disabled")  # in `extra`: the user's own arrangement
LONGEST_NAME: Final = 60  # characters of the readable part of a network's name

_NOT_IN_NAMES: Final = re.compile(r"[^A-Za-z0-9.-]+")


def of_members(options: Mapping[str, Any]) -> MemberNetwork | None:
    """Where members with these options find each other; None if they do not. Pure."""
    given, extra = _given(options), options.get("extra", {})
    if given in WITHOUT_NAMES or any(key in extra for key in BY_HAND):
        return None
    if given is None:
        return MemberNetwork(name=OWN)
    if given == "host" or given.startswith("container:"):
        return MemberNetwork(name=f"docker {given}", host=LOOPBACK)
    return MemberNetwork(name=f"docker network {given}")


def _given(options: Mapping[str, Any]) -> str | None:
    """The network that the options choose; None if they leave it to `exp`."""
    extra = options.get("extra", {})
    return extra.get("network_mode") or extra.get("network") or options.get("network")


def details(plan: Plan, options: Mapping[str, Any]) -> dict[str, Any] | None:
    """How the container of a member joins a network of names; None for other containers."""
    network = of_members(options)
    if not plan.peers or network is None or network.host is not None:
        return None
    given = _given(options)
    own = given is None
    return {"name": name(plan) if own else given, "is_own": own, "aliases": list(plan.aliases)}


def name(plan: Plan) -> str:
    """The name of the network of an attempt's experiment."""
    files = ExperimentFiles(Path(plan.env["EXP_DIR"]))
    readable = _NOT_IN_NAMES.sub("_", plan.experiment)[:LONGEST_NAME]
    return f"exp-{readable}-{experiment_label(files)}"


def arguments(network: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments of the SDK's `create` for a container that joins a network, from its `details`."""
    return {
        "network": network["name"],
        "networking_config": {network["name"]: {"Aliases": network["aliases"]}},
    }
