"""What the members of a spec's groups know of each other before they run. Has no effects."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from nemorun_cli import executors
from nemorun_cli.model import group_hosts

if TYPE_CHECKING:
    from collections.abc import Mapping

    from nemorun_cli.executors.capabilities import MemberNetwork
    from nemorun_cli.model.spec import Group, Spec, Task
    from nemorun_cli.storage.paths import ExperimentFiles

EXPERIMENT_DIGITS: Final = 12  # of the label that distinguishes an experiment's hosts from all others


@dataclass(frozen=True, slots=True, kw_only=True)
class Peers:
    """What one task knows of the members of its group.

    Attributes:
        names: what they are called, by their ids; itself included.
        aliases: the names by which they find the task, as in `Plan`.
        variables: the variables with the hosts that are known.
    """

    names: Mapping[str, str] = field(default_factory=dict)
    aliases: tuple[str, ...] = ()
    variables: Mapping[str, str] = field(default_factory=dict)


_ALONE: Final = Peers()


class MemberHosts:
    """The peers of each task of an experiment; those of a group are determined once."""

    def __init__(self, spec: Spec, files: ExperimentFiles) -> None:
        self._spec, self._files = spec, files
        self._groups = {group.id: group for group in spec.groups if group.members_meet}
        self._aliases: Mapping[str, tuple[str, ...]] = {}
        self._networks: dict[str, MemberNetwork | None] = {}  # by member
        self._variables: dict[tuple[str, str], Mapping[str, str]] = {}  # by group and network

    def of(self, task: Task) -> Peers:
        """The peers of a task."""
        group = self._groups.get(task.group or "")
        if group is None:
            return _ALONE
        if not self._aliases:
            self._find()
        network = self._networks[task.id]
        return Peers(
            names={member: group_hosts.member_name(group.id, member) for member in group.members},
            aliases=self._aliases[task.id],
            variables=self._on(network, group) if network else {},
        )

    def _find(self) -> None:
        """Determine the networks and names of all members, once a task has peers."""
        self._aliases = group_hosts.aliases(list(self._groups.values()), experiment_label(self._files))
        by_executor: dict[str, MemberNetwork | None] = {}
        for task in self._spec.tasks:
            if task.id in self._aliases:
                name = task.executor
                if name not in by_executor:
                    options = self._spec.executors.get(name, {"type": name})
                    by_executor[name] = executors.capabilities(name, options).member_network
                self._networks[task.id] = by_executor[name]

    def _on(self, network: MemberNetwork, group: Group) -> Mapping[str, str]:
        """The variables of members that are on a network."""
        key = group.id, network.name
        if key not in self._variables:
            hosts = {
                group_hosts.member_name(group.id, member): [network.host or self._aliases[member][0]]
                for member in group.members
                if self._networks[member] == network
            }
            self._variables[key] = group_hosts.variables(hosts)
        return self._variables[key]


def experiment_label(files: ExperimentFiles) -> str:
    """A label of hosts' names that only this experiment has, whatever its home is."""
    import hashlib  # noqa: PLC0415 - slow to load, and only few experiments have such groups

    path = os.fsencode(os.path.realpath(files.directory))
    return hashlib.sha256(path).hexdigest()[:EXPERIMENT_DIGITS]
