"""`Experiment`: NeMo-Run's class, over a `Builder` that starts what it holds and a `Run` that manages it."""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING, Any, Final, Self

from nemorun_cli.builder import Builder, as_sets
from nemorun_cli.errors import UsageError
from nemorun_cli.model import titles
from nemorun_cli.model.problems import choices
from nemorun_cli.nemo import earlier, executors, printing, reserved_ids, statuses
from nemorun_cli.nemo import jobs as added
from nemorun_cli.nemo.jobs import AddedGroup, AddedJob, AddedJobs, AddedTasks
from nemorun_cli.spec import calling_program, python_specs
from nemorun_cli.storage.paths import Home
from nemorun_cli.system import user

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from nemorun_cli.experiment.run import Run
    from nemorun_cli.nemo.earlier import EarlierExperiment
    from nemorun_cli.nemo.statuses import JobStatus
    from nemorun_cli.spec.document import Document

LEVELS: Final = {
    "NOTSET": 0, "DEBUG": 10, "INFO": 20, "WARN": 30, "WARNING": 30, "ERROR": 40, "FATAL": 50, "CRITICAL": 50,
}  # fmt: skip
QUIET_FROM: Final = 30


class Experiment(Builder):
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
        is_quiet = clean_mode or _level(log_level) >= QUIET_FROM
        super().__init__(title, check=check, quiet=is_quiet, **keys)
        self.title, self.key = title, id
        self.clean_mode, self.log_level = clean_mode, log_level
        self.executor = executors.LocalExecutor() if executor is None else executor
        self._home = None if base_dir is None else Home(user.expanded(os.fspath(base_dir)).absolute())
        self._jobs: list[AddedJob | AddedGroup] = []
        self._earlier: EarlierExperiment | None = None  # what from_id and from_title found
        self._is_handed_over = False  # to the command that runs the program
        self._is_id_known = False  # to a plugin
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

    @property
    def id(self) -> str:
        """The id of the experiment; before it has started, the one that it gets then."""
        if self._run is not None:
            return self._run.id
        if self.wanted_id is None:
            name = str(self._keys.get("name") or titles.name_of(self.title))
            self.wanted_id = reserved_ids.reserve(name, self._home or Home.configured())
        return self.wanted_id

    @property
    def jobs(self) -> AddedJobs:
        """The jobs and groups; what is changed in them counts when the experiment starts."""
        self._read_jobs()
        return AddedJobs(self._jobs)

    @property
    def tasks(self) -> AddedTasks:
        """The tasks; what is changed in them counts when the experiment starts."""
        return AddedTasks(job.content for job in self.jobs)

    def add(  # type: ignore[override]  # noqa: PLR0917 - NeMo-Run's values, by position as well
        self,
        task: Any,
        executor: Any = None,
        name: str = "",
        plugins: Any = None,
        tail_logs: bool = False,  # noqa: FBT001, FBT002 - NeMo-Run's order
        dependencies: Sequence[str | Mapping[str, Any]] | None = None,
        **keys: Any,
    ) -> str:
        """Add a task, or a list of tasks that run in parallel as a group; return its id.

        Args:
            task: a Partial or a Script, or a list of them.
            executor: where it runs; for a list one for all, or a list with one for each.
            name: the id, which a group needs; a second task of a name gets a number, as `train_1`.
            plugins: they change copies of the task and of the executor now.
            tail_logs: whether its output is shown while the experiment is watched.
            dependencies: ids of the tasks that must succeed first, or mappings that name something outside of
                the experiment, such as `{"experiment": "digits", "task": "train"}`.
            keys: other keys of a task of a spec: `timeout`, `retry`, `resources`, `when`, …

        Raises:
            UsageError: a list has no name, a dependency was not added, a value cannot be passed to a task, or
                a field of an executor has no counterpart.
        """
        self._read_jobs()
        if isinstance(task, (list, tuple)) and not name:
            raise UsageError("a list of tasks needs a name", hint='add([…], name="evaluate")')
        job_id = self._free_id(name or added.default_name(task))
        job = added.made(job_id, task, self.executor if executor is None else executor)
        job.tail_logs, job.keys = tail_logs or None, keys
        job.dependencies = [self._job_id(dependency, of=job_id) for dependency in dependencies or ()]
        job.line = calling_program.line_at_work(self.path)
        changing, job.plugins = added.parted(plugins)
        if changing:
            self._change(job, changing)
        job.require_portable()
        self._jobs.append(job)
        return job_id

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
    ) -> dict[str, Any]:
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

    def document(self, flags: Mapping[str, bool | None]) -> Document:
        """The built spec, checked; raises SpecError with all of its problems."""
        if self._earlier is None:
            return super().document(flags)
        return self._earlier.document(self, as_sets(flags))

    @property
    def spec(self) -> dict[str, Any]:
        """The content of an equivalent YAML file, without plugins."""
        if not self._is_handed_over:
            self._build()
        return super().spec

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

    def _build(self) -> None:
        """Make the spec of the jobs as they are now."""
        self._read_jobs()
        self._tasks, self._executors, self._plugins = {}, {}, []
        for job in self._jobs:
            if job.stored is None:
                self._put(job)
            else:
                self._tasks[job.id] = job.entry()

    def _put(self, job: AddedJob | AddedGroup) -> None:
        """Add a job to the spec."""
        task, executor, keys = job.parts(self.path.parent)
        super().add(
            task,
            executor,
            name=job.id,
            plugins=job.plugins,
            tail_logs=job.tail_logs,
            dependencies=job.dependencies,
            **keys,
        )
        if job.line is not None:
            self.lines["tasks", job.id] = job.line

    def _read_jobs(self) -> None:
        """Read the tasks of an earlier experiment, once."""
        if self._earlier is not None and self._earlier.jobs is None:
            self.path = self._earlier.read()
            self._keys = self._earlier.keys
            self._jobs = self._earlier.jobs or []

    def _change(self, job: AddedJob | AddedGroup, plugins: Sequence[Any]) -> None:
        """Let plugins change the copies of the tasks and their executors."""
        home = self._home or Home.configured()
        folder = home.root_of_new() / self.id.rpartition("_")[0] / self.id
        self._is_id_known = True
        for task, executor in job.pairs():
            executor.assign(self.id, str(folder), job.id, f"tasks/{job.id}")
            for plugin in plugins:
                if callable(assign := getattr(plugin, "assign", None)):
                    assign(self.id)
                plugin.setup(task, executor)

    def _renew_id(self) -> None:
        """Give up an id that was reserved long before the start, which it would not have the time of."""
        if (reserved := self.wanted_id) is None or not reserved_ids.is_stale(reserved):
            return
        self.wanted_id = None
        if self._is_id_known:
            printing.warn(
                f"warning: plugins got the id {reserved}; the experiment starts later, as {self.id}"
            )

    def _free_id(self, name: str) -> str:
        """The id of a new task: the name, with a number if another one has it."""
        taken = {job.id for job in self._jobs}
        wanted = job_id = added.valid_id(name)
        number = len(self._jobs)
        while job_id in taken:
            job_id, number = f"{wanted}_{number}", number + 1
        return job_id

    def _job_id(self, name: str | Mapping[str, Any], *, of: str) -> str | Mapping[str, Any]:
        """The id of a task that was added, or what is outside of the experiment.

        Raises:
            UsageError: no task has this name.
        """
        if not isinstance(name, str):
            return name
        known = [job.id for job in self._jobs]
        if (whole := added.valid_id(name)) in known:
            return whole
        group, slash, member = name.rpartition("/")
        if not slash or (wanted := added.valid_id(group)) not in known:
            raise UsageError(f"{of} depends on {name!r}, which was not added", hint=choices(name, known))
        return f"{wanted}/{member}"

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


def _level(level: str | int) -> int:
    """The number of a log level, as `logging` has it."""
    if isinstance(level, int):
        return level
    if (number := LEVELS.get(level.upper())) is None:
        raise UsageError(f"there is no log_level {level!r}", hint=choices(level, LEVELS))
    return number
