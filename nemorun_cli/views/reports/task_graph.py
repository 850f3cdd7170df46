"""The dependency graph of an experiment: its tasks, with each group as one node, and their dependencies."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Final

from nemorun_cli.model.control_characters import escaped
from nemorun_cli.model.handlers import RUN_AFTER
from nemorun_cli.model.search import tasks_of_trials
from nemorun_cli.model.spec import possible_forms
from nemorun_cli.model.status import Reason, TaskStatus
from nemorun_cli.views.reports import search_summary

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from nemorun_cli.model.spec import DependencyType, External, Group, Handler, Spec, Task
    from nemorun_cli.storage.state import ExternalEnd, TaskState

GRAPH_FORMAT: Final = "exp.graph/1"
DEFAULT_TYPE: Final[DependencyType] = "afterok"
TIMES: Final = "\N{MULTIPLICATION SIGN}"

# The status of a group: the first of these that a member has.
_PRECEDENCE: Final = (
    TaskStatus.UNKNOWN,
    TaskStatus.RUNNING,
    TaskStatus.SUBMITTED,
    TaskStatus.PENDING,
    TaskStatus.FAILED,
    TaskStatus.CANCELLED,
    TaskStatus.SKIPPED,
    TaskStatus.SUCCEEDED,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """A task, or a group with its members; in the graph of a spec, `status` is None and `counts` is empty.

    In a folded graph a node also represents `more` others. `until` is the short name of the member with which
    a group ends, or UNTIL_ANY; None if it ends with its last one. `best_by` is the metric of its best member.
    `searched` is the number of params of a search, `trials` that of its trials. `reusable` members have
    `cache`, and `cached` ones got an earlier result.
    """

    id: str
    members: tuple[str, ...]
    is_group: bool
    executors: tuple[str, ...]
    dependency_type: DependencyType
    status: TaskStatus | None = None
    counts: dict[TaskStatus, int] = field(default_factory=dict)
    description: str | None = None
    until: str | None = None
    best_by: str | None = None
    searched: int = 0
    trials: int = 0
    reusable: int = 0
    cached: int = 0
    more: int = 0
    text: str = ""  # of something outside of the experiment, which has no members

    @property
    def label(self) -> str:
        """The name shown in drawings, with the number of members of a group, or of folded nodes."""
        if self.text:
            return self.text
        if self.more:
            return f"{self.id} and {self.more} more{self.reuse}"
        until = f" until {self.until}" if self.until else ""
        best = f" best by {self.best_by}" if self.best_by else ""
        trials = f" trials over {_counted_params(self.searched)}" if self.searched else ""
        size = f"{TIMES}{self.trials or len(self.members)}{trials}"
        return f"{self.id} {size}{until}{best}{self.reuse}" if self.is_group else f"{self.id}{self.reuse}"

    @property
    def reuse(self) -> str:
        """The words for tasks with `cache`, and in an experiment for those that got an earlier result."""
        if self.status is None:
            return " with cache" if self.reusable else ""
        if not self.cached:
            return ""
        return " cached" if self.cached == len(self.members) else f" {self.cached} cached"

    def to_json(self) -> dict[str, Any]:
        """An entry of `nodes` in `exp.graph/1`."""
        return {
            "id": self.id,
            "kind": "external" if self.text else "group" if self.is_group else "task",
            "members": list(self.members),
            "executors": list(self.executors),
            "status": self.status,
            "counts": self.counts,
            "description": self.description,
            "reusable": self.reusable,
            "cached": self.cached,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Edge:
    """`target` depends on `source`, or is a handler that runs after all tasks are finished."""

    source: str
    target: str
    type: DependencyType | Handler

    def to_json(self) -> dict[str, Any]:
        """An entry of `edges` in `exp.graph/1`."""
        return {"from": self.source, "to": self.target, "type": self.type}


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskGraph:
    """The nodes, each after those it depends on, and the edges between them."""

    name: str
    nodes: tuple[Node, ...]
    edges: tuple[Edge, ...]
    groups: tuple[dict[str, Any], ...]
    searches: tuple[dict[str, Any], ...] = ()

    def to_json(self) -> dict[str, Any]:
        """The document `exp.graph/1`, without the fields that only an experiment has."""
        return {
            "schema": GRAPH_FORMAT,
            "name": self.name,
            "nodes": [node.to_json() for node in self.nodes],
            "edges": [edge.to_json() for edge in self.edges],
            "groups": list(self.groups),
            "searches": list(self.searches),
        }


def of(
    spec: Spec,
    states: Mapping[str, TaskState] | None = None,
    ends: Mapping[str, ExternalEnd] | None = None,
) -> TaskGraph:
    """The graph of a spec.

    Args:
        spec: the resolved spec.
        states: of its tasks, if it belongs to an experiment.
        ends: of what they wait for outside of the experiment.
    """
    by_node: defaultdict[str, list[Task]] = defaultdict(list)
    for task in spec.tasks:
        by_node[_node_of(task)].append(task)
    node_of = {task.id: _node_of(task) for task in spec.tasks}
    edges = {}
    for task in spec.tasks:
        for parent in task.dependencies:
            source, target = node_of[parent], node_of[task.id]
            if source == target:
                continue  # members of one group
            edge_type = task.handler or task.dependency_type
            edges[source, target] = Edge(source=source, target=target, type=edge_type)
        for key in task.external:
            target = node_of[task.id]
            edges[key, target] = Edge(source=key, target=target, type=task.dependency_type)
    edges |= _edges_to_handlers(spec, edges)
    groups = {group.id: group for group in spec.groups}
    outside = {each.key: _external_node(each, (ends or {}).get(each.key)) for each in spec.external}
    nodes = outside | {
        name: _node(name, tasks, states, group=groups.get(name)) for name, tasks in by_node.items()
    }
    return TaskGraph(
        name=spec.name,
        nodes=tuple(nodes[name] for name in _in_order(list(nodes), list(edges))),
        edges=tuple(edges.values()),
        groups=tuple(
            {
                "id": group.id,
                "members": list(group.members),
                "together": group.together,
                "fail_fast": group.fail_fast,
                "until": group.until,
                **({"best": asdict(group.best)} if group.best is not None else {}),
            }
            for group in spec.groups
            if group.id not in RUN_AFTER
        ),
        searches=tuple(search_summary.entries(spec.groups)),
    )


def _edges_to_handlers(spec: Spec, known: Collection[tuple[str, str]]) -> dict[tuple[str, str], Edge]:
    """The edges from each node without dependents to the handlers that run first."""
    first = [task for task in spec.tasks if task.handler and not task.dependencies]
    sources = {source for source, _ in known}
    nodes = dict.fromkeys(_node_of(task) for task in spec.tasks if not task.handler) if first else {}
    return {
        (name, task.id): Edge(source=name, target=task.id, type=task.handler)
        for task in first
        for name in nodes
        if name not in sources and task.handler
    }


def _node_of(task: Task) -> str:
    return task.id if task.handler else task.group or task.id


def _node(
    name: str, tasks: Sequence[Task], states: Mapping[str, TaskState] | None, *, group: Group | None
) -> Node:
    counts = Counter(states[task.id].status for task in tasks) if states is not None else Counter()
    needless = sum(states[task.id].is_needless for task in tasks) if states is not None else 0
    decisive = counts - Counter({TaskStatus.SKIPPED: needless})
    return Node(
        id=name,
        members=tuple(task.id for task in tasks),
        is_group=tasks[0].group is not None and tasks[0].handler is None,
        executors=tuple(dict.fromkeys(task.executor for task in possible_forms(tasks))),
        dependency_type=DEFAULT_TYPE if tasks[0].handler else tasks[0].dependency_type,
        status=next((status for status in _PRECEDENCE if decisive[status]), None),
        counts={status: counts[status] for status in TaskStatus if counts[status]},
        description=tasks[0].description if group is None else group.description,
        until=group.until.removeprefix(f"{name}/") if group is not None and group.has_leader else None,
        best_by=group.best.metric if group is not None and group.best is not None else None,
        searched=len(group.search.params) if group is not None and group.search is not None else 0,
        trials=0 if group is None or group.search is None else len(tasks_of_trials(group.members)),
        reusable=sum(task.may_be_cached for task in tasks),
        cached=sum(states[task.id].reason == Reason.CACHED for task in tasks) if states is not None else 0,
    )


def _counted_params(count: int) -> str:
    return "1 param" if count == 1 else f"{count} params"


def _external_node(external: External, end: ExternalEnd | None) -> Node:
    return Node(
        id=external.key,
        members=(),
        is_group=False,
        executors=(),
        dependency_type=DEFAULT_TYPE,
        status=end.status if end else None,
        text=external.text,
    )


def _in_order(names: Sequence[str], edges: Sequence[tuple[str, str]]) -> list[str]:
    """The names in topological order, each close to its dependencies, so that few edges are parallel."""
    children, waiting = defaultdict(list), Counter(target for _, target in edges)
    for source, target in edges:
        children[source].append(target)
    ready = [name for name in reversed(names) if not waiting[name]]
    ordered = []
    while ready:
        name = ready.pop()
        ordered.append(name)
        freed = []
        for child in children[name]:
            waiting[child] -= 1
            if not waiting[child]:
                freed.append(child)
        ready += reversed(freed)
    return ordered


def to_mermaid(graph: TaskGraph) -> str:
    """The graph for Mermaid; names are quoted, so that none is read as syntax."""
    numbers = {node.id: f"n{index}" for index, node in enumerate(graph.nodes)}
    lines = ["flowchart TD"]
    for node in graph.nodes:
        opening, closing = ("[[", "]]") if node.is_group else ("[", "]")
        style = f":::{node.status}" if node.status else ""
        lines.append(f'    {numbers[node.id]}{opening}"{_entities(node.label)}"{closing}{style}')
    for edge in graph.edges:
        arrow = "-->" if edge.type == DEFAULT_TYPE else f"-. {_entities(edge.type)} .->"
        lines.append(f"    {numbers[edge.source]} {arrow} {numbers[edge.target]}")
    used = {node.status for node in graph.nodes if node.status}
    lines += [f"    classDef {status} {_MERMAID_STYLES[status]}" for status in TaskStatus if status in used]
    return "".join(f"{line}\n" for line in lines)


def to_dot(graph: TaskGraph) -> str:
    """The graph for Graphviz; names are quoted, so that none is read as syntax."""
    lines = [f"digraph {_quoted(graph.name)} {{", "    node [shape=box, style=filled, fillcolor=white];"]
    for node in graph.nodes:
        details = [f"label={_quoted(node.label)}"]
        details += ["peripheries=2"] if node.is_group else []
        details += [f"fillcolor={_DOT_COLOURS[node.status]}"] if node.status else []
        lines.append(f"    {_quoted(node.id)} [{', '.join(details)}];")
    for edge in graph.edges:
        style = "" if edge.type == DEFAULT_TYPE else f" [label={_quoted(edge.type)}, style=dashed]"
        lines.append(f"    {_quoted(edge.source)} -> {_quoted(edge.target)}{style};")
    return "".join(f"{line}\n" for line in [*lines, "}"])


def _entities(text: str) -> str:
    """The text in Mermaid's escapes, which start with a number sign instead of an ampersand."""
    shown = escaped(text)
    return "".join(char if char.isalnum() or char in _PLAIN else f"#{ord(char)};" for char in shown)


def _quoted(text: str) -> str:
    quoted = escaped(text).replace("\\", "\\\\").replace('"', '\\"')
    return f'"{quoted}"'


_PLAIN: Final = frozenset(f" ._-=,/~{TIMES}")
_MERMAID_STYLES: Final = {
    TaskStatus.PENDING: "fill:#eeeeee,stroke:#999999",
    TaskStatus.SUBMITTED: "fill:#d8f0f8,stroke:#3399bb",
    TaskStatus.RUNNING: "fill:#b8e4f0,stroke:#006688,stroke-width:2px",
    TaskStatus.UNKNOWN: "fill:#f0d8f0,stroke:#884488",
    TaskStatus.SUCCEEDED: "fill:#d4f0d4,stroke:#338833",
    TaskStatus.FAILED: "fill:#f8d0d0,stroke:#bb2222,stroke-width:2px",
    TaskStatus.CANCELLED: "fill:#f8ecc8,stroke:#aa8822",
    TaskStatus.SKIPPED: "fill:#f8f4e4,stroke:#bbaa77,stroke-dasharray:4",
}
_DOT_COLOURS: Final = {
    TaskStatus.PENDING: "gray93",
    TaskStatus.SUBMITTED: "lightcyan",
    TaskStatus.RUNNING: "lightskyblue",
    TaskStatus.UNKNOWN: "plum",
    TaskStatus.SUCCEEDED: "palegreen",
    TaskStatus.FAILED: "lightcoral",
    TaskStatus.CANCELLED: "khaki",
    TaskStatus.SKIPPED: "cornsilk",
}
