"""Where the replica of a record or an experiment is, by the parts of its address."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, NamedTuple

from nemorun_cli.errors import InvalidValueError
from nemorun_cli.replication import protocol, shapes
from nemorun_cli.serve.store.store_refusal import StoreRefusal, not_found
from nemorun_cli.storage.paths import EXPERIMENTS_OF_SERVER, name_in
from nemorun_cli.tracking.store.record_paths import MAX_PART, RECORD, check_prefix

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from nemorun_cli.replication.shapes import FileKind

EXPERIMENTS: Final = EXPERIMENTS_OF_SERVER
STAGED: Final = ".new-"  # what `system.files` names files that it has not completed
_HOME: Final = re.compile(r"[^.].*-[0-9a-f]{8}")
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f]")


class Replica(NamedTuple):
    """The server's copy of a record or of an experiment.

    Attributes:
        root: the folder of all replicas.
        folder: the folder of the copy's files.
        prefix: what rights are about: the prefix of a record, or `OWNER/HOME/ID`.
        is_record: whether it is a record.
    """

    root: str
    folder: str
    prefix: str
    is_record: bool

    @property
    def owner(self) -> str:
        """The user whose quota it counts for."""
        return self.prefix.partition("/")[0]


class ReplicaFile(NamedTuple):
    """A file of a replica.

    Attributes:
        replica: the copy.
        path: the path in it.
        kind: how it is copied.
    """

    replica: Replica
    path: str
    kind: FileKind

    @property
    def full(self) -> str:
        """The path on the server's disk."""
        return f"{self.replica.folder}/{self.path}"

    @property
    def label(self) -> str:
        """What clients call it."""
        return f"{self.replica.prefix}: {self.path}"

    @property
    def checksum(self) -> str:
        """The SHA-256 of a content, from its name."""
        return self.path.rpartition("/")[2]


def of_record(root: Path, parts: Sequence[str]) -> tuple[Replica, str]:
    """The replica of a record and the path in it, by the parts of an address below `/v1/records/`.

    Raises:
        StoreRefusal: this is no address of a record.
    """
    if RECORD not in parts:
        raise not_found("such address")
    end = parts.index(RECORD)
    prefix = "/".join(parts[:end])
    return record_at(root, prefix), "/".join(parts[end + 1 :])


def record_at(root: Path, prefix: str) -> Replica:
    """The replica of a record.

    Raises:
        StoreRefusal: a server keeps no record under this prefix.
    """
    try:
        check_prefix(prefix)
    except InvalidValueError as error:
        raise StoreRefusal(404, "bad_prefix", error.message, hint=error.hint) from None
    owner, _, rest = prefix.partition("/")
    if not rest or owner in protocol.RESERVED:
        raise StoreRefusal(
            404,
            "bad_prefix",
            f"prefix {prefix!r}: a server keeps no record there",
            hint="write it as owner/project/name",
        )
    return Replica(str(root), f"{root}/{prefix}/{RECORD}", prefix, is_record=True)


def of_experiment(root: Path, parts: Sequence[str]) -> tuple[Replica, str]:
    """The replica of an experiment and the path in it, by the parts of an address below `/v1/experiments/`.

    Raises:
        StoreRefusal: this is no address of an experiment.
    """
    if len(parts) < 3:  # noqa: PLR2004 - owner, home and id
        raise not_found("such address")
    return experiment_at(root, *parts[:3]), "/".join(parts[3:])


def experiment_at(root: Path, owner: str, home: str, experiment_id: str) -> Replica:
    """The replica of an experiment.

    Raises:
        StoreRefusal: this cannot be the owner, the home or the id of an experiment.
    """
    name = name_in(experiment_id)
    are_plain = all(
        _is_plain(part) and len(part.encode()) <= MAX_PART for part in (owner, home, experiment_id)
    )
    if not are_plain or name is None or name.startswith(".") or not _HOME.fullmatch(home):
        raise StoreRefusal(
            404, "bad_address", f"{owner}/{home}/{experiment_id}: not the address of an experiment"
        )
    if owner in protocol.RESERVED or owner.startswith("."):
        raise StoreRefusal(404, "bad_address", f"{owner!r} is not an owner of experiments")
    folder = f"{root}/{EXPERIMENTS}/{owner}/{home}/experiments/{name}/{experiment_id}"
    return Replica(str(root), folder, f"{owner}/{home}/{experiment_id}", is_record=False)


def file_of(replica: Replica, path: str) -> ReplicaFile:
    """A file of a replica.

    Raises:
        StoreRefusal: files with such a path are not copied.
    """
    kind = kind_of(path, is_record=replica.is_record)
    if kind is None:
        raise StoreRefusal(404, "not_copied", f"{replica.prefix}: files such as {path[:80]!r} are not kept")
    return ReplicaFile(replica, path, kind)


def kind_of(path: str, *, is_record: bool) -> FileKind | None:
    """How a file of a record or of an experiment is copied; None if it is not."""
    parts = path.split("/")
    if not all(map(_is_plain, parts)) or any(part.startswith(STAGED) for part in parts):
        return None
    if is_record:
        return None if any(part.startswith(".") for part in parts) else shapes.of_record(path)
    return shapes.of_experiment(path)


def _is_plain(part: str) -> bool:
    """Whether this is the name of one file, as the programs that write records make them."""
    return part not in {"", ".", ".."} and "/" not in part and not _CONTROL.search(part)
