"""The process that determines fingerprints for a supervisor, because that may read gigabytes.

It reads orders from standard input, one JSON object a line, and writes an answer a line to standard output:
`{"key": …, "parts": {…}}`, or `{"key": …, "fault": "…"}` if the fingerprint cannot be determined. An order
may have an action for the fingerprint; what came of it is in `details`.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from nemorun_cli import executors
from nemorun_cli.errors import EngineError
from nemorun_cli.model import step_cache
from nemorun_cli.model.spec import Spec
from nemorun_cli.model.status import TaskStatus
from nemorun_cli.model.step_cache import DIGEST, Fingerprint
from nemorun_cli.storage.paths import ExperimentFiles, Home, script_copy
from nemorun_cli.storage.step_cache import declared_files
from nemorun_cli.storage.step_cache.content_digests import ContentDigests, ContentError
from nemorun_cli.storage.step_cache.declared_files import Folders, UnreadableFolderError
from nemorun_cli.storage.step_cache.entries import StepCache
from nemorun_cli.storage.step_cache.fingerprint_parts import (
    ParentResult,
    Surroundings,
    UndeterminedError,
    fingerprint,
)
from nemorun_cli.supervisor import step_cache_orders
from nemorun_cli.system import locks

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from typing import TextIO

    from nemorun_cli.model.spec import Task

ASK_TIME: Final = 20.0  # seconds that an interpreter may take to report its version
_PYTHON: Final = "python3"
_ASK: Final = "import sys; print(sys.implementation.name, sys.version.split()[0])"


class FingerprintMaker:
    """Determines fingerprints; asks for the digest of an image and the version of an interpreter once.

    Args:
        digests: of the contents of files.
        restored: files that will be there, in place of those that are, by their paths with their digests.
        runs_only: the search path of the caller, of which alone an interpreter is run; None for any.
    """

    def __init__(
        self,
        digests: ContentDigests,
        *,
        restored: Mapping[Path, str] | None = None,
        runs_only: str | None = None,
    ) -> None:
        self._digests = digests
        self._restored = {} if restored is None else restored
        self._runs_only = runs_only
        self._images: dict[str, str | Path | None] = {}  # by executor
        self._versions: dict[tuple[str, int, int], str] = {}  # by path, time and inode

    def answer(self, order: Mapping[str, Any]) -> dict[str, Any]:
        """The answer to an order."""
        try:
            parts = self.parts(order)
        except (ContentError, UnreadableFolderError, UndeterminedError) as error:
            return {"key": order["key"], "fault": str(error)}
        except EngineError as error:
            return {"key": order["key"], "fault": error.message}
        finally:
            self._digests.keep()
        return {"key": order["key"], "parts": parts}

    def parts(self, order: Mapping[str, Any]) -> dict[str, str]:
        """The parts of the fingerprint of the task in an order."""
        spec = Spec.from_json(order["spec"])
        (task,) = spec.tasks
        files = ExperimentFiles(Path(order["directory"]))
        options = spec.executors.get(task.executor, {"type": task.executor})
        package = spec.package(task)
        workdir = package.workdir(task.workdir, folder=spec.folder) if package else task.workdir
        folders = Folders(workdir=Path(workdir), shared=files.shared)
        python, capabilities = order["python"], executors.capabilities(task.executor, options)
        if python is None and not capabilities.has_own_files:
            python = self._interpreter(task, order["path"])
        around = Surroundings(
            inputs=self._inputs(task, folders),
            script=self._script(task, spec, files) if task.kind == "script" else None,
            parents={
                name: ParentResult(
                    status=TaskStatus(entry["status"]),
                    outputs=entry["outputs"],
                    fingerprint=entry["fingerprint"],
                )
                for name, entry in order["parents"].items()
            },
            image=self._image(task.executor, options),
            options=capabilities.result_options,
            variables=order["variables"],
            python=python,
        )
        return dict(fingerprint(task, spec, around).parts)

    def _inputs(self, task: Task, folders: Folders) -> dict[str, dict[str, str]]:
        globs = task.cache.inputs if task.cache is not None else ()
        return {
            str(declared_files.Glob.of(glob)): {
                name: self._restored.get(path) or self._digests.of(path)
                for name, path in sorted(self._matching(glob, folders))
            }
            for glob in globs
        }

    def _matching(self, glob: str, folders: Folders) -> Iterator[tuple[str, Path]]:
        """The files that match a glob, with those that will be there."""
        found = set(declared_files.files(glob, folders))
        yield from found
        yield from {*declared_files.among(self._restored, glob, folders)} - found

    def _script(self, task: Task, spec: Spec, files: ExperimentFiles) -> str:
        """The digest of the script: of the copy that runs."""
        source, package = str(task.body), spec.package(task)
        if package is not None and source in package.scripts:
            return self._digests.of(Path(package.shipped(source, folder=spec.folder)))
        copy = script_copy(source, files)
        return self._digests.of(copy if copy.is_file() else Path(source))

    def _image(self, name: str, options: Mapping[str, Any]) -> str | None:
        if name not in self._images:
            self._images[name] = executors.image(name, options)
        image = self._images[name]
        return DIGEST + self._digests.of(image) if isinstance(image, Path) else image

    def _interpreter(self, task: Task, search_path: str | None) -> str:
        """The path and the version of the Python that a task would find."""
        words = task.entrypoint or (task.body if isinstance(task.body, tuple) else ())
        named = words[0] if words and Path(words[0]).name.startswith("python") else _PYTHON
        if not self._may_run(named, search_path):
            raise UndeterminedError(f"{named} is not run before the experiment to ask for its version")
        program = shutil.which(named, path=search_path)
        if program is None:
            return step_cache.ABSENT
        status = Path(program).stat()
        key = (program, status.st_mtime_ns, status.st_ino)
        if key not in self._versions:
            self._versions[key] = _version(program)
        return f"{self._versions[key]} at {program}"

    def _may_run(self, named: str, search_path: str | None) -> bool:
        """Whether an interpreter may be asked for its version: it is one that the caller would run, too."""
        if self._runs_only is None or ("/" not in named and search_path == self._runs_only):
            return True
        return named in {sys.executable, shutil.which(Path(named).name, path=self._runs_only)}


def _version(program: str) -> str:
    """What a Python reports about itself."""
    try:
        asked = subprocess.run(
            [program, "-I", "-S", "-c", _ASK],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=ASK_TIME,
            check=False,
            cwd="/",
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ContentError(f"{program} does not report its version: {error}") from error
    if asked.returncode != 0 or not asked.stdout.strip():
        raise ContentError(f"{program} does not report its version: exit code {asked.returncode}")
    return asked.stdout.strip()


def serve(lines: Iterable[str], answers: TextIO, home: Home, *, supervisor: int | None = None) -> None:
    """Answer orders until there are no more, or the process of the supervisor, if given, has ended."""
    digests = ContentDigests(home.contents_database(locks.hostname()))
    maker, cache = FingerprintMaker(digests), StepCache(home, digests.of)
    try:
        for line in lines:
            if supervisor is not None and os.getppid() != supervisor:
                return  # the next supervisor asks for the rest
            order = json.loads(line)
            answer = maker.answer(order)
            if order.get("action") is not None and "parts" in answer:
                found = Fingerprint.of(answer["parts"])
                answer["details"] = step_cache_orders.done(cache, order["action"], found)
                digests.keep()
            print(json.dumps(answer), file=answers, flush=True)
    finally:
        digests.close()


def main() -> None:
    """Serve the supervisor that started this process, for the home that the command line names."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what an executor of another package prints is no answer
    serve(sys.stdin, answers, Home(Path(sys.argv[1])), supervisor=int(sys.argv[2]))


if __name__ == "__main__":
    main()
