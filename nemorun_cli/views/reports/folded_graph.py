"""Folds a large graph for a drawing: similar tasks are one node, and so are tasks one after the other."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from nemorun_cli.model.status import TaskStatus
from nemorun_cli.views.reports.task_graph import Edge, TaskGraph

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable, Iterator, Sequence

    from nemorun_cli.views.reports.task_graph import Node

MOST_NODES: Final = 100  # a graph with more nodes is folded, and cut if that is not enough
FEWEST: Final = 4  # nodes that are worth folding


@dataclass(frozen=True, slots=True, kw_only=True)
class FoldedGraph:
    """A graph of at most MOST_NODES nodes, and the number of nodes that are left out."""

    graph: TaskGraph
    left_out: int = 0


def fold(graph: TaskGraph, *, most: int = MOST_NODES) -> FoldedGraph:
    """The graph, folded if it has more than `most` nodes, and cut after these."""
    while len(graph.nodes) > most:
        folded = _merged(graph, [*_similar(graph), *_chains(graph)])
        if len(folded.nodes) == len(graph.nodes):
            break
        graph = folded
    if len(graph.nodes) <= most:
        return FoldedGraph(graph=graph)
    left_out = sum(1 + node.more for node in graph.nodes[most:])
    nodes = graph.nodes[:most]
    kept = {node.id for node in nodes}
    edges = tuple(edge for edge in graph.edges if edge.source in kept and edge.target in kept)
    return FoldedGraph(graph=replace(graph, nodes=nodes, edges=edges), left_out=left_out)


def _similar(graph: TaskGraph) -> Iterator[list[Node]]:
    """Nodes that differ only in their names: same dependencies, dependents, kind and status."""
    links: defaultdict[str, list[tuple[str, str, str]]] = defaultdict(list)
    for edge in graph.edges:
        links[edge.target].append(("from", edge.source, edge.type))
        links[edge.source].append(("to", edge.target, edge.type))
    alike: defaultdict[Hashable, list[Node]] = defaultdict(list)
    for node in graph.nodes:
        alike[_kind(node), frozenset(links[node.id])].append(node)
    return (nodes for nodes in alike.values() if len(nodes) >= FEWEST)


def _chains(graph: TaskGraph) -> Iterator[list[Node]]:
    """Nodes of one kind and status, each of which depends on one node, and one node on it."""
    parents, children = Counter[str](), Counter[str]()
    following: dict[str, str] = {}
    for edge in graph.edges:
        parents[edge.target] += 1
        children[edge.source] += 1
        following[edge.source] = edge.target
    chain: list[Node] = []
    by_id = {node.id: node for node in graph.nodes}
    is_link = {name: parents[name] == 1 and children[name] == 1 for name in by_id}
    seen: set[str] = set()
    for start in graph.nodes:
        node: Node | None = start
        while node is not None and is_link[node.id] and node.id not in seen:
            if chain and _kind(chain[-1]) != _kind(node):
                yield from _if_long(chain)
                chain = []
            chain.append(node)
            seen.add(node.id)
            node = by_id.get(following[node.id])
        yield from _if_long(chain)
        chain = []


def _if_long(chain: list[Node]) -> Iterator[list[Node]]:
    if len(chain) >= FEWEST:
        yield chain


def _kind(node: Node) -> Hashable:
    return node.is_group, node.status, node.executors, node.dependency_type, node.reuse


def _merged(graph: TaskGraph, sets: Iterable[Sequence[Node]]) -> TaskGraph:
    """The graph with each set of nodes as one node; of overlapping sets the first one counts."""
    first: dict[str, str] = {}
    nodes = {node.id: node for node in graph.nodes}
    for merged in sets:
        if any(node.id in first for node in merged):
            continue
        first |= {node.id: merged[0].id for node in merged}
        counts: Counter[TaskStatus] = Counter()
        for node in merged:
            counts.update(node.counts)
        nodes[merged[0].id] = replace(
            merged[0],
            members=tuple(name for node in merged for name in node.members),
            reusable=sum(node.reusable for node in merged),
            cached=sum(node.cached for node in merged),
            more=sum(1 + node.more for node in merged) - 1,
            counts={status: counts[status] for status in TaskStatus if counts[status]},
        )
    edges = {
        (source, target): Edge(source=source, target=target, type=edge.type)
        for edge in graph.edges
        for source, target in [(first.get(edge.source, edge.source), first.get(edge.target, edge.target))]
        if source != target
    }
    kept = [nodes[node.id] for node in graph.nodes if first.get(node.id, node.id) == node.id]
    return replace(graph, nodes=tuple(kept), edges=tuple(edges.values()))
