"""An experiment of this machine as what is copied: its address, its files, and whether they still change."""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
from functools import cache
from typing import TYPE_CHECKING, Final

from nemorun_cli.errors import ExpError, LedgerError, UsageError
from nemorun_cli.replication import client, credentials, experiment_files
from nemorun_cli.replication.record_files import LocalFile
from nemorun_cli.replication.remote_errors import RemoteError, RemoteFault
from nemorun_cli.storage import creation_mark
from nemorun_cli.storage.paths import ExperimentFiles, Home
from nemorun_cli.system import locks
from nemorun_cli.system.files import make_folder, read_bytes, write_whole

if TYPE_CHECKING:
    from pathlib import Path

    from nemorun_cli.replication.experiment_files import ShippedFile

DIGITS: Final = 8  # of the hash of a home's key
LONGEST_HOST: Final = 64  # characters
LARGEST_NAME: Final = 1024  # bytes of the file with the name of a home
_NAME: Final = re.compile(rf"[A-Za-z0-9][A-Za-z0-9.-]{{0,{LONGEST_HOST - 1}}}-[0-9a-f]{{{DIGITS}}}")
_NOT_OF_HOST: Final = re.compile(r"[^A-Za-z0-9.-]+")


class ExperimentSource:
    """An experiment as what is copied to a server.

    Args:
        directory: its folder.
        url: the server. Nothing is copied to another one than its spec names now.
    """

    def __init__(self, directory: Path, url: str) -> None:
        self.directory, self._url = directory, url
        self._shipped: dict[str, ShippedFile] = {}

    @property
    def address(self) -> str:
        """The path of its address on the server, which depends on whose token is used.

        Raises:
            ExpError: there is no token, or the server does not say whose it is.
        """
        return client.experiment_address(*self.place)

    @property
    def place(self) -> tuple[str, str, str]:
        """Its owner, the name of its home, and its id, as on the server; raises as `address`."""
        files = ExperimentFiles(self.directory)
        return owner(self._url), name_of_home(Home(files.home)), files.id

    @property
    def label(self) -> str:
        """Its folder, which is unique on this machine."""
        return str(self.directory)

    def files(self) -> list[LocalFile]:
        """All that is copied of it, in the order in which it is sent; nothing if it was removed.

        Raises:
            LedgerError: its spec cannot be read.
        """
        if not self.directory.is_dir():
            return []
        parts = experiment_files.settings_of(self.directory)
        if parts.url != self._url:
            return []
        self._shipped, found = {}, []
        for file in experiment_files.files_of(self.directory, parts):
            if (state := _state(file)) is not None:
                self._shipped[file.path] = file
                found.append(LocalFile(file.path, file.kind, *state))
        return found

    def read(self, path: str, offset: int, most: int) -> bytes:
        """Bytes of a file that the last look has found."""
        file = self._shipped.get(path)
        if file is None:
            raise FileNotFoundError(path)
        if file.content is not None:
            return file.content[offset : offset + most]
        with file.open() as stream:
            stream.seek(offset)
            return stream.read(most)


class ExperimentWatched:
    """Whether an experiment still changes."""

    def __init__(self, source: ExperimentSource) -> None:
        self._source = source
        self._is_over = False

    def look(self) -> None:
        """Look for its supervisor, and without one for its tasks."""
        self._is_over = experiment_files.is_over(self._source.directory)

    def is_own_file(self, path: str) -> bool:
        """Whether this machine writes a file of it: all."""
        del path
        return True

    def is_over(self, marker: object) -> bool:
        """Whether nothing more is written, so that its markers can go."""
        del marker
        return self._is_over

    @property
    def is_written(self) -> bool:
        """Whether its supervisor, or a task, is alive."""
        return not self._is_over

    @property
    def supervised(self) -> tuple[str, str, str] | None:
        """Its place on the server while a supervisor drives it here, as far as it is known."""
        with contextlib.suppress(OSError, ExpError):
            if locks.is_held(ExperimentFiles(self._source.directory).supervisor_lock):
                return self._source.place
        return None


@cache
def owner(url: str) -> str:
    """The user whose experiments are sent to a server with the token that is used for it.

    It stays until `forget_owners`.

    Raises:
        UsageError: there is no token.
        RemoteError: the server does not say whose it is.
    """
    credential = credentials.token_for(url)
    if credential is None:
        raise credentials.missing(url)
    if credential.user is not None:
        return credential.user
    from nemorun_cli.replication.login_client import LoginClient, LoginServerAwayError  # noqa: PLC0415 - with EXP_TOKEN only

    try:
        return LoginClient(url).whoami(credential.token).user
    except LoginServerAwayError as error:
        raise RemoteError(RemoteFault.AWAY, error.message, hint=error.hint) from error
    except UsageError as error:
        raise RemoteError(RemoteFault.TOKEN, error.message, hint=error.hint) from error


def forget_owners() -> None:
    """Before a token is read again: it may be another user's."""
    owner.cache_clear()


def name_of_home(home: Home) -> str:
    """A name that no home of another machine has: the host's name, and the hash of the home's key.

    It is noted in the home, and stays the same if the host gets another name, or the home is moved.

    Raises:
        LedgerError: the home cannot be written.
    """
    noted = home.outbox / "name"
    with contextlib.suppress(OSError):
        text = read_bytes(noted, limit=LARGEST_NAME, follows_link=False).decode("ascii", errors="replace")
        if _NAME.fullmatch(text):
            return text
    key = creation_mark.key_of(home)
    if key is None:
        raise LedgerError(f"{home.directory} has no key, of which its name on a server is made")
    host = _NOT_OF_HOST.sub("-", locks.hostname()).strip("-.")[: LONGEST_HOST - 1] or "host"
    name = f"{host}-{hashlib.sha256(key).hexdigest()[:DIGITS]}"
    try:
        make_folder(home.outbox)
        write_whole(noted, name.encode())
    except OSError as error:
        raise LedgerError(f"cannot write {noted}: {error.strerror}") from error
    return name


def _state(file: ShippedFile) -> tuple[int, int] | None:
    """The size of a file, and the time of its last change; of a content a number that stands for it."""
    if file.content is not None:
        digest = hashlib.sha256(file.content).digest()
        return len(file.content), int.from_bytes(digest[:7], "big")
    try:
        status = os.stat(file.source or file.path, follow_symlinks=False)  # noqa: PTH116 - of each file, often
    except OSError:
        return None
    return status.st_size, status.st_mtime_ns
