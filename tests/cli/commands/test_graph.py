from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.patience import eventually
from support.workspace import until

from nemorun_cli.cli import graph_drawing
from nemorun_cli.model.clock import stamp
from nemorun_cli.spec import load
from nemorun_cli.storage.state import ExperimentState
from nemorun_cli.views.reports import folded_graph, task_graph
from nemorun_cli.views.reports.task_graph import Edge, Node, TaskGraph

if TYPE_CHECKING:
    from support.workspace import Exp, ExpWorkspace

TIMES = "\N{MULTIPLICATION SIGN}"
LEADING_UP = "├┤┼┴╰╯"
SIZES = st.integers(1, 12)
DIAMOND = """
name: diamond
tasks:
  fetch: {command: [echo]}
  left: {command: [echo], dependencies: [fetch]}
  right:
    group: [{command: [echo]}, {command: [echo]}]
    dependencies: [fetch]
  merge: {command: [echo], dependencies: [left, right]}
  alarm: {command: [echo], dependencies: [merge], dependency_type: afternotok}
  alone: {command: [echo]}
"""


def plain(edges: set[tuple[int, int]], count: int) -> TaskGraph:
    """A graph of tasks with numbers for names."""
    nodes = [
        Node(id=str(i), members=(str(i),), is_group=False, executors=("local",), dependency_type="afterok")
        for i in range(count)
    ]
    found = [Edge(source=str(one), target=str(other), type="afterok") for one, other in sorted(edges)]
    return TaskGraph(name="a", nodes=tuple(nodes), edges=tuple(found), groups=())


def read_back(lines: list[str]) -> set[tuple[int, int]]:
    """The edges that a reader sees who follows the lines of a drawing from row to row."""
    edges: set[tuple[int, int]] = set()
    active: dict[int, int] = {}  # by column, the node whose line comes down there
    above = ""
    for line in lines:
        if graph_drawing.SYMBOLS[None] not in line:
            above = line
            continue
        column, node = line.index(graph_drawing.SYMBOLS[None]) // 2, int(line.split()[-1])
        joined = [one for one, cell in enumerate(above[::2]) if cell in LEADING_UP]
        if not joined and above[::2][column : column + 1] == graph_drawing.PASSING:
            joined = [column]
        edges |= {(active[one], node) for one in joined}
        passing = {one for one, cell in enumerate(line[::2]) if cell == graph_drawing.PASSING}
        active = {one: owner for one, owner in active.items() if one in passing} | {column: node}
        above = ""
    return edges


def test_graph_draws_a_spec(exp: Exp) -> None:
    """One node a line, groups as one with the number of their members, dependency types where they matter."""
    assert exp("graph", exp.spec(DIAMOND)).stdout == (
        "diamond\n"
        "\n"
        "○    fetch\n"
        "├─╮\n"
        "│ ○  left\n"
        "│ │\n"
        f"○ │  right {TIMES}2\n"
        "├─╯\n"
        "○    merge\n"
        "│\n"
        "○    alarm  (afternotok)\n"
        "\n"
        "○    alone\n"
    )


def test_graph_shows_how_tasks_stand(workspace: ExpWorkspace) -> None:
    """Of an experiment each symbol and word is a status, of a group the counts of its members."""
    run = workspace.start(
        {
            "well": "true",
            "bad": "exit 1",
            "slow": until("go"),
            "below": {"command": "echo", "dependencies": ["bad"]},
            "both": {"group": [{"inline": until("go")}, {"inline": "true"}], "dependencies": ["well"]},
        },
        run={"max_parallel": 8},
    )
    counts = {"SUCCEEDED": 2, "FAILED": 1, "RUNNING": 2, "SKIPPED": 1}
    eventually(lambda: workspace.exp.status()["counts"] == counts)
    shown = workspace.exp("graph", run.id).stdout
    for text in (f"{run.id}  RUNNING", "✔", "✘", "●", "◌", "well  (SUCCEEDED)", "below  (SKIPPED)"):
        assert text in shown
    assert f"both {TIMES}2  (1 RUNNING, 1 SUCCEEDED)" in shown
    nodes = {node["id"]: node["status"] for node in workspace.exp("graph", run.id, "--json").json["nodes"]}
    assert nodes["both"] == "RUNNING"
    run.cancel()


@given(SIZES.flatmap(lambda n: st.tuples(st.just(n), st.sets(st.tuples(*[st.integers(0, n - 1)] * 2)))))
def test_drawing_can_be_read_back(drawn: tuple[int, set[tuple[int, int]]]) -> None:
    """A reader who follows the lines finds exactly the dependencies that there are."""
    count, pairs = drawn
    edges = {(one, other) for one, other in pairs if one < other}
    assert read_back([str(line) for line in graph_drawing.draw(plain(edges, count))]) == edges


def test_graph_is_readable_without_unicode(exp: Exp) -> None:
    """Where the output cannot take box-drawing characters, plain ones are used."""
    shown = exp("graph", exp.spec(DIAMOND), env={"PYTHONIOENCODING": "ascii"}).stdout
    assert shown.isascii()
    assert "o |  right x2\n+-+\n" in shown


def test_graph_names_executors_where_they_differ(exp: Exp) -> None:
    """Where tasks run is shown if it is not the same for all."""
    spec = exp.spec(
        "executors: {box: {type: local}}\n"
        "tasks: {a: {command: [echo]}, b: {command: [echo], executor: box, dependencies: [a]}}"
    )
    assert "b  (on box)" in exp("graph", spec).stdout


def test_graph_as_a_document(exp: Exp) -> None:
    """The nodes stand in an order in which each comes after its dependencies; edges are between nodes."""
    document = exp("graph", exp.spec(DIAMOND), "--json").json
    assert document["id"] is None
    order = [node["id"] for node in document["nodes"]]
    assert all(order.index(edge["from"]) < order.index(edge["to"]) for edge in document["edges"])
    assert {"from": "right", "to": "merge", "type": "afterok"} in document["edges"]
    assert document["groups"] == [
        {
            "id": "right",
            "members": ["right/0", "right/1"],
            "together": False,
            "fail_fast": False,
            "until": "all",
        }
    ]


def test_graph_for_mermaid_and_dot(exp: Exp) -> None:
    """Other tools get every node and edge, and dependency types that are not the default."""
    spec = exp.spec(DIAMOND)
    mermaid = exp("graph", spec, "--format", "mermaid").stdout
    assert mermaid.startswith("flowchart TD\n")
    assert "-. afternotok .->" in mermaid
    assert mermaid.count("-->") == 4
    dot = exp("graph", spec, "--format", "dot").stdout
    assert dot.startswith('digraph "diamond" {')
    assert '"merge" -> "alarm" [label="afternotok", style=dashed];' in dot


@pytest.mark.parametrize(
    "name",
    [
        'a"]; end',
        "a\\",
        "<b>",
        "a --> b",
        "a\nb",
        "click x",
        "#quot;",
        "`x`",
        "a\x1b[2J",
        "\x9b\u202e",
        "a\t\r",
    ],
)
def test_names_cannot_leave_their_quotes(name: str) -> None:
    """Whatever a name holds, it stays a label, and rewrites no terminal."""
    node = Node(id=name, members=(name,), is_group=False, executors=("x",), dependency_type="afterok")
    odd = TaskGraph(name=name, nodes=(node,), edges=(), groups=())
    (line,) = task_graph.to_mermaid(odd).splitlines()[1:]
    label = line.removeprefix('    n0["').removesuffix('"]')
    assert not set(label) & set('"`<>[]()\n\\')
    title, _, entry, _ = task_graph.to_dot(odd).splitlines()
    for text in (title.removeprefix("digraph ").removesuffix(" {"), entry.strip().partition(" [label=")[0]):
        inner = text[1:-1].replace("\\\\", "").replace('\\"', "")
        assert text[0] == text[-1] == '"'
        assert '"' not in inner
        assert text.isprintable()
    (drawn,) = graph_drawing.draw(odd)
    assert str(drawn).isprintable()
    assert label.isprintable()


def test_graph_takes_a_spec_or_an_experiment(exp: Exp) -> None:
    """What is neither a file nor an experiment is told as both; params go with a spec only."""
    assert "and no such file" in exp("graph", "nothing", code=3).stderr
    exp("graph", "nothing.yaml", code=2)
    exp("graph", ".", code=3)
    spec = exp.spec("params: {n: {type: integer}}\ntasks: {a: {command: [echo, '${{ params.n }}']}}")
    exp("graph", spec, code=2)
    exp("graph", spec, "-p", "n=1")
    exp("run", spec, "-p", "n=1")
    exp("graph", "latest", "-p", "n=1", code=2)


def test_graph_refuses_an_unknown_format(exp: Exp) -> None:
    """The formats that there are are listed."""
    assert "text, mermaid, dot" in exp("graph", exp.spec(DIAMOND), "--format", "png", code=2).stderr


LARGE = st.integers(1, 40).flatmap(
    lambda count: st.tuples(
        st.just(count),
        st.sets(st.tuples(st.integers(0, count - 1), st.integers(0, count - 1)), max_size=60),
    )
)


@given(LARGE, st.integers(1, 20))
def test_a_folded_graph_counts_every_node(drawn: tuple[int, set[tuple[int, int]]], most: int) -> None:
    """Each node is drawn, represented by another one, or counted as left out; dependencies are kept."""
    count, pairs = drawn
    graph = plain({(one, other) for one, other in pairs if one < other}, count)
    folded = folded_graph.fold(graph, most=most)
    assert len(folded.graph.nodes) <= most
    assert sum(1 + node.more for node in folded.graph.nodes) + folded.left_out == count
    names = {node.id for node in folded.graph.nodes}
    assert all(edge.source in names and edge.target in names for edge in folded.graph.edges)
    if count <= most:
        assert folded.graph is graph
    represented = {name: node.id for node in folded.graph.nodes for name in node.members}
    edges = {(edge.source, edge.target) for edge in folded.graph.edges}
    for edge in graph.edges:
        source, target = represented.get(edge.source), represented.get(edge.target)
        assert None in (source, target) or source == target or (source, target) in edges
    assert graph_drawing.draw(folded.graph)


def test_a_large_graph_is_drawn_on_a_page(exp: Exp) -> None:
    """A long chain and many similar tasks are one row each; the other formats have all tasks."""
    tasks = {f"c{i}": {"command": ["echo"], "dependencies": [f"c{i - 1}"] if i else []} for i in range(150)}
    tasks |= {f"w{i}": {"command": ["echo"], "dependencies": ["c149"]} for i in range(150)}
    exp.spec(json.dumps({"name": "large", "tasks": tasks}))
    shown = exp("graph", "spec.yaml")
    assert len(shown.stdout.splitlines()) < 12
    assert "c1 and 147 more" in shown.stdout
    assert "w0 and 149 more" in shown.stdout
    assert "--format dot" in shown.stderr
    assert len(exp("graph", "spec.yaml", "--json").json["nodes"]) == 300
    assert exp("graph", "spec.yaml", "--format", "dot").stdout.count("label=") == 300


def test_a_group_with_a_leader_is_drawn_with_it(exp: Exp) -> None:
    """The name of the member, `any`, and in the document the id; also with what did not start."""
    spec = exp.spec(
        "name: led\ntasks:\n"
        "  g: {until: client, group: [{name: server, inline: sleep 60}, {name: client, inline: sleep 0.1}]}\n"
        "  s: {until: any, inline: 'test ${{ matrix.x }} = 2', matrix: {x: [2, 3], max_parallel: 1}}\n"
    )
    assert [group["until"] for group in exp("graph", spec, "--json").json["groups"]] == ["g/client", "any"]
    exp("run", spec)
    drawn = exp("graph", "led").stdout
    assert f"g {TIMES}2 until client  (2 SUCCEEDED)" in drawn
    assert f"✔  s {TIMES}2 until any  (1 SUCCEEDED, 1 SKIPPED)" in drawn
    assert "g/client: inline sleep 0.1  (g ends with it)" in exp("show", "led").stdout
    task = exp("status", "led", "--json").json["tasks"][0]
    assert (task["status"], task["reason"], task["exit_code"]) == ("SUCCEEDED", "until", 143)
    assert task["message"] == "g/client succeeded, and g ends with it"


def test_graph_marks_what_is_reused() -> None:
    """Of a spec the tasks with `cache`, of an experiment those with an earlier result, in all formats."""
    matrix = {"inline": "echo ${{ matrix.x }}", "matrix": {"x": [1, 2, 3]}, "cache": True}
    tasks = {"a": {"inline": "true", "cache": True}, "m": matrix, "b": {"inline": "true"}}
    spec = load.validate({"name": "n", "tasks": tasks})
    planned = task_graph.of(spec)
    assert [node.label for node in planned.nodes] == ["a with cache", f"m {TIMES}3 with cache", "b"]
    history = ExperimentState.of(spec)
    for name in ("a", "m/x=1", "m/x=3"):
        end = {"time": stamp(1.0), "by": "", "task": name, "attempt": 1, "reason": "cached"}
        history.apply({**end, "event": "submitted"})
        history.apply({**end, "event": "ended", "status": "SUCCEEDED"})
    graph = task_graph.of(spec, history.tasks)
    assert [node.label for node in graph.nodes] == ["a cached", f"m {TIMES}3 2 cached", "b"]
    for drawn in (task_graph.to_dot(graph), task_graph.to_mermaid(graph).replace("#32;", " ")):
        assert drawn.count("cached") == 2
    drawn = [str(line) for line in graph_drawing.draw(folded_graph.fold(graph).graph, is_ascii=False)]
    assert f"m {TIMES}3 2 cached" in "\n".join(drawn)
    nodes = graph.to_json()["nodes"]
    assert [(node["reusable"], node["cached"]) for node in nodes] == [(1, 1), (3, 2), (0, 0)]
