"""What becomes of a spec that was built in Python: checked, shown, run and watched as by the command line."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from nemorun_cli import creation, direct, executors, experiment, load, preview, start, terminal
from nemorun_cli.home import Home

if TYPE_CHECKING:
    from collections.abc import Sequence

    from nemorun_cli.builder import Builder
    from nemorun_cli.experiment import Run
    from nemorun_cli.loading.document import Document


def read(builder: Builder, sets: Sequence[str]) -> Document:
    """What was built, checked; raises SpecError with all of its problems."""
    document = load.read(
        builder.spec,
        path=builder.path,
        sets=sets,
        executors=executors.known(ask=True),
    )
    return load.with_plugins(document, builder.plugins)


def run(document: Document, *, is_direct: bool, is_detached: bool) -> Run:
    """Start it, and watch it to its end unless it is detached."""
    home = Home.from_environment()
    if is_direct:
        return experiment.find(direct.run(document, home=home).files.id, home=home)
    supervisor = start.take()
    try:
        started = experiment.launch(document, supervisor=supervisor, home=home)
    except BaseException:
        supervisor.abandon()
        raise
    if not is_detached:
        _watch(started)
    return started


def _watch(started: Run) -> None:
    from nemorun_cli import foreground  # noqa: PLC0415 - only once the experiment is on its way
    from nemorun_cli.interrupts import Interrupts  # noqa: PLC0415 - the same
    from nemorun_cli.watching import Watch  # noqa: PLC0415 - the same

    terminal.warn(f"{started.id} started")
    with Interrupts() as interrupts, Watch(started.files, started.home) as watching:
        foreground.watch(started, watching, interrupts=interrupts, is_json=False, quiet=False)


def show(document: Document) -> dict[str, Any]:
    """Print what would run, and give it; nothing is created."""
    home = Home.from_environment()
    identity = creation.tentative(document, home)
    spec = creation.resolve(document, identity)
    plans = preview.document(spec, identity=identity, home=home, origins=document.origins)
    terminal.write_lines(preview.lines(plans))
    terminal.flush()
    return plans
