"""Which host a task starts on, by what the hosts reported last. Pure."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, Self

from nemorun_cli.model.resources import SLACK, cpus_text, gpus_text
from nemorun_cli.model.units import size_text

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from nemorun_cli.model.resources import Resources

NONE: Final = "-"
FIELDS: Final = 12  # of the line `capacity` of `host.sh`
WORDS: Final = {"slots": "a slot", "cpus": "CPUs", "memory": "memory", "gpus": "a GPU"}
MOST_NAMED: Final = 3  # tasks that a message names for each host


@dataclass(frozen=True, slots=True, kw_only=True)
class HostCapacity:
    """The capacity of a host for this user's experiments, and its use, as `host.sh` reported it.

    Attributes:
        slots: how many tasks may run at once; `tasks` is how many run.
        gpus: how many GPUs it has; `free_gpus` is how many of them nobody uses.
        users: what each running task is called.
        boot: the boot id of the host.
        clock: its time, in Unix seconds; `address` is its address, as ssh reached it, or None.
    """

    slots: int
    tasks: int
    cpus: float
    used_cpus: float
    memory: int
    used_memory: int
    gpus: int
    free_gpus: int
    boot: str
    clock: float
    address: str | None
    users: tuple[str, ...] = ()

    @classmethod
    def of(cls, text: str) -> Self | None:
        """The capacity in the output of `host.sh capacity`; None if it contains none."""
        lines = [line.split(" ") for line in text.splitlines()]
        for fields in lines:
            if fields[0] == "capacity" and len(fields) == FIELDS:
                users = tuple(" ".join(use[4:]) for use in lines if use[0] == "use")
                try:
                    return cls._of_fields(fields[1:], users)
                except ValueError:
                    return None
        return None

    @classmethod
    def _of_fields(cls, fields: Sequence[str], users: tuple[str, ...]) -> Self:
        slots, tasks, cpus, used_cpus, memory, used_memory, gpus, free, boot, clock, address = fields
        return cls(
            slots=int(slots),
            tasks=int(tasks),
            cpus=float(cpus),
            used_cpus=float(used_cpus),
            memory=int(memory),
            used_memory=int(used_memory),
            gpus=_count(gpus),
            free_gpus=_count(free),
            boot=boot,
            clock=float(clock),
            address=None if address == NONE else address,
            users=users,
        )

    def shortages(self, wanted: Resources) -> list[str]:
        """The kinds of capacity of which there is not enough now."""
        kinds = {
            "slots": self.tasks + 1 > self.slots,
            "cpus": bool(wanted.cpus) and self.used_cpus + (wanted.cpus or 0) > self.cpus + SLACK,
            "memory": bool(wanted.memory) and self.used_memory + (wanted.memory or 0) > self.memory,
            "gpus": (wanted.gpus or 0) > self.free_gpus,
        }
        return [kind for kind, is_short in kinds.items() if is_short]

    def with_task(self, wanted: Resources, name: str) -> Self:
        """The capacity when one more task runs."""
        return replace(
            self,
            tasks=self.tasks + 1,
            used_cpus=self.used_cpus + (wanted.cpus or 0),
            used_memory=self.used_memory + (wanted.memory or 0),
            free_gpus=self.free_gpus - (wanted.gpus or 0),
            users=(*self.users, name),
        )

    def why_never(self, wanted: Resources) -> str | None:
        """What the host has too little of, whatever else runs there; None if it has enough."""
        shortages = []
        if (wanted.cpus or 0) > self.cpus + SLACK:
            shortages.append(cpus_text(self.cpus))
        if (wanted.memory or 0) > self.memory:
            shortages.append(f"{size_text(self.memory)} of memory")
        if (wanted.gpus or 0) > self.gpus:
            shortages.append(gpus_text(self.gpus))
        return " and ".join(shortages) or None


def _count(ids: str) -> int:
    return 0 if ids in (NONE, "") else len(ids.split(","))


def choose(capacities: Mapping[str, HostCapacity], wanted: Resources) -> str | None:
    """The host with capacity that would be least busy then; None if none has capacity now.

    Args:
        capacities: by host, only those that can be used now.
        wanted: what the task requests.
    """
    free = [name for name, capacity in capacities.items() if not capacity.shortages(wanted)]
    return min(free, key=lambda name: _load(capacities[name]), default=None)


def _load(capacity: HostCapacity) -> float:
    return max(capacity.tasks / capacity.slots, capacity.used_cpus / max(capacity.cpus, SLACK))


@dataclass(frozen=True, slots=True, kw_only=True)
class PlacementRequest:
    """What one task needs; `only` is the host on which it has to start, if that is fixed."""

    wanted: Resources
    name: str
    only: str | None = None


@dataclass(frozen=True, slots=True)
class Placement:
    """The hosts on which tasks start, in their order, and the capacities then."""

    hosts: list[str]
    capacities: dict[str, HostCapacity]


def fit(
    requests: Sequence[PlacementRequest], capacities: Mapping[str, HostCapacity], *, blocked: Collection[str]
) -> Placement | None:
    """Hosts with capacity for all of these tasks at once; None if there is not enough.

    Args:
        requests: of tasks that start together.
        capacities: by host, only those that can be used now.
        blocked: the kinds of capacity that are kept for earlier tasks.
    """
    left, hosts = dict(capacities), []
    for request in requests:
        if blocked and kinds_of(request.wanted) & set(blocked):
            return None
        names = left if request.only is None else left.keys() & {request.only}
        name = choose({name: left[name] for name in names}, request.wanted)
        if name is None:
            return None
        left[name] = left[name].with_task(request.wanted, request.name)
        hosts.append(name)
    return Placement(hosts, left)


def kinds_of(wanted: Resources) -> set[str]:
    """The kinds of capacity that a task uses."""
    requested = {"cpus": wanted.cpus, "memory": wanted.memory, "gpus": wanted.gpus}
    return {"slots", *(kind for kind, amount in requested.items() if amount)}


def short_everywhere(
    requests: Sequence[PlacementRequest], capacities: Mapping[str, HostCapacity]
) -> set[str]:
    """The kinds of capacity for which tasks wait that could start on any host."""
    short: set[str] = set()
    for request in requests:
        if request.only is None and capacities:
            kinds = (set(capacity.shortages(request.wanted)) for capacity in capacities.values())
            short |= set.intersection(*kinds)
    return short


def waiting_message(
    capacities: Mapping[str, HostCapacity], problems: Mapping[str, str], wanted: Resources
) -> str:
    """What a task waits for, and what has it.

    Args:
        capacities: by host, of those that can be used now.
        problems: why each other host cannot be used now.
        wanted: what the task requests.
    """
    kinds: dict[str, None] = {}
    texts = []
    for name, capacity in capacities.items():
        if (never := capacity.why_never(wanted)) is not None:
            texts.append(f"{name} has {never}")
            continue
        short = capacity.shortages(wanted)
        kinds.update(dict.fromkeys(short))
        texts.append(f"{name} is full{_with(capacity.users)}" if short else f"{name} has capacity")
    texts += [f"{name}: {problem}" for name, problem in problems.items()]
    what = " and ".join(WORDS[kind] for kind in kinds) if kinds else "a host"
    return f"waits for {what}: {'; '.join(texts)}" if texts else f"waits for {what}"


def _with(users: Collection[str]) -> str:
    if not users:
        return ""
    named = ", ".join(list(users)[:MOST_NAMED])
    more = f" and {len(users) - MOST_NAMED} more" if len(users) > MOST_NAMED else ""
    return f" with {named}{more}"
