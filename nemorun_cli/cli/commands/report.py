"""`exp report`: an experiment as one HTML file that needs no server."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from nemorun_cli.cli import completion, terminal
from nemorun_cli.cli.options import ExperimentOrLatest, Json, whole_number
from nemorun_cli.errors import UsageError
from nemorun_cli.experiment.lookup import LATEST
from nemorun_cli.experiment.run import find
from nemorun_cli.model import wording
from nemorun_cli.model.units import size_text
from nemorun_cli.system import files

if TYPE_CHECKING:
    from nemorun_cli.serve.report.report_data import ReportData

REPORT_FORMAT: Final = "exp.report/1"
STDOUT: Final = "-"
LARGE: Final = 10_000_000  # bytes above which mail servers often refuse a file
MODE: Final = 0o666  # less the umask: it is the user's, and can be shared


def command(
    which: ExperimentOrLatest = LATEST,
    *,
    output: Annotated[
        str | None,
        typer.Option("-o", "--output", metavar="FILE", help="The file (default: ID.html); - for stdout."),
    ] = None,
    force: Annotated[bool, typer.Option("-f", "--force", help="Replace a file that exists.")] = False,
    lines: Annotated[
        str | None,
        typer.Option(
            "-n", "--lines", metavar="N", help="Lines of the end of each log (default: 40); 0 for no logs."
        ),
    ] = None,
    logs: Annotated[
        list[str] | None,
        typer.Option(
            "--log",
            metavar="TASK",
            help="Also the end of the log of this task, group or glob; those that failed are in it. "
            "Repeatable.",
            autocompletion=completion.tasks,
        ),
    ] = None,
    is_json: Json = False,
) -> None:
    """Write an experiment into one HTML file.

    It has the graph, the tasks, why tasks failed, the ends of their logs, curves, params and the
    environment, as the page of `exp serve` shows them. It needs no network and no server, so that it can be
    mailed and opened anywhere. Known secrets are masked, and variables of the environment are not in it.

    Examples:
      exp report                          the latest experiment, into ID.html
      exp report training -o run.html -f
      exp report training --log train -n 200
    """
    from nemorun_cli.serve.report import report_data, report_file  # noqa: PLC0415 - slow to import

    if output == STDOUT and is_json:
        raise UsageError("-o - cannot be combined with --json: both write to standard output")
    count = whole_number("-n", lines) if lines is not None else report_data.LINES
    run = find(which)
    path = Path(output if output is not None else f"{run.id}.html")
    if output != STDOUT and not force:
        _refuse_existing(path)
    report = report_data.collect(run, report_data.ReportOptions(lines=count, logs=tuple(logs or ())))
    for problem in report.problems:
        terminal.warn(problem)
    content = report_file.text(report.data, title=f"{run.id} · exp", summary=_summary(report))
    data = content.encode(errors="replace")
    if output == STDOUT:
        with terminal.passing_bytes(sys.stdout):
            terminal.write_unchanged(data.decode())
            terminal.flush()
    else:
        _write(path, data, replaces=force)
    if is_json:
        document = {"schema": REPORT_FORMAT, **report.summary, "path": str(path.absolute())}
        terminal.write_json({**document, "bytes": len(data)})
        return
    if output != STDOUT:
        terminal.write_line(str(path))
    terminal.flush()
    terminal.say(_said(report, len(data)))


def _refuse_existing(path: Path) -> None:
    if path.is_dir():
        raise UsageError(f"{path} is a folder", hint="name a file: -o FILE")
    if path.exists() or path.is_symlink():
        raise UsageError(f"{path} already exists", hint="nothing was written; -f replaces it")


def _write(path: Path, data: bytes, *, replaces: bool) -> None:
    try:
        if replaces:
            with files.whole(path, mode=MODE) as stream:
                stream.write(data)
        else:
            files.write_new(path, data, mode=MODE)
    except FileExistsError:
        raise UsageError(f"{path} already exists", hint="nothing was written; -f replaces it") from None
    except OSError as error:
        raise UsageError(f"cannot write {path}: {error.strerror}") from error


def _summary(report: ReportData) -> str:
    status: dict[str, Any] = report.data["status"]
    lines = [f"{status['status']}  ({wording.counts(status['counts'])})"]
    lines += [f"{task['id']}  {task['status']}  {task['message'] or ''}".rstrip() for task in status["tasks"]]
    return "\n".join([*lines, "", "This file needs its script to show more."])


def _said(report: ReportData, size: int) -> str:
    found = report.summary
    parts = [
        size_text(size),
        _count(found["tasks"], "task"),
        _count(found["curves"], "curve") + (" (sampled)" if found["sampled"] else ""),
        f"the end of {_count(found['logs'], 'log')}",
    ]
    large = "; mail servers often refuse files above 10 MB" if size > LARGE else ""
    return f"{', '.join(parts)}{large}"


def _count(number: int, word: str) -> str:
    return f"{number:,} {word}{'' if number == 1 else 's'}"
