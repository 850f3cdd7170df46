"""The experiment's own copy of its resolved spec, and its relocation after the home was moved.

Expressions such as `${{ experiment.dir }}` are filled in when the experiment is created. The copy therefore
notes the folder it was resolved for; if that is not where the experiment is now, the reader replaces it.
"""

from __future__ import annotations

import json
import shlex
from typing import TYPE_CHECKING, Any, Final

from nemorun_cli.errors import LedgerError, NotFoundError, UsageError
from nemorun_cli.model.spec import Spec
from nemorun_cli.storage import ledger, stored_spec, task_entries
from nemorun_cli.storage.ledger import read_settled
from nemorun_cli.system.files import open_to_read

if TYPE_CHECKING:
    from pathlib import Path

    from nemorun_cli.storage.paths import ExperimentFiles

DIRECTORY: Final = "directory"  # the key for the experiment's folder, in addition to those of the spec
MASKED: Final = "masked"  # the key of a server's copy that lacks values, which it names
LONGEST_LINE: Final = 1 << 20  # bytes that are read of the first line of a ledger
DEPTH: Final = 3  # folders in the path of an experiment: experiments/NAME/ID in a home


def text(spec: Spec, directory: Path) -> str:
    """The copy of a spec that was resolved for an experiment in this folder."""
    return json.dumps({**spec.to_json(), DIRECTORY: str(directory)})


def read_spec(files: ExperimentFiles) -> Spec:
    """The spec as resolved when the experiment was created, or when a resume last changed it.

    Raises:
        LedgerError: the copy is missing or unreadable.
    """
    spec = read_copy(files)
    if files.revisions.is_dir() and (number := _revision(files)) > spec.revision:
        return read_copy(files, revision=number)
    return spec


def read_copy(files: ExperimentFiles, *, revision: int | None = None) -> Spec:
    """One copy: that at the top of the folder, or that of a revision.

    Raises:
        LedgerError: it is missing or unreadable.
    """
    document = _checked(files, revision, _with_present_paths(files, revision, is_streamed=True))
    try:
        return Spec.from_json(document)
    except (ValueError, LookupError, TypeError, AttributeError) as error:  # a field that is missing
        raise _unreadable(_path(files, revision), error) from error


def read_document(files: ExperimentFiles, *, revision: int | None = None) -> dict[str, Any]:
    """One copy as plain data, with the paths of where the experiment is now.

    Raises:
        LedgerError: it is missing or unreadable, or a field has a value that is not safe to use.
    """
    return _checked(files, revision, _with_present_paths(files, revision))


def _checked(files: ExperimentFiles, revision: int | None, document: dict[str, Any]) -> dict[str, Any]:
    if (problem := stored_spec.problem(document, files.directory)) is not None:
        raise _unreadable(_path(files, revision), problem)
    return document


def require_whole(files: ExperimentFiles) -> None:
    """Refuse a copy from a server that has no values of variables: tasks would run with `***`.

    Raises:
        UsageError: it is one.
        LedgerError: it cannot be read.
    """
    if read_document(files).get(MASKED):
        raise UsageError(
            f"{files.id} is a server's copy, without the values of env, and cannot run",
            hint="run it where it was created, or run its spec again",
        )


def _with_present_paths(
    files: ExperimentFiles, revision: int | None, *, is_streamed: bool = False
) -> dict[str, Any]:
    """One copy with the paths of now; if it is large and `is_streamed`, its tasks can be `TaskEntries`."""
    path = _path(files, revision)
    try:
        data = files.read(path)
        document = task_entries.document_of(data) if is_streamed else None
        if document is None or document.get(DIRECTORY) != str(files.directory):
            document = json.loads(data)
    except OSError as error:
        hint = None if isinstance(error, PermissionError) else "restore it from a backup"
        raise LedgerError(f"cannot read {path}: {error.strerror}", hint=hint) from error
    except (ValueError, RecursionError) as error:
        raise _unreadable(path, error) from error
    if not isinstance(document, dict):
        raise _unreadable(path, "it is not a JSON object")
    before = document[DIRECTORY] if DIRECTORY in document else _recorded_directory(files)
    if not isinstance(before, str) or before == str(files.directory) or not _is_folder_of(before):
        return document
    try:
        relocated: dict[str, Any] = _relocated(document, before, str(files.directory))
    except RecursionError as error:
        raise _unreadable(path, error) from error
    return relocated


def _is_folder_of(path: str) -> bool:
    """Whether a path can be that of an experiment; replacing a short text would change all others."""
    return path.startswith("/") and path.count("/") >= DEPTH


def _path(files: ExperimentFiles, revision: int | None) -> Path:
    return files.resolved if revision is None else files.revision(revision).resolved


def _unreadable(path: Path, error: Exception | str) -> LedgerError:
    return LedgerError(f"{path} cannot be read: {error}", hint="restore it from a backup")


def _recorded_directory(files: ExperimentFiles) -> str | None:
    """The folder in which an experiment of an earlier version was created, by its ledger; None if unknown."""
    try:
        with open_to_read(files.ledger, follows_link=False) as stream:
            created = ledger.parse(stream.readline(LONGEST_LINE)) or {}
    except OSError:
        return None
    home = created.get("home")
    return f"{home}/experiments/{files.directory.parent.name}/{files.id}" if isinstance(home, str) else None


def _relocated(value: Any, before: str, after: str, *, is_shell: bool = False) -> Any:
    """The data of a spec with one folder replaced by another, in texts; quoted in texts of a shell."""
    if isinstance(value, str):
        if is_shell:
            value = value.replace(shlex.quote(before), shlex.quote(after))
        return value if is_shell and before == shlex.quote(before) else value.replace(before, after)
    if isinstance(value, dict):
        is_inline = value.get("kind") == "inline"
        return {
            key: _relocated(item, before, after, is_shell=is_inline and key == "body")
            for key, item in value.items()
        }
    return [_relocated(item, before, after) for item in value] if isinstance(value, list) else value


def _revision(files: ExperimentFiles) -> int:
    """The current revision by the ledger, which is updated before the copies at the top of the folder."""
    try:
        events, _ = read_settled(files.ledger)
    except (LedgerError, NotFoundError):
        return 1  # other readers report the error; the copies at the top are used
    return max((event["revision"] for event in events if event.get("revision")), default=1)
