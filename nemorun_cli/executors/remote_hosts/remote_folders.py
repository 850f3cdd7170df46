"""The folders that a home has on remote hosts: what is in them, and the removal of what has no use any more.

A home notes each such folder before its first upload, and the folder notes by a keyed hash which home made an
experiment in it. What another home made is never removed, nor what has no such note.
"""

from __future__ import annotations

import hashlib
import json
import re
import shlex
import subprocess
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self

from nemorun_cli.errors import EngineError
from nemorun_cli.executors.remote_hosts import ssh_client
from nemorun_cli.executors.remote_hosts.ssh_client import Tunnel
from nemorun_cli.model import remote_host
from nemorun_cli.storage import creation_mark
from nemorun_cli.storage.paths import name_in
from nemorun_cli.system.files import make_folder, read_bytes, write_whole

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from nemorun_cli.storage.paths import Home

EXPERIMENT: Final = "experiment"
ENVIRONMENT: Final = "environment"
CODE: Final = "code"
ANSWER: Final = "exp-gc:"  # begins each line of an answer; login files may print others
MARKS: Final = ".homes"  # in the folder: for each home that uses it a folder with a file for each experiment
TIMEOUT: Final = 600.0  # seconds that a host may take to measure or remove folders
LARGEST: Final = 1 << 16  # bytes of a note
_NAME: Final = re.compile(r"[A-Za-z0-9._-]+(?![\s\S])")

# The whole text is a function, so that a truncated one runs nothing.
_LIST: Final = """\
exp_list() {{
[ -e {folder} ] || return 0
cd -- {folder} || return
[ -O . ] || {{ echo "{folder} belongs to another user" >&2; return 1; }}
for exp_path in {marks}/*; do
    [ ! -d "$exp_path" ] || echo "{answer} home ${{exp_path##*/}}"
done
for exp_path in {marks}/{mark}/*; do
    exp_id=${{exp_path##*/}}
    exp_path=${{exp_id%_*}}/$exp_id
    [ -d "$exp_path" ] && [ ! -L "$exp_path" ] && [ ! -L "${{exp_path%/*}}" ] || continue
    exp_busy=$(find "$exp_path" -name claim -type f -exec sh -c \\
        'for exp_claim; do [ -e "${{exp_claim%claim}}exit.json" ] || echo busy; done' sh {{}} + | head -n 1)
    echo "{answer} experiment $(du -sk -- "$exp_path" | cut -f 1) ${{exp_busy:-over}} $exp_id"
done
for exp_kind in environments code; do
    [ ! -L "$exp_kind" ] || continue
    for exp_path in "$exp_kind"/*; do
        [ -d "$exp_path" ] && [ ! -L "$exp_path" ] || continue
        [ "${{exp_path##*_}}" = "$exp_path" ] || continue
        echo "{answer} $exp_kind $(du -sk -- "$exp_path" | cut -f 1) over ${{exp_path##*/}}"
    done
done
}}
exp_list
"""
_REMOVE: Final = """\
exp_remove() {{
cd -- {folder} || return
[ -O . ] || return
[ -d {path} ] && [ ! -L {path} ] && [ ! -L {parent} ] || return 0
{condition}
chmod -R u+rwX -- {path}
mv -- {path} {removed} && rm -rf -- {removed} && {after}
}}
exp_remove
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoteItem:
    """Something in a remote folder.

    Attributes:
        kind: EXPERIMENT, ENVIRONMENT or CODE.
        name: of its folder; the id of an experiment.
        size: in bytes.
        is_busy: whether an attempt at a task has begun and has no end.
    """

    kind: str
    name: str
    size: int
    is_busy: bool = False

    @property
    def path(self) -> str:
        """Its path in the remote folder."""
        if self.kind == EXPERIMENT:
            return f"{name_in(self.name)}/{self.name}"
        return f"{_FOLDERS[self.kind]}/{self.name}"


_FOLDERS: Final = {ENVIRONMENT: "environments", CODE: "code"}
_KINDS: Final = {EXPERIMENT: EXPERIMENT, "environments": ENVIRONMENT, "code": CODE}


@dataclass(frozen=True, slots=True)
class RemoteFolderContent:
    """What a home has in a remote folder, and whether other homes use it, too."""

    items: tuple[RemoteItem, ...] = ()
    is_shared: bool = False


@dataclass(frozen=True, slots=True)
class RemoteFolder:
    """A folder of a home on a remote host."""

    tunnel: Tunnel
    folder: Path

    @property
    def text(self) -> str:
        """The host and the folder."""
        return f"{self.tunnel.host}:{self.folder}"

    def argv(self) -> Sequence[str]:
        """The command line of a shell on the host."""
        return self.tunnel.shell()

    def to_json(self) -> dict[str, Any]:
        """The form of a note; it has no shell code."""
        tunnel = asdict(replace(self.tunnel, pre_command=None, key=""))
        return {
            "tunnel": {name: value for name, value in tunnel.items() if value},
            "folder": str(self.folder),
        }

    @classmethod
    def from_json(cls, document: Any) -> Self:
        """A folder from a note.

        Raises:
            ValueError, TypeError, LookupError: it is none.
        """
        folder, tunnel = str(document["folder"]), Tunnel.of(document["tunnel"])
        if not re.match(remote_host.FOLDER, folder) or not re.match(remote_host.HOST, tunnel.host):
            raise ValueError("host or folder")
        return cls(tunnel, Path(folder))


def note(home: Home, tunnel: Tunnel, folder: Path) -> None:
    """Note a remote folder of a home, before anything is uploaded to it.

    Raises:
        OSError: the note cannot be written.
    """
    data = json.dumps(RemoteFolder(tunnel, folder).to_json(), sort_keys=True).encode()
    path = home.remote_folders / f"{hashlib.sha256(data).hexdigest()[:16]}.json"
    if not path.exists():
        make_folder(path.parent)
        write_whole(path, data)


def noted(home: Home) -> Iterator[RemoteFolder | EngineError]:
    """The remote folders of a home, and what is wrong with a note that cannot be read."""
    try:
        paths = sorted(home.remote_folders.glob("*.json"))
    except OSError:
        return
    for path in paths:
        try:
            yield RemoteFolder.from_json(json.loads(read_bytes(path, limit=LARGEST, follows_link=False)))
        except (OSError, ValueError, TypeError, LookupError, RecursionError) as error:
            yield EngineError(f"{path} is no note of a remote folder: {error}", hint="remove this file")


def mark_of(home: Home) -> str | None:
    """What names a home in remote folders; None if it has no key."""
    key = creation_mark.key_of(home)
    return None if key is None else hashlib.blake2b(b"remote folders", key=key, digest_size=16).hexdigest()


def marking(folder: Path, experiment: str, mark: str | None) -> str:
    """The shell text that notes in a remote folder which home made an experiment."""
    if mark is None:
        return ":"
    place = shlex.quote(f"{folder}/{MARKS}/{mark}")
    return f"mkdir -p {place} && : >{place}/{shlex.quote(experiment)}"


def content(remote: RemoteFolder, mark: str) -> RemoteFolderContent:
    """What a home has in a remote folder.

    Raises:
        EngineError: the host cannot be reached, or the folder cannot be read.
    """
    text = _LIST.format(folder=shlex.quote(str(remote.folder)), marks=MARKS, mark=mark, answer=ANSWER)
    homes, items = set(), []
    for line in _run(remote, text).splitlines():
        match line.split():
            case [begin, "home", name] if begin == ANSWER:
                homes.add(name)
            case [begin, word, size, state, name] if begin == ANSWER and word in _KINDS and size.isdecimal():
                kind = _KINDS[word]
                if _NAME.match(name) and (kind != EXPERIMENT or name_in(name)):
                    is_busy = state == "busy"
                    items.append(RemoteItem(kind=kind, name=name, size=int(size) * 1024, is_busy=is_busy))
    return RemoteFolderContent(tuple(items), is_shared=homes != {mark})


def remove(remote: RemoteFolder, item: RemoteItem, mark: str) -> None:
    """Remove something from a remote folder, unless it no longer exists.

    Raises:
        EngineError: the host cannot be reached, or refuses; the message is the reason.
    """
    own = f"{MARKS}/{mark}/{item.name}"
    condition, after = ":", ":"
    parent = item.path.rpartition("/")[0]
    if item.kind == EXPERIMENT:
        condition = f"[ -e {own} ] || {{ echo 'another home made it' >&2; return 1; }}"
        after = f"rm -f -- {own} && {{ rmdir -- {parent} 2>/dev/null || :; }}"
    elif item.kind == ENVIRONMENT:
        condition = (
            f"exec 9>{item.path}.lock && {{ ! command -v flock >/dev/null 2>&1 || flock -n 9 ||"
            " { echo 'it is being made' >&2; return 1; }; }"
        )
        after = f"rm -f -- {item.path}.lock"
    _run(
        remote,
        _REMOVE.format(
            folder=shlex.quote(str(remote.folder)),
            path=item.path,
            parent=parent,
            condition=condition,
            removed=f"{parent}/.removed-{item.name}",
            after=after,
        ),
    )


def _run(remote: RemoteFolder, text: str) -> str:
    try:
        done = subprocess.run(
            remote.argv(),
            input=text.encode(),
            capture_output=True,
            timeout=TIMEOUT,
            check=False,
            cwd="/",
            env=ssh_client.environment(),
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise EngineError(f"{remote.tunnel.host} cannot be asked: {error}") from error
    if done.returncode:
        lines = done.stderr.decode(errors="replace").split("\n")
        reason = " ".join(filter(None, map(str.strip, lines[-4:]))) or f"exit code {done.returncode}"
        raise EngineError(f"{remote.tunnel.host}: {reason}")
    return done.stdout.decode(errors="replace")
