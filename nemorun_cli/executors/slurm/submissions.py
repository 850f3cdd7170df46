"""The files of submissions in the experiment's folder: the script for sbatch, the members, and Slurm's id."""

from __future__ import annotations

import contextlib
import json
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from nemorun_cli.errors import EngineError
from nemorun_cli.executors.slurm.het_job import components
from nemorun_cli.executors.slurm.job_script import BODY, OUTPUT, body_text, job_name, job_script
from nemorun_cli.executors.slurm.sbatch_answer import accepted, is_job_id
from nemorun_cli.executors.slurm.squeue import SCRIPT
from nemorun_cli.model import forms
from nemorun_cli.system import files
from nemorun_cli.system.files import FOLDER_MODE, make_folder

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from nemorun_cli.executors import Job, Key
    from nemorun_cli.executors.slurm.dependency import Batch

FOLDER: Final = "slurm"  # in the experiment's folder
NEWS: Final = "news"
MEMBERS: Final = "members.json"

_MEMBER: Final = forms.Form(
    lambda value: isinstance(value, list) and list(map(type, value)) == [str, int], "a task and an attempt"
)
_RECORD: Final = {
    "name": forms.TEXT,
    "made": forms.NUMBER,
    "members": forms.list_of(_MEMBER, "a list of tasks and attempts"),
    "by_steps": forms.FLAG,
    "dependency": forms.TEXT,
    "indices": forms.list_of(forms.COUNT, "a list of indices") | None,
    "components": forms.COUNT,
    "place": forms.TEXT,
}


@dataclass(slots=True)
class Submission:
    """One call of sbatch: for one attempt, or for several as a job array.

    Attributes:
        made: when it was made, in Unix seconds.
        by_steps: whether srun runs its tasks, so that signals go to job steps.
        dependency: the value of its `--dependency`; empty if its members were ready.
        array_indices: of the members in the array; None if they are numbered in order.
        is_coscheduled: whether its members are steps of one job, which has `components` components.
        place: its folder as the cluster sees it; empty if it was made before 0.1.0.
        job_id: Slurm's id; None until it is known.
        cluster: where Slurm put the job, if that is not the default cluster.
        sent: the monotonic time at which sbatch answered this process.
    """

    folder: Path
    name: str
    members: tuple[Key, ...]
    made: float
    by_steps: bool = False
    dependency: str = ""
    array_indices: tuple[int, ...] | None = None
    is_coscheduled: bool = False
    components: int = 1
    place: str = ""
    job_id: str | None = None
    cluster: str = ""
    sent: float = 0.0
    indices: dict[Key, int] = field(init=False)

    def __post_init__(self) -> None:
        indices = self.array_indices or range(len(self.members))
        self.indices = dict(zip(self.members, indices, strict=True))

    @property
    def script(self) -> Path:
        """The script for sbatch."""
        return self.folder / SCRIPT

    @property
    def is_early(self) -> bool:
        """Whether it was made before its members were ready, to wait in Slurm's queue."""
        return bool(self.dependency)

    @property
    def is_array(self) -> bool:
        """Whether its members are jobs of an array."""
        return len(self.members) > 1 and not self.is_coscheduled

    def output_of(self, key: Key) -> Path:
        """What Slurm and login files printed about the job of one member."""
        return self.folder / (f"{OUTPUT}-{self.indices[key]}" if self.is_array else OUTPUT)

    def id_of(self, key: Key) -> str | None:
        """Slurm's id of one member's job."""
        if self.job_id is not None and self.is_array:
            return f"{self.job_id}_{self.indices[key]}"
        if self.job_id is not None and self.components > 1:
            return f"{self.job_id}+{self.indices[key]}"
        return self.job_id

    def save_id(self, job_id: str, cluster: str = "") -> None:
        """Store Slurm's id; without it the job can only be found by its folder or its name."""
        self.job_id, self.cluster = job_id, cluster
        self.sent = time.monotonic()
        with contextlib.suppress(OSError):  # on a full disk another process finds it by its folder
            files.write(self.folder / "job", f"{job_id};{cluster}" if cluster else job_id)

    @property
    def cluster_flags(self) -> list[str]:
        """The flags of Slurm's commands for the job's cluster."""
        return [f"--clusters={self.cluster}"] if self.cluster else []


class Submissions:
    """All submissions of one experiment, by attempt."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._by_key: dict[Key, list[Submission]] = {}
        self._known: set[str] = set()
        self._count = 0
        self._read()

    def _read(self) -> None:
        with contextlib.suppress(FileNotFoundError):
            for path in sorted(self.folder.iterdir()):
                if path.name.isdigit() and path.name not in self._known:
                    self._count = max(self._count, int(path.name))
                    self._add(_read(path))

    @property
    def news(self) -> Path:
        """The file to which jobs append a line when they start and finish."""
        return self.folder / NEWS

    def of(self, key: Key) -> Sequence[Submission]:
        """The submissions of an attempt; more than one if an earlier one was unconfirmed or declined."""
        return self._by_key.get(key, ())

    def size(self, job_id: str) -> int | None:
        """The number of members of an array, also of another executor's; None if the id is no array's."""
        for is_fresh in (False, True):
            if is_fresh:
                self._read()
            for submissions in self._by_key.values():
                for submission in submissions:
                    if submission.job_id == job_id and submission.is_array:
                        return len(submission.members)
        return None

    def make(
        self,
        batch: Batch,
        members: Mapping[Key, str],
        *,
        by_steps: bool,
        cluster_path: Callable[[Path], Path],
    ) -> Submission:
        """Write the files of a submission before sbatch is called.

        Args:
            batch: the attempts and their requests.
            members: the text of each member.
            by_steps: whether srun runs the tasks.
            cluster_path: returns a file's path on the cluster, as in `ClusterAccess`.
        """
        folder = self._make_folder()
        keys = tuple(job.key for job in batch.jobs)
        # With a name of the spec's own, no job has this one, and the job is found by its folder alone.
        name = job_name(batch.jobs[0].experiment, keys, cluster_path(folder))
        submission = Submission(folder, name, keys, time.time(), by_steps, batch.dependency, batch.indices)
        submission.place = str(cluster_path(folder))
        news = cluster_path(self.news)
        if batch.each:
            submission.is_coscheduled, submission.components = True, len(components(batch.each))
            body = body_text(
                batch.request,
                folder=cluster_path(folder),
                news=news,
                index="$1",
                is_led=batch.is_led,
                shares_job=True,
            )
            files.write(folder / BODY, body)
        for key, index in submission.indices.items():
            files.write(folder / str(index), members[key])
        text = job_script(
            batch.request,
            name=batch.request.job_name or name,
            folder=cluster_path(folder),
            indices=tuple(submission.indices.values()) if submission.is_array else (),
            news=news,
            dependency=batch.dependency,
            each=batch.each,
            is_led=batch.is_led,
        )
        files.write(submission.script, text)
        # Written last and atomically: without this file, the submission was never made.
        record = {
            "name": name,
            "made": submission.made,
            "members": keys,
            "by_steps": by_steps,
            "place": submission.place,
        }
        if batch.dependency:
            record |= {"dependency": batch.dependency, "indices": batch.indices}
        if batch.each:
            record["components"] = submission.components
        files.write_whole(folder / MEMBERS, json.dumps(record).encode())
        self._add(submission)
        return submission

    def _make_folder(self) -> Path:
        make_folder(self.folder)
        while True:
            self._count += 1
            folder = self.folder / str(self._count)
            with contextlib.suppress(FileExistsError):  # made by another executor of this experiment
                folder.mkdir(mode=FOLDER_MODE)
                return folder

    def _add(self, submission: Submission | None) -> None:
        if submission:
            self._known.add(submission.folder.name)
        for key in submission.members if submission else ():
            self._by_key.setdefault(key, []).append(submission)  # type: ignore[arg-type]


def submissions_folder(job: Job) -> Path:
    """The folder of the submissions of a job's experiment."""
    return job.experiment_files.directory / FOLDER


def _read(folder: Path) -> Submission | None:
    try:
        record = json.loads(files.read_bytes(folder / MEMBERS, follows_link=False))
    except FileNotFoundError:
        return None
    except (ValueError, RecursionError) as error:
        raise EngineError(f"{folder / MEMBERS} cannot be read: {error}") from error
    if flaw := next(forms.flaws(record, _RECORD, required=("name", "made", "members", "by_steps")), None):
        raise EngineError(f"{folder / MEMBERS} cannot be read: {flaw}", hint="restore it from a backup")
    members = tuple((str(task), int(attempt)) for task, attempt in record["members"])
    indices = record.get("indices")
    submission = Submission(
        folder,
        record["name"],
        members,
        record["made"],
        record["by_steps"],
        record.get("dependency", ""),
        tuple(indices) if indices else None,
        "components" in record,
        record.get("components", 1),
        record.get("place", ""),
    )
    with contextlib.suppress(FileNotFoundError):
        data = files.read_bytes(folder / "job", follows_link=False)
        stored = accepted(data.decode("ascii", errors="replace").strip())
        if stored is not None and is_job_id(stored.job_id):
            submission.job_id, submission.cluster = stored.job_id, stored.cluster
    return submission
