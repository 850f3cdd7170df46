"""`Experiment`: NeMo-Run's class, which starts a collection of tasks and manages their `Run`."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any, Final, Self

from nemorun_cli.errors import UsageError
from nemorun_cli.model.problems import choices
from nemorun_cli.nemo import earlier, printing, reserved_ids, statuses
from nemorun_cli.nemo import jobs as added
from nemorun_cli.nemo.task_collection import TaskCollection
from nemorun_cli.spec import calling_program, python_specs
from nemorun_cli.storage.paths import Home

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable, Iterator

    from nemorun_cli.experiment.run import Run
    from nemorun_cli.json_documents import PlanDocument
    from nemorun_cli.nemo.statuses import JobStatus

LEVELS: Final = {
    "NOTSET": 0, "DEBUG": 10, "INFO": 20, "WARN": 30, "WARNING": 30, "ERROR": 40, "FATAL": 50, "CRITICAL": 50,
}  # fmt: skip
QUIET_FROM: Final = 30
ARGUMENTS: Final = (
    "title", "executor", "log_level", "base_dir", "clean_mode", "enable_goodbye_message",
    "threadpool_workers", "skip_status_at_exit", "serialize_metadata_for_scripts", "check",
)  # fmt: skip


class Experiment(TaskCollection):
    """Tasks that run as one experiment; also an earlier experiment, from `from_id` or `from_title`.

    Args:
        title: the title; the experiment's name is made from it.
        executor: the default executor, `exp.executor`; by default `LocalExecutor()`.
        id: the logical run, which `from_id` finds; only one experiment with it can be running.
        log_level: from WARNING on, a run prints only warnings, why tasks failed, and what `tail_logs` shows.
        base_dir: the home, instead of `$NEMORUN_HOME`.
        clean_mode: a run prints only warnings and the output of `tail_logs`, and `status()` nothing.
        check: whether the program ends with the exit code of a run that it waited for; see `Builder`.
        keys: other keys of a spec, such as `params`, `env` or `defaults`.

    `enable_goodbye_message`, `threadpool_workers`, `skip_status_at_exit` and `serialize_metadata_for_scripts`
    have no effect: nothing is printed at the end but how the tasks ended, and no thread waits for a task.
    """

    def __init__(
        self,
        title: str,
        executor: Any = None,
        id: str | None = None,  # noqa: A002 - NeMo-Run's name
        log_level: str | int = "INFO",
        *,
        base_dir: str | os.PathLike[str] | None = None,
        clean_mode: bool = False,
        enable_goodbye_message: bool = True,
        threadpool_workers: int = 16,
        skip_status_at_exit: bool = False,
        serialize_metadata_for_scripts: bool = True,
        check: bool | None = None,
        **keys: Any,
    ) -> None:
        del enable_goodbye_message, threadpool_workers, skip_status_at_exit, serialize_metadata_for_scripts
        if keys:
            _refuse_misspelt(keys)
        is_quiet = clean_mode or _level(log_level) >= QUIET_FROM
        home = None if base_dir is None else Home.at(base_dir)
        super().__init__(title, executor, home=home, check=check, quiet=is_quiet, **keys)
        self.key = id
        self.clean_mode, self.log_level = clean_mode, log_level
        self._is_reset = False  # whether its tasks run as a new one

    @classmethod
    def from_id(cls, id: str) -> Self:  # noqa: A002 - NeMo-Run's name
        """The experiment with this id, or the latest one that was made with `Experiment(id=…)`.

        Raises:
            NotFoundError: no such experiment exists.
        """
        return cls._of(earlier.with_id(id))

    @classmethod
    def from_title(cls, title: str) -> Self:
        """The latest experiment with this title or name.

        Raises:
            NotFoundError: no such experiment exists.
        """
        return cls._of(earlier.with_title(title))

    @classmethod
    def catalog(cls, title: str = "") -> list[str]:
        """The ids of all experiments, or of those with this title; the oldest first."""
        return earlier.ids(title)

    @classmethod
    def _of(cls, run: Run) -> Self:
        experiment = cls(run.directory.parent.name)
        experiment._run, experiment._home = run, run.home
        experiment._earlier = earlier.EarlierExperiment(run)
        return experiment

    def __repr__(self) -> str:
        """The id, or the title before there is one."""
        return f"Experiment({self.title!r}{f', id={self._run.id!r}' if self._run else ''})"

    def run(  # type: ignore[override]  # by position too, as in NeMo-Run
        self,
        sequential: bool = False,  # noqa: FBT001, FBT002 - NeMo-Run's order
        detach: bool = False,  # noqa: FBT001, FBT002 - the same
        tail_logs: bool = False,  # noqa: FBT001, FBT002 - the same
        direct: bool = False,  # noqa: FBT001, FBT002 - the same
        *,
        check: bool | None = None,
        quiet: bool | None = None,
    ) -> Run:
        """Start the experiment and, unless it is detached, wait until it is finished; return its handle.

        The arguments are those of `Builder.run`. A second call starts nothing and returns the same handle.

        Raises:
            UsageError: it has no tasks, or it is an earlier experiment that was not `reset()`.
        """
        calling_program.end_import_by_task()
        self._refuse_to_run()
        if self._run is not None:
            printing.warn(f"{self._run.id} was started already; reset() makes a new experiment of its tasks")
            return self._run
        self._renew_id()
        self._python = calling_program.own_python()  # the task of a partial imports this package
        with self._building(), self._explaining():
            return super().run(
                sequential=sequential or None,
                detach=detach or None,
                tail_logs=tail_logs or None,
                direct=direct or None,
                check=check,
                quiet=quiet,
            )

    def dryrun(
        self,
        log: bool = True,  # noqa: FBT001, FBT002 - NeMo-Run's order
        exist_ok: bool = False,  # noqa: FBT001, FBT002 - the same
        delete_exp_dir: bool = True,  # noqa: FBT001, FBT002 - the same
    ) -> PlanDocument:
        """Print what would run unless `log` is false; return it as the document `exp.plan/1`.

        Nothing is created, so that `exist_ok` and `delete_exp_dir` have no effect.
        """
        del exist_ok, delete_exp_dir
        calling_program.end_import_by_task()
        with self._building():
            return self._plans(is_quiet=self.clean_mode or not log)

    def status(self, return_dict: bool = False) -> dict[str, JobStatus] | None:  # noqa: FBT001, FBT002 - NeMo-Run's
        """Print the status of each task, or with `return_dict` return it by the id of the task."""
        run = self._run
        jobs = statuses.before_the_start(self.jobs) if run is None else statuses.of(run.status())
        if return_dict:
            return jobs
        if not self.clean_mode:
            printing.lines(statuses.lines(self.id, jobs))
        return None

    def cancel(self, job_id: str) -> None:
        """Cancel a task or a group, and return when it has terminated.

        Raises:
            NotFoundError: there is no such task.
            NotOverError: it is still running.
            UsageError: the experiment has not started.
        """
        run = self._started()
        run.cancel([_reference(run, job_id)])

    def logs(self, job_id: str, regex: str | None = None) -> None:
        """Print the output of a task or a group; with `regex` only the lines in which that is found.

        Raises:
            NotFoundError: there is no such task, or it has not started.
            UsageError: the experiment has not started, or `regex` is none.
        """
        run = self._started()
        printing.logs(run, _reference(run, job_id), regex)

    def reset(self) -> Self:
        """Make it a new experiment of the same tasks, with their dependencies, and return it."""
        self._read_jobs()
        if self._run is None:
            printing.warn(f"{self.title}: it was not started, there is nothing to reset")
        self._run = self.wanted_id = None
        self._is_reset = True
        return self

    @contextlib.contextmanager
    def _building(self) -> Iterator[None]:
        """Build the spec in the program, whose functions have other names for who reads it elsewhere."""
        self._build()
        try:
            yield
        except python_specs.Built:
            self._is_handed_over = True
            raise

    @contextlib.contextmanager
    def _explaining(self) -> Iterator[None]:
        """After a run that printed nothing because of its log level, print why it did not succeed."""
        try:
            yield
        finally:
            if self._run is not None and self._is_quiet and not self.clean_mode:
                printing.failures(self._run)

    def _renew_id(self) -> None:
        """Give up an id that was reserved long before the start, which it would not have the time of."""
        if (reserved := self.wanted_id) is None or not reserved_ids.is_stale(reserved):
            return
        self.wanted_id = None
        if self._is_id_known:
            printing.warn(
                f"warning: plugins got the id {reserved}; the experiment starts later, as {self.id}"
            )

    def _started(self) -> Run:
        if self._run is None:
            raise UsageError(f"the experiment {self.title!r} has not started", hint="start it: exp.run()")
        return self._run

    def _refuse_to_run(self) -> None:
        """Refuse what starts nothing, or would start it in another place than the program specifies."""
        if self._earlier is not None and not self._is_reset:
            raise UsageError(
                f"{self.id} is an earlier experiment",
                hint="run its tasks again: with exp.reset() as again: again.run()",
            )
        if not self._jobs:
            raise UsageError(f"the experiment {self.title!r} has no tasks", hint="add them: exp.add(task)")
        if self._home is not None and self._earlier is None and python_specs.only_builds():
            raise UsageError(
                f"exp does not use base_dir={str(self._home.directory)!r}",
                hint=f"NEMORUN_HOME={self._home.directory} exp …, or run the program with python",
            )


def _reference(run: Run, name: str) -> str:
    """What a command takes for a task of this name."""
    spec, wanted = run.spec(), added.valid_id(name)
    known = {task.id for task in spec.tasks} | {group.id for group in spec.groups}
    return wanted if wanted in known else name


def _refuse_misspelt(keys: Iterable[str]) -> None:
    """Refuse what is nearly an argument of NeMo-Run's: as a key of a spec it would get no good hint."""
    import difflib  # noqa: PLC0415 - only for programs that give keys of a spec

    for key in set(keys) - {"executors"}:
        if near := difflib.get_close_matches(key, ARGUMENTS, n=1, cutoff=0.8):
            raise UsageError(f"Experiment has no argument {key!r}", hint=f"did you mean {near[0]}?")


def _level(level: str | int) -> int:
    """The number of a log level, as `logging` has it."""
    if isinstance(level, int):
        return level
    if (number := LEVELS.get(level.upper())) is None:
        raise UsageError(f"there is no log_level {level!r}", hint=choices(level, LEVELS))
    return number
