"""How the members of a group find each other: the names of their variables and of their hosts. Pure."""

from __future__ import annotations

import json
import re
from collections import Counter
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

    from nemorun_cli.model.spec import Group

HOSTS: Final = "EXP_GROUP_HOSTS"  # a JSON object: the hosts of each member
FIRST_HOST: Final = "EXP_HOST_"  # begins the name of the variable with a member's first host
LOOPBACK: Final = "127.0.0.1"
DOMAIN: Final = "exp.internal"  # `internal` is reserved: no name in it is ever looked up outside
LONGEST_LABEL: Final = 63  # characters between two dots of a host's name, by RFC 1035
LONGEST_TEXT: Final = (
    32_768  # characters of EXP_GROUP_HOSTS; a process takes 128 KiB, and each attempt stores it
)

_HASH_LENGTH: Final = 6


def member_name(group: str, task_id: str) -> str:
    """What a member is called within its group."""
    return task_id.removeprefix(f"{group}/")


def variable(member: str) -> str:
    """The name of the variable with the first host of a member."""
    return FIRST_HOST + re.sub("[^A-Z0-9]", "_", member.upper())


def same_variables(members: Iterable[str]) -> Iterator[tuple[str, str]]:
    """Each member whose variable is that of an earlier one, after that one."""
    first: dict[str, str] = {}
    for member in members:
        earlier = first.setdefault(variable(member), member)
        if earlier is not member:
            yield earlier, member


def variables(hosts: Mapping[str, Sequence[str]]) -> dict[str, str]:
    """The variables with the hosts of members; none if they would be too long for an environment."""
    text = json.dumps(hosts)
    if not hosts or len(text) > LONGEST_TEXT:
        return {}
    return {HOSTS: text, **{variable(member): places[0] for member, places in hosts.items()}}


def names(members: Collection[str]) -> list[str]:
    """The names of all variables about the hosts of members."""
    return [HOSTS, *map(variable, members)] if members else []


def label(name: str) -> str:
    """A name as one label of a host's name: lower case, with `-` for all but letters and digits."""
    text = re.sub("[^a-z0-9-]", "-", name.lower())
    is_valid = len(text) <= LONGEST_LABEL and text[:1] != "-" != text[-1:]
    return text if is_valid and text else _distinct(name)


def _distinct(name: str) -> str:
    """The label of a name that is not valid, or is another name's too: it ends in a hash of the name."""
    import hashlib  # noqa: PLC0415 - slow to load, and rarely needed

    text = re.sub("[^a-z0-9-]", "-", name.lower())[: LONGEST_LABEL - _HASH_LENGTH - 1].strip("-")
    digest = hashlib.sha256(name.encode()).hexdigest()[:_HASH_LENGTH]
    return f"{text}-{digest}" if text else f"x-{digest}"


def aliases(groups: Sequence[Group], experiment: str) -> dict[str, tuple[str, ...]]:
    """The names of each member as a host, by its id.

    The first name, MEMBER.GROUP.EXPERIMENT.exp.internal, is no other task's, of any experiment. Then come
    GROUP.MEMBER and, if no other group has a member of that name, MEMBER.

    Args:
        groups: those whose members find each other.
        experiment: a label that differs from that of every other experiment.
    """
    own = Counter(label(group.id) for group in groups)
    members = Counter(label(member_name(group.id, task)) for group in groups for task in group.members)
    names: dict[str, tuple[str, ...]] = {}
    for group in groups:
        group_label = label(group.id) if own[label(group.id)] == 1 else _distinct(group.id)
        for task in group.members:
            member = label(member_name(group.id, task))
            short = (member,) if members[member] == 1 else ()
            unique = f"{member}.{group_label}.{experiment}.{DOMAIN}"
            names[task] = (unique, f"{group_label}.{member}", *short)
    return names
