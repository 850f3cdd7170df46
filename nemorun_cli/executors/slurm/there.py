"""A cluster that is reached by ssh: files go there by rsync, and what its jobs write is copied back."""

from __future__ import annotations

import hashlib
import json
import re
import socket
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from nemorun_cli import attempts
from nemorun_cli.executors.slurm import mirror, ssh, trip
from nemorun_cli.executors.slurm.mirror import COPIES, RECORDS
from nemorun_cli.executors.slurm.script import SECRETS, secrets_text
from nemorun_cli.executors.slurm.ssh import Tunnel
from nemorun_cli.executors.slurm.submission import FOLDER
from nemorun_cli.executors.slurm.trip import Watched
from nemorun_cli.executors.slurm.trips import Trips
from nemorun_cli.home import ExperimentFiles, make_folder
from nemorun_cli.tracking.places import RECORD

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from nemorun_cli.executors import Diagnosis, Job
    from nemorun_cli.executors.slurm.commands import Answer, Inquiry, Process
    from nemorun_cli.executors.slurm.site import Secrets
    from nemorun_cli.executors.slurm.submission import Submission
    from nemorun_cli.executors.slurm.trip import Piece
    from nemorun_cli.executors.slurm.trips import Errand
    from nemorun_cli.packages import Package
    from nemorun_cli.plan import Plan

SHORTEST: Final = 0.5  # seconds from one look to the next, after something happened
LONGEST: Final = 5.0  # the same, when nothing happens for long
GROWTH: Final = 1.3
FIRST_ANSWER: Final = 20.0  # seconds that a look from outside waits
TRAVEL: Final = 3600.0  # seconds that bringing files may take; rsync itself ends when nothing moves

Push = tuple[list[str], bytes]  # an rsync, and what it reads

THERE: Final = "there"  # in the experiment's folder of submissions: where its files lie on the far side


class There:
    """A cluster on the far side of a tunnel.

    Args:
        options: the executor's, with `tunnel`.
    """

    def __init__(self, options: Mapping[str, Any]) -> None:
        self.tunnel = Tunnel.of(options["tunnel"])
        self.trips = Trips(self.tunnel, options, watched=self._watched, take=self._take)
        self.commands: Inquiry = self.trips
        self._files: ExperimentFiles | None = None
        self._far: Path | None = None
        self._jobs: dict[str, Path] = {}  # the attempts' folders, by their paths under the far one
        self._is_pushed = False  # what all tasks of the experiment need
        self._shipped: set[str] = set()  # the contents that are there
        self._next, self._pause = 0.0, SHORTEST
        self._has_news = False
        self._told: str | None = None  # the trouble that was told last
        self._behind: set[str] = set()
        self._fetches: dict[str, Process] = {}
        self._fetched: set[str] = set()

    def check(self) -> Iterable[Diagnosis]:
        """Whether the host lets us in, and has what is needed; asks a person at the terminal."""
        from nemorun_cli.executors.slurm import reach  # noqa: PLC0415 - only in the foreground

        return reach.diagnose(self.tunnel, self.trips)

    # -- paths ------------------------------------------------------------------------------------

    def plan(self, plan: Plan) -> Plan:
        """The plan with the experiment's folder, its home and its records where they are there."""
        here = plan.env["EXP_DIR"]
        files = ExperimentFiles(Path(here))
        there = self._folder(files)
        # Also where the spec's own texts name it by `${{ experiment.dir }}`.
        found = re.compile(re.escape(here) + r"(?![A-Za-z0-9._-])")
        own = {"NEMORUN_HOME": str(there.parents[1]), "EXP_DASH_ROOT": str(self._records)}
        place = str(there).replace("\\", r"\\")
        return replace(
            plan,
            argv=tuple(found.sub(place, part) for part in plan.argv),
            workdir=found.sub(place, plan.workdir),
            env={name: found.sub(place, value) for name, value in plan.env.items()} | own,
            script=found.sub(place, plan.script) if plan.script is not None else None,
            call=found.sub(place, plan.call) if plan.call is not None else None,
            details={**plan.details, "host": self.tunnel.host, "dash_root": plan.env["EXP_DASH_ROOT"]},
        )

    def place(self, path: Path) -> Path:
        """Where a file of the experiment lies there."""
        assert self._files is not None  # noqa: S101 - whoever asks has planned or looked
        return self._folder(self._files) / path.relative_to(self._files.directory)

    def _folder(self, files: ExperimentFiles) -> Path:
        """The experiment's folder there, the same for good once something was submitted."""
        if self._far is None or self._files != files:
            self._files = files
            self.trips.experiment = files.id
            try:
                told = json.loads((files.directory / FOLDER / THERE).read_bytes())
                self._far = Path(told["folder"])
            except FileNotFoundError:
                name = files.directory.parent.name
                self._far = Path(self.tunnel.job_dir, owner(files.home), name, files.id)
        return self._far

    def _know(self, jobs: Iterable[Job]) -> dict[str, Path]:
        found = {}
        for job in jobs:
            if self._files is None:
                above = len(Path(job.task).parts) + 1  # attempt-1, the parts of the task's id, and `tasks`
                self._folder(ExperimentFiles(job.files.directory.parents[above]))
            assert self._files is not None  # noqa: S101 - it was just made
            found[str(job.files.directory.relative_to(self._files.directory))] = job.files.directory
        return found

    # -- submitting -------------------------------------------------------------------------------

    def submit(
        self, submission: Submission, jobs: Iterable[Job], secrets: Mapping[Path, Secrets]
    ) -> Delivery:
        """Bring the texts there by rsync, then ask sbatch; secrets go by the tunnel alone."""
        jobs = list(jobs)
        folders = self._know(jobs)
        assert self._files is not None  # noqa: S101 - `_know` made it
        note = self._files.directory / FOLDER / THERE
        if not note.exists():
            make_folder(note.parent)
            attempts.write(note, json.dumps({"host": self.tunnel.host, "folder": str(self._far)}))
        texts = [
            trip.put(str(self.place(folder / SECRETS)), secrets_text(values))
            for folder, values in secrets.items()
        ]
        packages = {job.plan.package.store: job.plan.package for job in jobs if job.plan and job.plan.package}
        new = [package for store, package in packages.items() if store not in self._shipped]
        pushes = [self._push_files([*folders, str(submission.folder.relative_to(self._files.directory))])]
        for package in new:
            pushes.append(self._push_code(package))
            texts.insert(0, self._copy_code(package))
        ask = self.trips.text(["sbatch", "--parsable", str(self.place(submission.script))])
        return Delivery(self, pushes, " && ".join([*texts, ask]), shipped=[one.store for one in new])

    def _push_files(self, names: list[str]) -> Push:
        """What brings folders of the experiment there, and what all its tasks need."""
        assert self._files is not None  # noqa: S101 - whoever submits has planned
        if not self._is_pushed:
            needed = (self._files.shim, self._files.partial, self._files.scripts)
            names += [str(path.relative_to(self._files.directory)) for path in needed if path.exists()]
        argv = self._rsync("-rpt", "--from0", "--files-from=-", here=self._files.directory, there=self._far)
        return argv, "\0".join(names).encode(errors="surrogateescape")

    def _push_code(self, package: Package) -> Push:
        """What brings a content there, once: what lies there already is not sent again."""
        store = Path(package.store)
        return self._rsync("-rlpt", "--delete", here=store, there=self._code / store.name), b""

    def _copy_code(self, package: Package) -> str:
        """The text that makes the experiment's own copy of a content, in which its tasks may write."""
        store, copy = self._code / Path(package.store).name, self.place(Path(package.folder))
        part = copy.with_name(f".part-{copy.name}")
        return (
            f"{{ [ -d {copy} ] || {{ mkdir -p {copy.parent} && rm -rf {part} &&"
            f" cp -Rp {store} {part} && mv {part} {copy}; }}; }}"
        )

    def _rsync(self, *flags: str, here: Path, there: Path | None) -> list[str]:
        make = f"--rsync-path=umask 077 && mkdir -p {there} && rsync"
        return self.tunnel.rsync(*flags, make, "--", f"{here}/", f"{self.tunnel.remote}:{there}/")

    @property
    def _code(self) -> Path:
        """Where all contents of this home lie there, by their hashes."""
        assert self._far is not None  # noqa: S101 - whoever asks has planned or looked
        return self._far.parents[1] / "code"

    def pushed(self, stores: Iterable[str]) -> None:
        """Remember that what all tasks need is there, and these contents are."""
        self._is_pushed = True
        self._shipped |= set(stores)

    # -- looking ----------------------------------------------------------------------------------

    def look(self, news: Iterable[Path], jobs: Iterable[Job]) -> bool:
        """Go on looking, ever less often while nothing happens; says whether something was brought."""
        del news
        self._jobs = self._know(jobs)
        self.trips.arrive()
        if self._told != self.trips.trouble:
            self._told, self._has_news = self.trips.trouble, True
        now = time.monotonic()
        if now >= self._next and self.trips.is_idle:
            self.trips.look()
            self._next = now + self._pause
            self._pause = min(LONGEST, self._pause * GROWTH)
        has_news, self._has_news = self._has_news, False
        return has_news

    def look_now(self, news: Iterable[Path], jobs: Iterable[Job]) -> None:
        """Look until nothing that ended is left to be brought, but not for ever."""
        del news
        self._jobs = self._know(jobs)
        end = time.monotonic() + FIRST_ANSWER
        while self._behind and not self.trips.trouble and (left := end - time.monotonic()) > 0:
            for fetch in list(self._fetches.values()):
                fetch.wait(left)
            self.trips.look()
            self.trips.wait(lambda: self.trips.is_idle, left)

    def due(self) -> float:
        """When to look again."""
        return self._next

    @property
    def trouble(self) -> str | None:
        """Why the far side was not reached the last time."""
        return self.trips.trouble

    def is_behind(self, job: Job) -> bool:
        """Whether an attempt wrote more than has been brought."""
        return any(self._jobs.get(folder) == job.files.directory for folder in self._behind)

    def has_seen(self, moment: float) -> bool:
        """Whether there was a look since; if not, the next one begins at once."""
        if self.trips.looked >= moment:
            return True
        self._next = min(self._next, moment)
        return False

    def forget(self, job: Job) -> None:
        """Remove secrets that no job has read; one that has begun has removed them."""
        plan = job.plan.secrets if job.plan else _secrets_of(job)
        if plan and attempts.claimed_pid(job.files) is None:
            path = self.place(job.files.directory / SECRETS)
            self.trips.send(f"rm -f -- {path}", name="rm")

    def _watched(self) -> Watched | None:
        if not self._jobs:
            return None
        return Watched(root=str(self._far), folders=list(self._jobs), known=list(mirror.known(self._jobs)))

    def _take(self, pieces: Sequence[Piece]) -> None:
        changed, self._behind = mirror.take(pieces, self._jobs, is_complete=self._is_complete)
        if changed or self._behind:
            self._has_news = True
            self._pause = SHORTEST
            self._next = min(self._next, time.monotonic() + SHORTEST)
        if self._behind:
            self._next = 0.0

    # -- records ----------------------------------------------------------------------------------

    def _is_complete(self, folder: str) -> bool:
        """Whether the records of an attempt that has ended are here; begins to bring them if not."""
        if folder in self._fetched:
            return True
        here = self._jobs[folder]
        fetch = self._fetches.get(folder)
        if fetch is None:
            noted = here / COPIES[RECORDS]
            prefixes = _prefixes(noted, root=str(self._records))
            if not prefixes:
                return True
            self._fetches[folder] = self._fetch(here, prefixes)
            return False
        answer = fetch.answer()
        if answer is None:
            return False
        del self._fetches[folder]
        if ssh.is_lost(fetch.argv, answer.code, answer.complaint):
            return False
        self._fetched.add(folder)
        return True

    def _fetch(self, here: Path, prefixes: Sequence[str]) -> Process:
        """Bring records to where the spec wants them, and note where that is."""
        root = Path(json.loads((here / "plan.json").read_bytes())["details"]["dash_root"])
        make_folder(root)
        notes = [json.dumps({"dash_root": str(root), "prefix": prefix}) for prefix in prefixes]
        attempts.write(here / RECORDS, "".join(f"{note}\n" for note in notes))
        return self.trips.processes.start(
            self.tunnel.rsync(
                "-rpt",
                "--from0",
                "--files-from=-",
                "--",
                f"{self.tunnel.remote}:{self._records}/",
                f"{root}/",
            ),
            ssh.environment(),
            told="\0".join(f"{prefix}/{RECORD}" for prefix in prefixes).encode(errors="surrogateescape"),
            patience=TRAVEL,
        )

    @property
    def _records(self) -> Path:
        """Where all records of this home lie there."""
        assert self._far is not None  # noqa: S101 - whoever asks has planned or looked
        return self._far.parents[1] / "dash"


def owner(home: Path) -> str:
    """What a home of this machine is called there, where several may share an account."""
    key = f"{socket.gethostname()}\0{home}"
    return f"exp-{hashlib.sha256(key.encode(errors='surrogateescape')).hexdigest()[:12]}"


class Delivery:
    """A submission on its way: its files first, then sbatch.

    Args:
        pushes: what is run for that, one after the other.
        text: what asks sbatch.
        shipped: the contents that are there when all is.
    """

    def __init__(self, there: There, pushes: Sequence[Push], text: str, *, shipped: Sequence[str]) -> None:
        self._there, self._text, self._shipped = there, text, shipped
        self._pushes = list(pushes)
        self._push = self._next()
        self._errand: Errand | None = None

    def _next(self) -> Process:
        argv, told = self._pushes.pop(0)
        return self._there.trips.processes.start(argv, ssh.environment(), told=told, patience=TRAVEL)

    def answer(self) -> Answer | None:
        """What sbatch said, or why it was not asked."""
        while self._errand is None:
            pushed = self._push.answer()
            if pushed is None:
                return None
            if not pushed.is_good:
                return self._explained(pushed)
            if self._pushes:
                self._push = self._next()
            else:
                self._there.pushed(self._shipped)
                self._errand = self._there.trips.send(self._text, name="sbatch")
        return self._errand.answer()

    def wait(self, seconds: float) -> Answer | None:
        """The answer, waited for."""
        end = time.monotonic() + seconds
        while self.answer() is None and (left := end - time.monotonic()) > 0:
            if self._errand:
                self._errand.wait(left)
            else:
                self._push.wait(left)
        return self.answer()

    def _explained(self, pushed: Answer) -> Answer:
        complaint, host = pushed.complaint, self._there.tunnel.host
        if ssh.is_lost(self._push.argv, pushed.code, complaint):
            return replace(pushed, complaint=self._there.trips.explain(complaint), is_lost=True)
        if "not found" in complaint or complaint.startswith("there is no rsync"):
            where = "this machine" if complaint.startswith("there is no") else host
            complaint = f"there is no rsync on {where}: install it"
        return replace(pushed, complaint=f"its files could not be brought to {host}: {complaint}")


def _secrets_of(job: Job) -> Sequence[str]:
    try:
        found: Sequence[str] = json.loads(job.files.plan.read_bytes())["secrets"]
    except (OSError, ValueError, LookupError):
        return ()
    return found


def _prefixes(noted: Path, *, root: str) -> list[str]:
    """The prefixes of the records that an attempt noted to have opened under a root."""
    from nemorun_cli.tracking import supervised  # noqa: PLC0415 - only for tasks that track something

    return list(dict.fromkeys(prefix for place, prefix in supervised.registered(noted) if place == root))
