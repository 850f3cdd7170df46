"""Tracks a run: its own record, the params and output metrics of its tasks, the final status of each attempt.

It receives the events and reads the output of running tasks. Errors with records are logged and never
change a task's status: a task that succeeded has succeeded, whether or not the disk of its record was full.
"""

from __future__ import annotations

import contextlib
import os
import time
import traceback
from typing import TYPE_CHECKING, Any, Final

from nemorun_cli import executors
from nemorun_cli.errors import ExpError, StateError
from nemorun_cli.executors import planning
from nemorun_cli.model.status import ExperimentStatus, TaskStatus
from nemorun_cli.storage import events
from nemorun_cli.system.regex_timeout import SlowPatterns

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from pathlib import Path

    from nemorun_cli.executors import Job
    from nemorun_cli.model.spec import Spec, Task
    from nemorun_cli.storage.events import Event
    from nemorun_cli.storage.paths import ExperimentFiles
    from nemorun_cli.supervisor.job_samples import JobSamples
    from nemorun_cli.supervisor.output_metrics import OutputMetrics
    from nemorun_cli.supervisor.shipping import Shipper
    from nemorun_cli.tracking.access.supervisor_api import TrackedAttempt
    from nemorun_cli.tracking.store.record_paths import Place
    from nemorun_cli.tracking.store.sessions import OpenSession

SAMPLES: Final = "system"  # the series of what tasks use
LOOK_EVERY: Final = 1.0  # seconds between reads of the output of tasks with patterns
CHUNKS_AT_END: Final = 16  # mebibytes that are read of what a finished job has measured
LOOK_TIME: Final = (
    0.2  # seconds that one read of all tasks may take, or a look for why patterns did not match
)
REST_TIME: Final = 5.0  # seconds that reading the rest of a finished task's output may take

VERDICTS: Final = {
    TaskStatus.SUCCEEDED: ExperimentStatus.COMPLETED,
    TaskStatus.FAILED: ExperimentStatus.FAILED,
    TaskStatus.CANCELLED: ExperimentStatus.CANCELLED,
}


class Tracker:
    """Writes the records of one experiment for the process that holds its `supervisor.lock`.

    Args:
        files: the paths of the experiment.
        spec: the resolved spec.
        tasks: its tasks by id, trials as their values make them.
        home: `$NEMORUN_HOME`.
        can_submit: whether this is the supervisor, which keeps the run's record open while it lives.
        report: called with each error message.

    Attributes:
        writes: whether records are written at all.
        shipper: has them sent to the server that the spec names, if it names one.
        slow_patterns: the patterns that the supervisor has given up.
    """

    def __init__(
        self,
        files: ExperimentFiles,
        spec: Spec,
        tasks: Mapping[str, Task],
        *,
        home: Path,
        can_submit: bool,
        report: Callable[[str], None],
    ) -> None:
        self.writes = True
        self._files, self._spec, self._report = files, spec, report
        self._home = str(home)
        self._is_supervisor = can_submit
        self._root = os.path.abspath(planning.dash_root(spec, home))  # noqa: PTH100 - as tracking does it
        self._prefix = planning.prefix(spec, files.id)
        self.shipper: Shipper | None = None  # set if the spec names a server
        self._run: OpenSession | None = None
        self._has_begun = False
        self._tasks = tasks
        self._has_patterns = any(task.metrics for task in spec.possible_tasks)
        self.slow_patterns = SlowPatterns()
        self._outputs: dict[tuple[str, int], OutputMetrics] = {}
        self._last_errors: dict[str, str] = {}
        self._sampled = _executors_with_own_samples(spec)
        self._job_samples: dict[tuple[str, int], JobSamples] = {}
        self._sample_files: dict[tuple[str, int], tuple[str, str]] = {}  # by attempt: folder, writer's name
        self._writer_name = f"{os.getpid()}-{os.urandom(4).hex()}"  # of this process, for samples
        self._next_look = 0.0

    # -- inputs -------------------------------------------------------------------------------------

    def on_event(self, event: Event, *, was_submitted: bool = True) -> None:
        """Close the records of a finished attempt or experiment; called before the event is written.

        The end of an attempt gets the field `unmatched` if patterns of its metrics matched nothing. One that
        was not submitted has no records.
        """
        if not self.writes:
            return
        if event["event"] == events.ENDED:
            self._close_attempt(event, has_records=was_submitted)
        elif event["event"] == events.FINISHED:
            self._finish(event)

    def submit(self, task: Task, attempt: int) -> None:
        """Record the params of an attempt before it starts; creates no file without params and metrics."""
        params = params_of(task)
        if params or task.metrics:
            with self._logging_errors(f"the params of {task.id}"):
                self._open_attempt(task.id, attempt, params)

    def look(self, jobs: Iterable[Job]) -> None:
        """Open the run's record if needed and, once a second, read the output of tasks with patterns."""
        self._begin()
        now = time.monotonic()
        if not (self._has_patterns or self._sampled) or now < self._next_look:
            return
        keys = [job.key for job in jobs]
        for task, attempt in keys if self._sampled else ():
            self._read_samples(task, attempt)
        live = [(task, attempt) for task, attempt in keys if self._tasks[task].metrics]
        for task, attempt in live:
            with self._logging_errors(f"the output of {task}"):
                self._read(task, attempt, seconds=LOOK_TIME / len(live), is_over=False)
        self._next_look = time.monotonic() + LOOK_EVERY

    def write_sample(self, task: str, attempt: int, at: float, fields: Mapping[str, Any]) -> None:
        """Record what an attempt uses at a moment (Unix seconds)."""
        with self._logging_errors(f"what {task} uses", repeats=False):
            self._append_sample(task, attempt, at, fields)

    def close(self) -> None:
        """Release the run's record; if it was not ended, it now counts as lost."""
        if self._run is not None:
            self._run.release()
            self._run = None

    # -- the run ------------------------------------------------------------------------------------

    def _begin(self) -> None:
        if self._has_begun or not self._is_supervisor:
            return
        self._has_begun = True
        from nemorun_cli.tracking.access import supervisor_api  # noqa: PLC0415 - first tasks start before it is loaded

        with self._logging_errors("the record of the run"):
            about = {
                "description": self._spec.description,
                "tags": list(self._spec.tags),
                "bindrs": list(self._spec.bindrs),
                "metadata": None,
            }
            place = self._place()
            self._run = supervisor_api.open_run(
                place,
                self._attempt_id(),
                home=self._home,
                folder=self._spec.folder,
                about=about,
                server=self._spec.server,
            )
            self._ship(place, self._run.id)
            supervisor_api.set_params(place, self._run.id, self._spec.params)

    def _finish(self, event: Event) -> None:
        self._begin()
        status = ExperimentStatus(event["status"])
        counts = ", ".join(f"{count} {name}" for name, count in event.get("counts", {}).items())
        with self._logging_errors("the record of the run"):
            if self._run is not None:
                run, self._run = self._run, None
                run.end(status, message=counts)
            elif not self._is_supervisor:
                self._close_run(status, counts)

    def _close_run(self, status: ExperimentStatus, counts: str) -> None:
        """Record the final status of a run whose supervisor died before it could."""
        from nemorun_cli.tracking.access import reader, supervisor_api  # noqa: PLC0415 - rarely needed

        unended = supervisor_api.unended(self._place(), self._attempt_id())
        reader.close_openings(
            self._root, self._prefix, exp_id=self._files.id, status=status, message=counts, only=unended
        )

    # -- attempts -----------------------------------------------------------------------------------

    def _open_attempt(self, task: str, attempt: int, params: dict[str, Any]) -> str:
        from nemorun_cli.tracking.access import supervisor_api  # noqa: PLC0415 - not for tasks that track nothing

        place, attempt_id = self._place(task), self._attempt_id(task, attempt)
        opening = supervisor_api.open_attempt(
            place, attempt_id, params, home=self._home, server=self._spec.server
        )
        self._ship(place, opening)
        return opening

    def ship(self, root: str, prefix: str, opening: str) -> None:
        """Have a record sent that a task got from an earlier one, if the spec names a server."""
        if self.shipper is not None:
            self.shipper.mark_record(root, prefix, opening)

    def _ship(self, place: Place, opening: str) -> None:
        if self.shipper is not None:
            self.shipper.mark_record(place.root, place.prefix, opening)

    def _close_attempt(self, event: Event, *, has_records: bool) -> None:
        """Read the rest of the output and set the final status of all records that the attempt opened."""
        task, attempt = event["task"], event["attempt"]
        if self._has_patterns and self._tasks[task].metrics and "cached_from" not in event:
            with self._logging_errors(f"the output of {task}"):
                if unmatched := self._read_rest(task, attempt):
                    event["unmatched"] = unmatched
        if not has_records:
            return
        self._read_samples(task, attempt, is_over=True)
        self._job_samples.pop((task, attempt), None)
        self._sample_files.pop((task, attempt), None)
        if self.shipper is not None:
            self.shipper.look_at(task, attempt)
        for root, prefix in self.records(task, attempt):
            with self._logging_errors(f"the record {prefix}"):
                from nemorun_cli.tracking.access import reader  # noqa: PLC0415 - not for tasks that track nothing

                reader.close_openings(
                    root,
                    prefix,
                    exp_id=self._files.id,
                    task=task,
                    attempt=attempt,
                    status=VERDICTS[TaskStatus(event["status"])],
                    reason=event.get("reason"),
                    message=event.get("message"),
                    exit_code=event.get("exit_code"),
                )

    def records(self, task: str, attempt: int) -> list[tuple[str, str]]:
        """The records that an attempt may have opened: its own and the registered ones; two `stat` calls."""
        own = (self._root, f"{self._prefix}/{task}")
        records = [own] if os.path.isdir(f"{self._root}/{own[1]}") else []  # noqa: PTH112 - called for each task
        register = self._files.attempt(task, attempt).records
        if os.access(register, os.F_OK):
            from nemorun_cli.tracking.access import supervisor_api  # noqa: PLC0415 - not for tasks that track nothing

            with self._logging_errors(f"the records of {task}"):
                registered = supervisor_api.registered(register, inside=self._files.directory)
                records += [place for place in registered if place != own]
        return records

    # -- output -------------------------------------------------------------------------------------

    def _read(self, task: str, attempt: int, *, seconds: float, is_over: bool) -> bool:
        """Continue reading the output of an attempt; returns whether its end was reached.

        If a read fails, the next one starts after the rows already written.
        """
        key = (task, attempt)
        output = self._outputs.pop(key, None)
        if output is None:
            if not self._files.attempt(task, attempt).log.exists():
                return True
            output = self._open_output(task, attempt)
        until = time.monotonic() + seconds
        try:
            is_complete = output.read(is_over=is_over, until=until)
        except StateError as error:
            self._report(f"tracking: {task}: {error}; all of its output is recorded again in a new opening")
            output = self._open_output(task, attempt)
            is_complete = output.read(is_over=is_over, until=until)
        self._outputs[key] = output
        return is_complete

    def _read_rest(self, task: str, attempt: int) -> list[dict[str, Any]]:
        """Read the rest of the output; returns the patterns that did not match, if all was read."""
        is_complete = self._read(task, attempt, seconds=REST_TIME, is_over=True)
        output = self._outputs.pop((task, attempt), None)
        if not is_complete:
            self._report(f"tracking: the last part of the output of {task} was not read: it is too long")
            return []
        if output is not None:
            return output.unmatched(until=time.monotonic() + LOOK_TIME)
        return [
            {"series": series, "pattern": pattern, "reason": "never", "at": 0}
            for series, patterns in self._tasks[task].metrics.items()
            for pattern in patterns
        ]

    def _open_output(self, task: str, attempt: int) -> OutputMetrics:
        from nemorun_cli.supervisor.output_metrics import OutputMetrics  # noqa: PLC0415 - only for tasks with patterns
        from nemorun_cli.tracking.access import supervisor_api  # noqa: PLC0415 - the same

        place, opening = self._place(task), self._open_attempt(task, attempt, {})
        return OutputMetrics(
            str(self._files.attempt(task, attempt).log),
            inside=self._files.directory,
            place=place,
            opening=opening,
            presence=supervisor_api.presence(place, opening),
            wanted=self._tasks[task].metrics,
            report=lambda text: self._report(f"tracking: {task}: {text}"),
            slow=self.slow_patterns,
        )

    # -- samples ------------------------------------------------------------------------------------

    def _append_sample(self, task: str, attempt: int, at: float, fields: Mapping[str, Any]) -> None:
        from nemorun_cli.tracking.access import supervisor_api  # noqa: PLC0415 - the same
        from nemorun_cli.tracking.store import json_values, row_writer  # noqa: PLC0415 - few specs ask for samples

        key = (task, attempt)
        if key not in self._sample_files:
            started = self._open_attempt(task, attempt, {})
            self._sample_files[key] = self._place(task).metric(SAMPLES), f"{started}.{self._writer_name}"
        folder, name = self._sample_files[key]
        opening = name.partition(".")[0]
        writer = row_writer.Writer()
        writer.open(name, supervisor_api.presence(self._place(task), opening))
        try:
            writer.append(folder, json_values.encode_row(at, fields))
        except StateError:  # the record was moved or removed: the next sample gets a new opening
            del self._sample_files[key]
            raise
        finally:
            writer.close()

    def _read_samples(self, task: str, attempt: int, *, is_over: bool = False) -> None:
        """Record what a job has measured of itself since the last call."""
        if not self._sampled or self._tasks[task].executor not in self._sampled:
            return
        path = self._files.attempt(task, attempt).samples
        if not os.path.lexists(path):
            return
        with self._logging_errors(f"what {task} uses", repeats=False):
            reading = self._job_samples.pop((task, attempt), None) or self._open_samples(task, attempt, path)
            reading.read(chunks=CHUNKS_AT_END if is_over else 1)
            self._job_samples[task, attempt] = reading  # after an error the rows show how far it was read

    def _open_samples(self, task: str, attempt: int, path: Path) -> JobSamples:
        from nemorun_cli.supervisor.job_samples import JobSamples  # noqa: PLC0415 - few specs ask for samples

        return JobSamples(
            path,
            inside=self._files.directory,
            folder=self._place(task).metric(SAMPLES),
            opening=self._open_attempt(task, attempt, {}),
            write=lambda at, fields: self._append_sample(task, attempt, at, fields),
        )

    # -- parts --------------------------------------------------------------------------------------

    def _place(self, task: str | None = None) -> Place:
        from nemorun_cli.tracking.store import record_paths  # noqa: PLC0415 - not for tasks that track nothing

        prefix = self._prefix if task is None else f"{self._prefix}/{task}"
        return record_paths.Place(self._root, record_paths.check_prefix(prefix))

    def _attempt_id(self, task: str | None = None, attempt: int | None = None) -> TrackedAttempt:
        from nemorun_cli.tracking.access.supervisor_api import TrackedAttempt  # noqa: PLC0415 - the same

        return TrackedAttempt(self._files.id, task, attempt)

    @contextlib.contextmanager
    def _logging_errors(self, subject: str, *, repeats: bool = True) -> Iterator[None]:
        """Log errors instead of raising them; unless it `repeats`, not the same one twice in a row."""
        try:
            yield
        except Exception as error:  # noqa: BLE001 - records may contain anything, and no task depends on them
            is_known = isinstance(error, (ExpError, OSError))
            text = str(error) if is_known else "".join(traceback.format_exception(error)).rstrip()
            if repeats or self._last_errors.get(subject) != text:
                self._report(f"tracking: {subject}: {text}")
            self._last_errors[subject] = text


def _executors_with_own_samples(spec: Spec) -> frozenset[str]:
    """The executors whose jobs measure themselves, if the spec asks for samples."""
    if spec.sampling is None:
        return frozenset()
    names = {task.executor for task in spec.possible_tasks}
    options = {name: spec.executors.get(name, {"type": name}) for name in names}
    return frozenset(name for name in names if executors.capabilities(name, options[name]).records_samples)


def params_of(task: Task) -> dict[str, Any]:
    """The params of a task: the arguments of a partial, and the values of its matrix."""
    arguments = task.args if isinstance(task.args, dict) else {}
    return {**{name: value for name, value in task.matrix.items() if name not in arguments}, **arguments}
