"""A graph drawn with characters: one node per row, and vertical lines on the left to its dependents.

Every node has one line, which leads to all its dependents. The row above a node joins exactly the lines
of its dependencies; a `│` in that row is a line that crosses it without joining.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final

from nemorun_cli.cli import wrapping
from nemorun_cli.model.control_characters import one_line
from nemorun_cli.model.status import TaskStatus
from nemorun_cli.views.reports.task_graph import DEFAULT_TYPE, TIMES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from nemorun_cli.views.reports.task_graph import Node, TaskGraph

SYMBOLS: Final = {
    None: "○",
    TaskStatus.PENDING: "○",
    TaskStatus.SUBMITTED: "◔",
    TaskStatus.RUNNING: "●",
    TaskStatus.UNKNOWN: "?",
    TaskStatus.SUCCEEDED: "✔",
    TaskStatus.FAILED: "✘",
    TaskStatus.CANCELLED: "■",
    TaskStatus.SKIPPED: "◌",
}
_ASCII_SYMBOLS: Final = {
    None: "o",
    TaskStatus.PENDING: "o",
    TaskStatus.SUBMITTED: "s",
    TaskStatus.RUNNING: ">",
    TaskStatus.UNKNOWN: "?",
    TaskStatus.SUCCEEDED: "+",
    TaskStatus.FAILED: "x",
    TaskStatus.CANCELLED: "#",
    TaskStatus.SKIPPED: "-",
}
_ASCII: Final = str.maketrans({"│": "|", "─": "-", TIMES: "x"} | dict.fromkeys("├┤┬┴┼╭╮╰╯", "+"))
PASSING: Final = "│"

# The character of a join by its directions: up, down, left, right.
_JOINS: Final = {
    (True, True, False, False): "│",
    (False, False, True, True): "─",
    (True, True, False, True): "├",
    (True, True, True, False): "┤",
    (True, True, True, True): "┼",
    (True, False, True, True): "┴",
    (False, True, True, True): "┬",
    (True, False, False, True): "╰",
    (True, False, True, False): "╯",
    (False, True, False, True): "╭",
    (False, True, True, False): "╮",
}


@dataclass(slots=True)
class _Lines:
    """The vertical lines at the current row: for each column the node of its line, or None."""

    children: dict[str, set[str]]
    columns: list[str | None] = field(default_factory=list)

    def join(self, node: Node, parents: Sequence[str]) -> tuple[int, str | None]:
        """The column of a node, and the row above it that joins its dependencies' lines."""
        joined = [column for column, name in enumerate(self.columns) if name in parents]
        ending = [column for column in joined if not self.children[self.columns[column] or ""] - {node.id}]
        if ending:
            target = ending[0]
        else:
            free = (i for i, name in enumerate(self.columns) if name is None and i > max(joined, default=-1))
            target = next(free, len(self.columns))
        row = self._row(joined, ending, target) if joined else None
        for parent in parents:
            self.children[parent].discard(node.id)
        self.columns += [None] * (target + 1 - len(self.columns))
        for column in ending:
            self.columns[column] = None
        self.columns[target] = node.id
        return target, row

    def _row(self, joined: Sequence[int], ending: Sequence[int], target: int) -> str:
        reached = {*joined, target}
        first, last = min(reached), max(reached)
        cells = []
        for column in range(max(len(self.columns), last + 1)):
            is_inside = first < column < last
            if column in reached:
                up = column in joined
                down = column == target or column not in ending
                cells.append(_JOINS[up, down, column > first, column < last])
            elif column < len(self.columns) and self.columns[column] is not None:
                cells.append(PASSING)
            else:
                cells.append("─" if is_inside else " ")
            cells.append("─" if first <= column < last else " ")
        return "".join(cells).rstrip()

    def close(self, node: Node, column: int) -> None:
        """End the line of a node without dependents."""
        if not self.children[node.id]:
            self.columns[column] = None
        while self.columns and self.columns[-1] is None:
            self.columns.pop()

    def beside(self, column: int, symbol: str) -> str:
        """The row of a node: its symbol and the lines of other nodes."""
        cells = [PASSING if name is not None else " " for name in self.columns]
        cells[column] = symbol
        return " ".join(cells)


@dataclass(frozen=True, slots=True)
class GraphLine:
    """A row of a drawing: on the left the lines with a node's symbol, then its text."""

    rail: str
    label: str = ""
    about: str = ""
    status: TaskStatus | None = None

    @property
    def text(self) -> str:
        """The node's name and what is known about it."""
        return f"{self.label}{self.about}"

    def shortened(self, width: int) -> GraphLine:
        """The row in at most `width` columns if its name is not longer: names are never shortened."""
        left = width - wrapping.width_of(f"{self.rail}  {self.label}")
        return replace(self, about=wrapping.shortened(self.about, left) if left > 0 else "")

    def __str__(self) -> str:
        return f"{self.rail}  {self.text}" if self.text else self.rail


def draw(graph: TaskGraph, *, is_ascii: bool = False) -> list[GraphLine]:
    """The drawing; with `is_ascii` without box-drawing characters."""
    symbols = _ASCII_SYMBOLS if is_ascii else SYMBOLS
    parents: dict[str, list[str]] = {node.id: [] for node in graph.nodes}
    children: dict[str, set[str]] = {node.id: set() for node in graph.nodes}
    for edge in graph.edges:
        parents[edge.target].append(edge.source)
        children[edge.source].add(edge.target)
    linked = {name for edge in graph.edges for name in (edge.source, edge.target)}
    shows_executors = len({name for node in graph.nodes for name in node.executors}) > 1
    running, drawn, before = _Lines(children), [], None
    for node in graph.nodes:
        column, joins = running.join(node, parents[node.id])
        if joins is None and before in linked:
            joins = running.beside(column, " ")  # an empty row before the next unconnected part
        if joins is not None:
            drawn.append(GraphLine(joins.rstrip()))
        about = _about(node, shows_executors=shows_executors)
        rail, label = running.beside(column, symbols[node.status]), one_line(node.label)
        drawn.append(GraphLine(rail, label, one_line(about), node.status))
        running.close(node, column)
        before = node.id
    width = max((len(line.rail) for line in drawn if line.text), default=0)
    padded = [replace(line, rail=f"{line.rail:<{width}}") if line.text else line for line in drawn]
    if not is_ascii:
        return padded
    return [
        replace(
            line,
            rail=line.rail.translate(_ASCII),
            label=line.label.translate(_ASCII),
            about=line.about.translate(_ASCII),
        )
        for line in padded
    ]


def _about(node: Node, *, shows_executors: bool) -> str:
    """The text after the name: statuses, dependency type and executors."""
    parts = []
    if (node.is_group or node.more) and node.counts:
        parts.append(", ".join(f"{count} {status}" for status, count in node.counts.items()))
    elif node.status:
        parts.append(node.status)
    if node.dependency_type != DEFAULT_TYPE:
        parts.append(node.dependency_type)
    if shows_executors:
        parts.append(f"on {', '.join(node.executors)}")
    return f"  ({'; '.join(parts)})" if parts else ""
