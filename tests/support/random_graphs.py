"""Random experiments whose tasks note what else is alive, and how each task has to end."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from support.workspace import until

if TYPE_CHECKING:
    import random
    from collections.abc import Collection, Mapping

TASKS: Final = 8
MEMBERS: Final = 4  # of the sweep
MOST: Final = 4  # run.max_parallel
MOST_MEMBERS: Final = 2  # max_parallel of the sweep

# Notes `+ TASK ATTEMPT OTHERS`, in which OTHERS are the tasks that are alive at this moment. A file in the
# folder `live` names a process; it counts while that process exists and is no zombie.
_BEGIN: Final = """
mkdir -p live; name=$(echo "$EXP_TASK" | tr / +); : >"live/$name,$EXP_ATTEMPT,$$"; others=
for entry in live/*; do
  case $(cat "/proc/${entry##*,}/stat" 2>/dev/null) in
  *") Z "* | "") ;;
  *) [ "${entry##*,}" = $$ ] || { entry=${entry#live/}; others="$others ${entry%%,*}"; } ;;
  esac
done
echo "+ $name $EXP_ATTEMPT$others" >>ran
"""
_END: Final = '\nrm -f "live/$name,$EXP_ATTEMPT,$$"; exit $code\n'
_BODIES: Final = {
    "quick": "code=0",
    "waits": f"{until('gate')}; code=0",
    "fails": "code=7",
    "second": 'code=0; [ "$EXP_ATTEMPT" -gt 1 ] || code=1',
}


def body(kind: str) -> str:
    """The script of a task of a kind."""
    return _BEGIN + _BODIES[kind] + _END


@dataclass(frozen=True)
class Graph:
    """A random experiment: its tasks as in a spec, and the kind of each that has no matrix."""

    tasks: dict[str, Any]
    kinds: dict[str, str]
    on_failure: dict[str, Any] = field(default_factory=lambda: {"alarm": {"inline": body("quick")}})
    on_exit: dict[str, Any] = field(default_factory=lambda: {"bye": {"inline": body("quick")}})

    @classmethod
    def random(cls, choice: random.Random) -> Graph:
        """Tasks that depend on earlier ones, some with retries and delays, and a sweep."""
        tasks: dict[str, Any] = {}
        kinds: dict[str, str] = {}
        for number in range(TASKS):
            name = f"t{number}"
            kinds[name] = choice.choice(["quick", "quick", "waits", "waits", "second", "fails"])
            earlier = list(tasks)
            tasks[name] = {
                "inline": body(kinds[name]),
                "dependencies": choice.sample(earlier, k=choice.randint(0, min(2, len(earlier)))),
                "dependency_type": choice.choice(["afterok", "afterok", "afterany", "afternotok"]),
                "allow_failure": choice.random() < 0.2,
                "retry": {"limit": 1 if kinds[name] == "second" else 0, "delay": choice.choice([0, 0.3])},
            }
        tasks["sweep"] = {
            "inline": body(choice.choice(["quick", "waits"])),
            "matrix": {"i": list(range(MEMBERS)), "max_parallel": MOST_MEMBERS},
        }
        return cls(tasks, kinds)

    def parents(self, name: str) -> list[str]:
        """The tasks that a task depends on."""
        return list(self.tasks.get(name, {}).get("dependencies", []))

    def ends(self, kept: Collection[str]) -> dict[str, str]:
        """How each task has to end, by nothing but the graph.

        Args:
            kept: the tasks that succeeded after an earlier failure of a task that they depend on. They keep
                this result, although that task succeeded later.
        """
        ends = {f"sweep/i={number}": "SUCCEEDED" for number in range(MEMBERS)}
        for name, kind in self.kinds.items():
            runs = self._runs(name, ends, kept)
            ends[name] = "SKIPPED" if not runs else "FAILED" if kind == "fails" else "SUCCEEDED"
        has_failed = any(
            ends[name] == "FAILED" and not self.tasks[name]["allow_failure"] for name in self.kinds
        )
        return ends | {
            "on_failure/alarm": "SUCCEEDED" if has_failed else "SKIPPED",
            "on_exit/bye": "SUCCEEDED",
        }

    def _runs(self, name: str, ends: Mapping[str, str], kept: Collection[str]) -> bool:
        parents, kind = self.parents(name), self.tasks[name]["dependency_type"]
        if kind == "afterok":
            return all(
                ends[parent] == "SUCCEEDED"
                or (ends[parent] == "FAILED" and self.tasks[parent]["allow_failure"])
                for parent in parents
            )
        if kind == "afternotok" and parents:
            return name in kept or any(ends[parent] == "FAILED" for parent in parents)
        return True


@dataclass(frozen=True)
class Note:
    """What a task noted when it began."""

    task: str
    attempt: int
    others: list[str]

    @classmethod
    def parse(cls, line: str) -> Note:
        """The note in a line of the file `ran`."""
        mark, task, attempt, *others = line.split()
        assert mark == "+"
        return cls(task.replace("+", "/"), int(attempt), [name.replace("+", "/") for name in others])
