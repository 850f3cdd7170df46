"""The tasks of an experiment as NeMo-Run's program adds them, and the spec that they are."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from nemorun_cli.builder import Builder, as_sets
from nemorun_cli.errors import UsageError
from nemorun_cli.model import titles
from nemorun_cli.model.problems import choices
from nemorun_cli.nemo import executors, reserved_ids
from nemorun_cli.nemo import jobs as added
from nemorun_cli.nemo.jobs import AddedGroup, AddedJob, AddedJobs, AddedTasks
from nemorun_cli.spec import calling_program
from nemorun_cli.storage.paths import Home

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from nemorun_cli.nemo.earlier import EarlierExperiment
    from nemorun_cli.parts import CacheKeys
    from nemorun_cli.spec.document import Document


class TaskCollection(Builder):
    """Tasks and where they run; until the experiment starts they can be changed.

    Args:
        title: the title; the experiment's name is made from it.
        executor: the executor of tasks that are added without one; None for a `LocalExecutor()`.
        home: instead of `$NEMORUN_HOME`.
        options: other arguments of a `Builder`.
    """

    def __init__(self, title: str, executor: Any, *, home: Home | None, **options: Any) -> None:
        super().__init__(title, **options)
        self.title = title
        self.executor = executors.LocalExecutor() if executor is None else executor
        self._home = home
        self._whole_plugins = list(self._plugins)  # those of the experiment, which no task has
        self._jobs: list[AddedJob | AddedGroup] = []
        self._earlier: EarlierExperiment | None = None  # what from_id and from_title found
        self._is_handed_over = False  # to the command that runs the program
        self._is_id_known = False  # to a plugin

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
        *,
        cache: bool | CacheKeys | None = None,
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
            cache: whether an equal earlier result is used instead of a run, or what counts in addition:
                `{"inputs": ["data/*"], "outputs": ["model.pt"], "also": [2], "env": ["SEED"]}`.
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
        job.tail_logs, job.keys = tail_logs or None, keys if cache is None else {**keys, "cache": cache}
        job.dependencies = [self._job_id(dependency, of=job_id) for dependency in dependencies or ()]
        job.line = calling_program.line_at_work(self.path)
        changing, job.plugins = added.parted(plugins)
        if changing:
            self._change(job, changing)
        job.require_portable()
        self._jobs.append(job)
        return job_id

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

    def _build(self) -> None:
        """Make the spec of the jobs as they are now."""
        self._read_jobs()
        self._tasks, self._executors, self._plugins = {}, {}, list(self._whole_plugins)
        for job in self._jobs:
            if job.stored is None:
                self._put(job)
            else:
                self._put_stored(job)

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

    def _put_stored(self, job: AddedJob | AddedGroup) -> None:
        """Add a job of an earlier experiment, which may have got other executors."""
        entry = job.entry()
        members = entry.get("group", [entry])
        names = []
        for member, (_, executor) in zip(members, job.pairs(), strict=True):
            if isinstance(executor, executors.Executor):
                translated, keys = executor.translated()
                member.update(keys)
                names.append(self._executor_name(translated))
            else:
                names.append(executor.name or self._keys.get("executor") or "local")
        if any(isinstance(executor, executors.Executor) for _, executor in job.pairs()):
            entry["executor"] = names if "group" in entry else names[0]
        self._tasks[job.id] = entry

    def _read_jobs(self) -> None:
        """Read the tasks of an earlier experiment, once."""
        if self._earlier is not None and self._earlier.jobs is None:
            self.path, self.lines = self._earlier.read(), {}
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
