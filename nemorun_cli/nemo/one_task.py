"""`run`: one task, called in this process or run as an experiment of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from nemorun_cli.errors import UsageError
from nemorun_cli.nemo import calls
from nemorun_cli.nemo.dryrun import dryrun_fn
from nemorun_cli.nemo.experiment import Experiment
from nemorun_cli.nemo.scripts import Script
from nemorun_cli.spec import calling_program, python_specs

if TYPE_CHECKING:
    from nemorun_cli.experiment.run import Run


def run(  # noqa: PLR0917 - NeMo-Run's arguments
    fn_or_script: Any,
    executor: Any = None,
    plugins: Any = None,
    name: str = "",
    dryrun: bool = False,  # noqa: FBT001, FBT002 - NeMo-Run's order
    direct: bool = False,  # noqa: FBT001, FBT002 - the same
    detach: bool = False,  # noqa: FBT001, FBT002 - the same
    tail_logs: bool = True,  # noqa: FBT001, FBT002 - the same
    log_level: str | int = "INFO",
) -> Run | None:
    """Run a Partial or a Script; without an executor, or with `direct`, in this process.

    A Partial without an executor is a call of its function, of which nothing is recorded. All others are
    experiments with one task, whose handle is returned; as with `Experiment`, a program ends with the exit
    code of what it waited for.

    Args:
        fn_or_script: the task; or an Experiment, which is run with `direct`, `detach` and `tail_logs`.
        executor: where it runs.
        plugins: a plugin, or a list of them.
        name: the task's id and the title of the experiment; by default the task's default name.
        dryrun: only print what would run.
        direct: run it in this process.
        detach: return as soon as it has started.
        tail_logs: show its output.
        log_level: as for `Experiment`.

    Raises:
        UsageError: this is neither a Partial nor a Script.
    """
    if isinstance(fn_or_script, Experiment):
        return _whole(fn_or_script, dryrun=dryrun, detach=detach, direct=direct, tail_logs=tail_logs)
    _require_task(fn_or_script)
    is_direct = direct or executor is None
    if is_direct and isinstance(fn_or_script, calls.Partial) and not python_specs.only_builds():
        _call(fn_or_script, dryrun=dryrun)
        return None
    wanted = name or fn_or_script.default_name()
    with Experiment(wanted, executor=executor, log_level=log_level) as experiment:
        experiment.add(fn_or_script, name=wanted, plugins=plugins, tail_logs=tail_logs and not is_direct)
        return _whole(experiment, dryrun=dryrun, detach=detach, direct=is_direct, tail_logs=False)


def _whole(
    experiment: Experiment, *, dryrun: bool, detach: bool, direct: bool, tail_logs: bool
) -> Run | None:
    if dryrun:
        experiment.dryrun()
        return None
    return experiment.run(detach=detach, direct=direct, tail_logs=tail_logs)


def _require_task(task: Any) -> None:
    if isinstance(task, calls.Config):
        raise UsageError(f"{task!r} is a Config, which is an argument", hint="a task is a run.Partial")
    if not isinstance(task, (calls.Partial, Script)):
        raise UsageError(f"{task!r} is not a task", hint="give a run.Partial or a run.Script")


def _call(task: calls.Partial[Any], *, dryrun: bool) -> None:
    """Call the function of a Partial in this process."""
    if dryrun:
        dryrun_fn(task, build=True)
        return
    calling_program.end_import_by_task()
    calls.build(task)()
