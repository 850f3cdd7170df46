"""Command lines for the OpenSSH client with one shared connection, and the meaning of its errors."""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import shlex
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from nemorun_cli.errors import EngineError
from nemorun_cli.model import remote_host
from nemorun_cli.storage.paths import HOME_VARIABLE
from nemorun_cli.system.files import FOLDER_MODE
from nemorun_cli.system.user import expanded

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

SOCKETS: Final = "/tmp/exp-ssh-{uid}"  # noqa: S108 - a socket's path has to be short; the folder is checked
PERSIST: Final = 3600  # seconds for which an unused connection stays open
CONNECT: Final = 10  # seconds that connecting may take
ALIVE_EVERY: Final = 15  # seconds between keepalive messages
ALIVE_COUNT: Final = 3  # how many of them may remain unanswered
FAILED: Final = 255  # ssh's exit code for its own failures

HOST_OPTIONS: Final[Mapping[str, Any]] = {
    "host": {
        "title": "a host as ssh takes it: a name, an address, or a Host of ~/.ssh/config",
        "type": "string",
        "pattern": remote_host.HOST,
    },
    "user": {
        "title": "the name of a user on the host",
        "type": "string",
        "pattern": remote_host.USER,
    },
    "port": {"title": "a port", "type": "integer", "minimum": 1, "maximum": remote_host.LARGEST_PORT},
    "identity": {
        "title": "the path of a private key that begins with / or ~/",
        "type": "string",
        "pattern": remote_host.IDENTITY,
    },
}
"""The options of a spec that determine how a host is reached."""

_PLAIN_PATH: Final = re.compile(r"[A-Za-z0-9._:%\[\]-]+:[A-Za-z0-9./_=@%+,~-]*")  # with its host

# Errors that need a person: for a password, a second factor, a passphrase, or to verify a host key.
_PERSON: Final = re.compile(
    r"permission denied|host key verification failed|identification has changed|authentication fail"
    r"|too many authentication|no more authentication|passphrase|host key .* (is not|not) known"
    r"|no matching host key|password has expired|account .* (expired|locked)",
    re.IGNORECASE,
)

# The shared connection had broken, and ssh noticed it when it sent the command: the host did not receive it.
_NOT_SENT: Final = re.compile(r"mux_client_request_(session: write packet|alive)|master alive request failed")


@dataclass(frozen=True, slots=True, kw_only=True)
class Tunnel:
    """How a remote host is reached by ssh.

    Attributes:
        host: as ssh takes it; `~/.ssh/config` provides the settings that are not given here.
        job_dir: the folder on it that contains the files of experiments.
        pre_command: shell code that runs there before other commands.
        key: what precedes the names of these options in the spec, for messages.
    """

    host: str
    job_dir: str
    user: str | None = None
    port: int | None = None
    identity: str | None = None
    pre_command: str | None = None
    key: str = ""

    @classmethod
    def of(cls, options: Mapping[str, Any], *, key: str = "") -> Tunnel:
        """The tunnel of a spec's options; `key` as above."""
        return cls(**options, key=key)

    @property
    def socket(self) -> Path:
        """The socket of the shared connection; `%C` is ssh's own hash of its destination."""
        key = "\0".join(map(str, (self.host, self.user, self.port, self.identity)))
        return _private_folder() / f"{hashlib.sha256(key.encode()).hexdigest()[:8]}-%C"

    @property
    def remote(self) -> str:
        """The host in the notation that rsync takes before a path."""
        return f"[{self.host}]" if ":" in self.host else self.host

    def ssh(self, *, asks: bool = False) -> list[str]:
        """The client with its options, without a host; `asks`: whether it may prompt a person.

        Raises:
            EngineError: other users can access the folder of the sockets, or none can be created.
        """
        settings = {
            "BatchMode": "no" if asks else "yes",
            "ControlMaster": "auto",
            "ControlPath": self.socket,
            "ControlPersist": PERSIST,
            "ConnectTimeout": CONNECT,
            "ServerAliveInterval": ALIVE_EVERY,
            "ServerAliveCountMax": ALIVE_COUNT,
            "ClearAllForwardings": "yes",
            "ForwardAgent": "no",
            "ForwardX11": "no",
            "RequestTTY": "no",
            "LogLevel": "ERROR",
        }
        argv = ["ssh", *(part for name, value in settings.items() for part in ("-o", f"{name}={value}"))]
        if self.user:
            argv += ["-l", self.user]
        if self.port:
            argv += ["-p", str(self.port)]
        if self.identity:
            argv += ["-i", str(expanded(self.identity))]
        return argv

    def shell(self, *, asks: bool = False) -> list[str]:
        """A POSIX shell on the host that reads commands from standard input, whatever the login shell is."""
        return [*self.ssh(asks=asks), "--", self.host, "exec /bin/sh"]

    def rsync(self, *arguments: str) -> list[str]:
        """Rsync over the shared connection.

        Before rsync 3.2.4 a shell of the host reads its paths, unless `-s` is given, which not all versions
        on macOS have. Only a workdir can need it.
        """
        paths = (argument for argument in arguments if argument.startswith(f"{self.remote}:"))
        flags = [] if all(_PLAIN_PATH.fullmatch(path) for path in paths) else ["-s"]
        return ["rsync", *flags, "--rsh", shlex.join(self.ssh()), "--timeout=60", *arguments]


def environment() -> dict[str, str]:
    """The environment of ssh: this process's, without the variables that mark a process as part of a task."""
    return {
        name: value
        for name, value in os.environ.items()
        if name != HOME_VARIABLE and not name.startswith(("EXP_", "SLURM_", "SBATCH_"))
    }


def needs_person(complaint: str) -> bool:
    """Whether an error of ssh needs a person; other errors may disappear with time."""
    return _PERSON.search(complaint) is not None


def was_not_sent(complaint: str) -> bool:
    """Whether a command did not reach the host, because the shared connection had broken before."""
    return _NOT_SENT.search(complaint) is not None


def is_connection_failure(argv: Sequence[str], code: int | None, complaint: str) -> bool:
    """Whether ssh or rsync failed because of the connection."""
    if argv[0] == "ssh":
        return code in (None, FAILED)
    # rsync: 12 is a broken stream, 30 and 35 are timeouts, 20 is a signal; 127 and 126 mean that the remote
    # host has no rsync.
    is_installed = "command not found" not in complaint and "not found" not in complaint
    return code in (None, FAILED, 12, 20, 30, 35) and is_installed


def _private_folder() -> Path:
    """The user's folder of sockets, created if it is missing; another one if another user has taken its name.

    It is not in XDG_RUNTIME_DIR, which is removed at the logout: supervisors and their connections stay.
    """
    folder = Path(SOCKETS.format(uid=os.geteuid()))
    try:
        with contextlib.suppress(FileExistsError):
            folder.mkdir(mode=FOLDER_MODE)
        if _is_private(folder):
            return folder
        return _other_private_folder(folder)
    except OSError as error:
        raise EngineError(f"cannot create {folder} for ssh connections: {error.strerror}") from error


def _other_private_folder(taken: Path) -> Path:
    """An existing folder whose name begins like the taken one, or a new one; nobody can take all names."""
    if taken.lstat().st_uid == os.geteuid():
        raise EngineError(
            f"{taken}, the folder for ssh connections, is not private to you",
            hint=f"check what it is, then remove it: ls -ld {taken}",
        )
    if existing := sorted(filter(_is_private, taken.parent.glob(f"{taken.name}-*"))):
        return existing[0]
    import tempfile  # noqa: PLC0415 - slow to load, and rarely needed

    return Path(tempfile.mkdtemp(prefix=f"{taken.name}-", dir=taken.parent))


def _is_private(folder: Path) -> bool:
    """Whether it is a folder, and no link, that only this user can access."""
    try:
        status = folder.lstat()
    except FileNotFoundError:
        return False
    return stat.S_ISDIR(status.st_mode) and status.st_uid == os.geteuid() and not status.st_mode & 0o077
