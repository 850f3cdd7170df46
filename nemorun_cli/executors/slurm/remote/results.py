"""What comes back from the far side besides the evidence of attempts: records, and what a spec names."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

from nemorun_cli.executors.slurm import ssh
from nemorun_cli.executors.slurm.remote.attempt_sync import COPIES, RECORDS
from nemorun_cli.executors.slurm.remote.connection import TRAVEL
from nemorun_cli.storage.paths import LEDGER
from nemorun_cli.system import files
from nemorun_cli.system.files import make_folder
from nemorun_cli.tracking.store.record_paths import RECORD

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from nemorun_cli.executors.slurm.commands import LocalCommand
    from nemorun_cli.executors.slurm.remote.connection import Connection
    from nemorun_cli.executors.slurm.remote.remote_paths import RemotePaths

ARTIFACTS: Final = "artifacts"  # in an attempt's folder: what came back of its workdir
NO_WORD: Final = "rsync failed, and did not say why"
RECORDS_EVERY: Final = 10.0  # seconds from one look at the records of what runs to the next

# In the experiment's folder: nothing from the far side comes in the place of these.
OWN: Final = (
    "spec.yaml", "source.json", "resolved.json", f"{LEDGER}*", "ledger.*", "supervisor.*", "revision*",
    "plugins", "wake", "shim", "partial.py", "scripts", "code", "slurm",
    "tasks/**/attempt-*", "tasks/*/attempt-*",
)  # fmt: skip


class ResultFetcher:
    """Brings records while tasks write them, and all that is left when they have ended.

    Args:
        trips: to the far side.
        artifacts: globs of files in the experiment's folder that come back.
    """

    def __init__(self, trips: Connection, artifacts: Sequence[str]) -> None:
        self._trips, self._artifacts = trips, artifacts
        self._complaints: dict[str, str] = {}
        self._under_way: dict[str, list[LocalCommand]] = {}
        self._done: set[str] = set()
        self._live: LocalCommand | None = None
        self._next = 0.0

    def is_complete(self, layout: RemotePaths, folder: str) -> bool:
        """Whether all of an attempt that has ended is here; begins to bring it if not."""
        if folder in self._done:
            return True
        if folder not in self._under_way:
            wanted = self._begin(layout, [layout.files.directory / folder])
            wanted += self._fetch_artifacts(layout, layout.files.directory / folder)
            if not wanted:
                return True
            self._under_way[folder] = wanted
            return False
        answers = [(process, process.answer()) for process in self._under_way[folder]]
        if any(answer is None for _, answer in answers):
            return False
        del self._under_way[folder]
        if any(answer and ssh.is_lost(one.argv, answer.code, answer.complaint) for one, answer in answers):
            return False
        self._done.add(folder)
        if failed := [answer for _, answer in answers if answer and not answer.is_good]:
            self._complaints[folder] = "; ".join(answer.complaint or NO_WORD for answer in failed)
        return True

    def complaint(self, folder: str) -> str | None:
        """What rsync said when not all of an attempt that has ended could be brought."""
        return self._complaints.get(folder)

    def refresh(self, layout: RemotePaths, folders: Mapping[str, Path]) -> None:
        """Bring now and then what running tasks have tracked so far."""
        now = time.monotonic()
        if now < self._next or (self._live is not None and self._live.answer() is None):
            return
        self._next = now + RECORDS_EVERY
        tracked = [here for here in folders.values() if (here / COPIES[RECORDS]).exists()]
        self._live = next(iter(self._begin(layout, tracked)), None) if tracked else None

    def wait(self, seconds: float) -> None:
        """Wait for what is under way of attempts that have ended."""
        for process in [one for several in self._under_way.values() for one in several]:
            process.wait(seconds)

    def _begin(self, layout: RemotePaths, attempts_here: Sequence[Path]) -> list[LocalCommand]:
        """Bring the records of attempts to where the spec wants them, and note where that is."""
        from nemorun_cli.tracking.access import supervisor_api  # noqa: PLC0415 - only for tasks that track something

        prefixes: list[str] = []
        root = None
        for here in attempts_here:
            noted = supervisor_api.registered(here / COPIES[RECORDS])
            own = list(dict.fromkeys(prefix for place, prefix in noted if place == str(layout.records)))
            if own:
                root = Path(json.loads((here / "plan.json").read_bytes())["details"]["records"])
                notes = [json.dumps({"dash_root": str(root), "prefix": prefix}) for prefix in own]
                files.write(here / RECORDS, "".join(f"{note}\n" for note in notes))
                prefixes += own
        if root is None:
            return []
        make_folder(root)
        told = "\0".join(f"{prefix}/{RECORD}" for prefix in dict.fromkeys(prefixes))
        return [self._rsync("--from0", "--files-from=-", there=layout.records, here=root, told=told)]

    def _fetch_artifacts(self, layout: RemotePaths, attempt: Path) -> Sequence[LocalCommand]:
        """Bring what the task made in its workdir, and what was left in the experiment's folder."""
        found = []
        plan = json.loads((attempt / "plan.json").read_bytes())
        if globs := plan.get("artifacts"):
            here = attempt / ARTIFACTS
            make_folder(here)
            found.append(self._rsync(*rules(globs), there=Path(plan["workdir"]), here=here))
        if self._artifacts:
            own = (f"--exclude=/{name}" for name in OWN)
            flags = [*own, *rules(self._artifacts)]
            found.append(self._rsync(*flags, there=layout.folder, here=layout.files.directory))
        return found

    def _rsync(self, *flags: str, there: Path, here: Path, told: str = "") -> LocalCommand:
        argv = self._trips.tunnel.rsync(
            "-rpt", *flags, "--", f"{self._trips.tunnel.remote}:{there}/", f"{here}/"
        )
        data = told.encode(errors="surrogateescape")
        return self._trips.processes.start(argv, ssh.environment(), told=data, patience=TRAVEL)


def rules(globs: Iterable[str]) -> Iterator[str]:
    """What makes rsync take the files and whole folders that fit these globs, and look nowhere else."""
    for glob in globs:
        for form in dict.fromkeys((glob, glob.replace("**/", ""))):  # for `**` is also no folder at all
            parts = form.split("/")
            yield from (f"--include=/{'/'.join(parts[:depth])}/" for depth in range(1, len(parts)))
            yield f"--include=/{form}"
            yield f"--include=/{form}/**"
    yield from ("--exclude=*", "--prune-empty-dirs")
