"""Starts what an entrypoint is: a task, an experiment, or a call in this process."""

from __future__ import annotations

import functools
import os
import sys
from typing import TYPE_CHECKING, Any, Final

from nemorun_cli.cli import terminal
from nemorun_cli.errors import UsageError
from nemorun_cli.nemo import calls, dryrun
from nemorun_cli.nemo.executors import LocalExecutor
from nemorun_cli.spec import python_specs

if TYPE_CHECKING:
    from collections.abc import Callable

    from nemorun_cli.nemo.cli.context import RunContext
    from nemorun_cli.nemo.cli.entrypoints import Entrypoint

_INTERRUPTED: Final = 130  # the exit code after Ctrl-C


def start(entrypoint: Entrypoint, context: RunContext, call: calls.MutableCall[Any]) -> None:
    """Start the call of an entrypoint, show it for a dry run, or ask first at a terminal."""
    if context.dryrun and python_specs.only_builds():
        raise UsageError("--dryrun is an option of the program alone", hint="write exp run --dry-run PROGRAM")
    if context.direct and context.detach:
        raise UsageError("--direct runs in this process, which --detach would leave", hint="give one of them")
    if not entrypoint.enable_executor:
        _call_here(entrypoint, context, call)
    elif entrypoint.type == "experiment":
        _experiment(entrypoint, context, call)
    else:
        _task(context, call)


def _task(context: RunContext, call: calls.MutableCall[Any]) -> None:
    """Run the function as a task, or in this process if nothing chooses an executor."""
    from nemorun_cli.nemo.one_task import run as run_task  # noqa: PLC0415 - not needed for what is only shown

    is_direct = context.is_direct and not python_specs.only_builds()
    if is_direct and context.plugins:
        raise UsageError(
            "plugins change tasks of experiments, not a call", hint="choose an executor: executor=NAME"
        )
    if not context.dryrun and not _is_confirmed(context, call):
        return
    executor = context.executor if is_direct else context.executor or LocalExecutor()
    if context.dryrun and not is_direct:
        dryrun.dryrun_fn(call, executor)
    run_task(
        call,
        executor=executor,
        plugins=context.plugins,
        name=context.name,
        dryrun=context.dryrun,
        direct=is_direct,
        detach=context.detach,
        tail_logs=context.tail_logs,
    )


def _call_here(entrypoint: Entrypoint, context: RunContext, call: calls.MutableCall[Any]) -> None:
    """Call a function that has no executor."""
    if context.dryrun:
        dryrun.dryrun_fn(call)
        return
    own = {"ctx": context} if entrypoint.takes_context else {}
    calls.build(calls.cast(calls.Partial, call))(**own)


def _experiment(entrypoint: Entrypoint, context: RunContext, call: calls.MutableCall[Any]) -> None:
    """Call the function, which launches its experiment; for a dry run only until it would launch it."""
    own = {"ctx": context} if entrypoint.takes_context else {}
    function = functools.partial(calls.build(calls.cast(calls.Partial, call)), **own)
    if context.dryrun:
        _show(context, function)
    elif _is_confirmed(context, call):
        function()
        context.finish()


def _show(context: RunContext, function: Callable[[], object]) -> None:
    """Show the experiment that a function would launch, also if it does not ask its context to do so."""
    try:
        with python_specs.building():
            function()
            context.finish()
    except python_specs.Built as built:
        from nemorun_cli.cli import run_built  # noqa: PLC0415 - slow to import

        run_built.show(run_built.read(built.builder, built.sets))


def _is_confirmed(context: RunContext, call: calls.MutableCall[Any]) -> bool:
    """Ask at a terminal whether to start; without a terminal, in a task and for `exp run`, never ask."""
    is_asked = not context.skip_confirmation and terminal.can_draw(sys.stderr) and _is_person()
    if not is_asked:
        return True
    dryrun.dryrun_fn(call, context.executor)
    terminal.flush()
    terminal.ask(f"start {context.name}? [y/N]")
    try:
        answer = sys.stdin.readline().strip().lower()
    except KeyboardInterrupt:
        raise SystemExit(_INTERRUPTED) from None
    if answer not in ("y", "yes"):
        terminal.warn("nothing was started")
        raise SystemExit(1)
    return True


def _is_person() -> bool:
    stream = sys.stdin
    is_terminal = stream is not None and not stream.closed and stream.isatty()
    is_one_of_many = bool(os.environ.get("EXP_TASK") or os.environ.get("LOCAL_RANK"))  # a task; of torchrun
    return is_terminal and not is_one_of_many and not python_specs.only_builds()
