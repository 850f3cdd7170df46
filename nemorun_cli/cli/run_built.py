"""Checks, runs and shows a spec that was built in Python, as the command line does for a file."""

from __future__ import annotations

import contextlib
import threading
from typing import TYPE_CHECKING

from nemorun_cli import executors
from nemorun_cli.cli import server_lines, terminal
from nemorun_cli.errors import ExpError, SpecError
from nemorun_cli.experiment import launch
from nemorun_cli.experiment.run import find
from nemorun_cli.spec import load, python_specs
from nemorun_cli.storage.paths import Home
from nemorun_cli.supervisor import client

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from nemorun_cli.experiment.run import Run
    from nemorun_cli.json_documents import PlanDocument
    from nemorun_cli.spec.document import Document
    from nemorun_cli.spec.python_specs import BuiltSpec
    from nemorun_cli.views.snapshot import Snapshot


def read(built: BuiltSpec, sets: Sequence[str]) -> Document:
    """The checked document of a built spec; raises SpecError with all of its problems."""
    document = load.read(
        built.spec,
        path=built.path,
        made_at=built.lines,
        sets=sets,
        executors=executors.known(ask=True),
    )
    return load.with_built(document, built)


def run(
    document: Document,
    *,
    is_direct: bool,
    is_detached: bool,
    note: Callable[[Run], None],
    quiet: bool = False,
    home: Home | None = None,
) -> int:
    """Start it, pass its handle to `note`, and watch it unless it is detached; returns its exit code then."""
    home = home or Home.from_environment()
    terminal.warn_of(document.warnings)
    if is_direct:
        from nemorun_cli.experiment import direct  # noqa: PLC0415 - imports what a supervisor does

        snapshot = direct.run(document, home=home)
        _summarize(snapshot, quiet=quiet)
        note(find(snapshot.files.id, home=home))
        return snapshot.exit_code
    supervisor = client.take()
    try:
        started = launch.launch(document, supervisor=supervisor, home=home)
    except BaseException:
        supervisor.abandon()
        raise
    note(started)
    return 0 if is_detached else _watch(started, quiet=quiet).exit_code


def _watch(started: Run, *, quiet: bool) -> Snapshot:
    from nemorun_cli.cli import watch  # noqa: PLC0415 - only once the experiment is on its way
    from nemorun_cli.cli.interrupts import Interrupts  # noqa: PLC0415 - the same
    from nemorun_cli.views.follow import Watch  # noqa: PLC0415 - the same

    if not quiet:
        server_lines.report(started.files, started.spec())
        terminal.warn(f"{started.id} started")
    has_signals = (
        threading.current_thread() is threading.main_thread()
    )  # Python lets no other one handle them
    handling = Interrupts() if has_signals else contextlib.nullcontext()
    with handling as interrupts, Watch(started.files, started.home) as watching:
        return watch.watch(started, watching, interrupts=interrupts, is_json=False, quiet=quiet)


def _summarize(snapshot: Snapshot, *, quiet: bool) -> None:
    """Print how a direct run ended: its output is there already."""
    from nemorun_cli.cli import watch  # noqa: PLC0415 - only once the experiment has ended

    if not quiet:
        watch.summarize(snapshot, secrets=(), tailed=snapshot.history.tasks)
    watch.settle_plugins(snapshot, quiet=quiet)


def report(error: ExpError, program: Path) -> None:
    """Print an error that ends a program as the command line does, with the program's own line."""
    from nemorun_cli.cli import app  # noqa: PLC0415 - only after an error

    place = "" if isinstance(error, SpecError) else f"{python_specs.place_of(error, program)}: "
    terminal.say_lines(f"{terminal.PROGRAM}: {place}{app.describe(error)}".split("\n"))


def show(document: Document, *, quiet: bool = False, home: Home | None = None) -> PlanDocument:
    """Print what would run, unless quiet, and give it; nothing is created."""
    from nemorun_cli.experiment import preview  # noqa: PLC0415 - only for a dry run
    from nemorun_cli.views.reports import dry_run  # noqa: PLC0415 - the same

    plans, about_secrets = preview.plans(document, home or Home.from_environment())
    terminal.warn_of((*document.warnings, *about_secrets))
    if not quiet:
        terminal.write_lines(dry_run.lines(plans))
        terminal.flush()
    return plans
