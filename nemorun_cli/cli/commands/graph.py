"""`exp graph`: the tasks of a spec or an experiment and their dependencies, drawn or exported."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from nemorun_cli.cli import completion, tables, terminal
from nemorun_cli.cli.options import Json, Params, ProgramArguments, Sets, Sweeps
from nemorun_cli.errors import NotFoundError, UsageError
from nemorun_cli.experiment import documents, run
from nemorun_cli.model import wording
from nemorun_cli.views.reports import search_summary, task_graph

if TYPE_CHECKING:
    from collections.abc import Sequence

    from nemorun_cli.cli.graph_drawing import GraphLine
    from nemorun_cli.views.reports.task_graph import TaskGraph
    from nemorun_cli.views.snapshot import Snapshot

FORMATS: Final = ("text", "mermaid", "dot")


def command(
    which: Annotated[
        str,
        typer.Argument(
            metavar="SPEC|EXP",
            help="Spec file or experiment.",
            autocompletion=lambda incomplete: [
                *completion.specs(incomplete),
                *completion.experiments(incomplete),
            ],
        ),
    ],
    arguments: ProgramArguments = None,
    *,
    form: Annotated[
        str,
        typer.Option(
            "--format",
            metavar="FORMAT",
            help="Output format: text, mermaid or dot.",
            autocompletion=lambda: list(FORMATS),
        ),
    ] = "text",
    params: Params = None,
    sets: Sets = None,
    sweeps: Sweeps = None,
    is_json: Json = False,
) -> None:
    """Draw tasks and their dependencies.

    Examples:
      exp graph train.yaml                draw the tasks of a spec
      exp graph latest                    draw tasks with their statuses
      exp graph train.yaml --format dot | dot -Tsvg > graph.svg
    """
    if form not in FORMATS:
        raise UsageError(f"--format {form}: must be one of {', '.join(FORMATS)}")
    snapshot = None if _is_spec(which) else _look(which)
    if snapshot is None:
        options = {"params": params or (), "sets": sets or (), "sweeps": sweeps or ()}
        tasks = task_graph.of(_load(which, arguments or (), options))
    elif params or sets or sweeps or arguments:
        hint = "use -p, --set, --sweep and -- ARGS with a SPEC"
        raise UsageError(f"{which} is an experiment: its params are fixed", hint=hint)
    else:
        tasks = task_graph.of(snapshot.spec, snapshot.history.tasks, snapshot.history.external)
    if is_json:
        terminal.write_json(documents.graph(tasks, snapshot))
    elif form == "mermaid":
        terminal.write(task_graph.to_mermaid(tasks))
    elif form == "dot":
        terminal.write(task_graph.to_dot(tasks))
    else:
        _draw(tasks, snapshot)


def _is_spec(which: str) -> bool:
    return (
        Path(which).is_file()
        or which.endswith((*completion.SPEC_ENDINGS, *completion.PROGRAM_ENDINGS))
        or "/" in which
    )


def _look(which: str) -> Snapshot:
    try:
        return run.find(which).status()
    except NotFoundError as error:
        if type(error) is NotFoundError:
            error.message += ", and no such file"
        raise


def _load(path: str, arguments: Sequence[str], options: dict[str, Any]) -> Any:
    from nemorun_cli import executors  # noqa: PLC0415 - the same
    from nemorun_cli.experiment import create  # noqa: PLC0415 - heavy, and only for specs
    from nemorun_cli.spec import load  # noqa: PLC0415 - the same
    from nemorun_cli.storage.paths import Home  # noqa: PLC0415 - the same

    document = load.read(path, arguments=arguments, executors=executors.known(ask=False), **options)
    return create.located(document, create.tentative(document, Home.from_environment()))


def _draw(tasks: TaskGraph, snapshot: Snapshot | None) -> None:
    from nemorun_cli.cli import graph_drawing  # noqa: PLC0415 - the other formats do not need it
    from nemorun_cli.views.reports import folded_graph  # noqa: PLC0415 - the same

    title = tasks.name
    if snapshot is not None:
        title = f"{snapshot.label}  {snapshot.status}  ({wording.counts(snapshot.history.counts)})"
    encoding = (getattr(sys.stdout, "encoding", None) or "").lower().replace("-", "")
    folded = folded_graph.fold(tasks)
    lines = graph_drawing.draw(folded.graph, is_ascii=not encoding.startswith("utf"))
    terminal.write_lines([title, ""])
    _print(lines)
    if snapshot is None and tasks.searches:
        terminal.write_lines(["", *search_summary.lines(tasks.searches)])
    if folded.left_out:
        terminal.write_lines(["", f"and {folded.left_out} more"])
    if len(folded.graph.nodes) < len(tasks.nodes):
        terminal.suggest("all tasks one by one: --format dot, --format mermaid or --json", is_wanted=True)


def _print(lines: Sequence[GraphLine]) -> None:
    width = terminal.width(sys.stdout)
    styled = (
        [(str(line if width is None else line.shortened(width)), tables.STYLES.get(line.status or "", ""))]
        for line in lines
    )
    terminal.write_styled(styled, is_coloured=terminal.has_colours(sys.stdout))
