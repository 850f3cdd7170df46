"""Two real unprivileged users, for what must not happen between users; only root can be somebody else.

Where they may not enter the folders of the interpreter (as /root), their processes see these folders in a
mount namespace of their own.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
import pytest
from support.workspace import Result

from nemorun_cli.contract.fixtures import processes_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

UID = 61001
OTHER_UID = 61002
"""They have no entry in the database of users, and no process or file of theirs exists outside of tests."""

_CHECKOUT = Path(__file__).resolve().parents[2]
_EXP = str(Path(sys.executable).with_name("exp"))

_ASIDE = Path("/dev/shm")  # noqa: S108 - covered for an instant, in the new namespace only


_SEVERAL = """
import contextlib, io, json, sys
from nemorun_cli.cli import app
done = []
for argv in json.loads(sys.argv[1]):
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = app.run(argv)
    done.append([code, out.getvalue(), err.getvalue()])
print(json.dumps(done))
"""


@dataclass(frozen=True)
class OtherUser:
    """An unprivileged user with a home of `exp` and a working folder, both in a folder that all may enter."""

    uid: int
    top: Path

    @property
    def home(self) -> Path:
        """The user's NEMORUN_HOME; it does not exist at first."""
        return self.folder / "home"

    @property
    def folder(self) -> Path:
        """The user's own folder, in which commands run; all may read it."""
        return self.top / str(self.uid)

    def env(self, **own: str | Path) -> dict[str, str]:
        """The environment of the user's commands."""
        return {
            "PATH": os.environ["PATH"],
            "HOME": str(self.folder),
            "NEMORUN_HOME": str(self.home),
            "NO_COLOR": "1",
            "COLUMNS": "160",
            "PYTHONDONTWRITEBYTECODE": "1",
            **{name: str(value) for name, value in own.items()},
        }

    def argv(self, *argv: str | Path) -> list[str]:
        """A command line that runs another one as this user, without any capability or further group."""
        ids = [f"--reuid={self.uid}", f"--regid={self.uid}", "--clear-groups", "--bounding-set=-all"]
        return [*_lead(), "setpriv", *ids, "--inh-caps=-all", *map(str, argv)]

    def run(
        self, *argv: str | Path, umask: int = 0o022, **env: str | Path
    ) -> subprocess.CompletedProcess[str]:
        """Run a command as the user, in its folder."""
        return subprocess.run(
            self.argv(*argv),
            cwd=self.folder,
            env=self.env(**env),
            umask=umask,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    def exp(self, *args: str | Path, code: int | None = 0, umask: int = 0o022, **env: str | Path) -> Result:
        """Run the installed `exp` as the user and check its exit code; None accepts any."""
        done = self.run(_EXP, *args, umask=umask, **env)
        result = Result(done.returncode, done.stdout, done.stderr)
        assert code in (None, result.code), f"{result.code}\n{result.stdout}{result.stderr}"
        return result

    def each(self, *commands: Sequence[str | Path], umask: int = 0o022, **env: str | Path) -> list[Result]:
        """Run several commands of `exp` as the user, in one process, which is quicker."""
        texts = json.dumps([[str(argument) for argument in argv] for argv in commands])
        printed = self.python(_SEVERAL, texts, umask=umask, **env)
        return [Result(*done) for done in json.loads(printed)]

    def python(self, text: str, *arguments: str | Path, umask: int = 0o022, **env: str | Path) -> str:
        """Run Python as the user, with `nemorun_cli` in reach; returns what it prints."""
        done = self.run(sys.executable, "-c", text, *arguments, umask=umask, **env)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def owns(self, path: Path, mode: int | None = None) -> Path:
        """Give a file or folder to the user, with all that it contains; returns the path."""
        for inner in (path, *path.rglob("*")):
            os.chown(inner, self.uid, self.uid, follow_symlinks=False)
        if mode is not None:
            path.chmod(mode)
        return path

    def write(self, name: str, text: str, mode: int = 0o644) -> Path:
        """Write a file of the user's, relative to its folder."""
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        path.chmod(mode)
        os.chown(path, self.uid, self.uid)
        return path


@pytest.fixture
def other_users() -> Iterator[tuple[OtherUser, OtherUser]]:
    """Two unprivileged users; a test that leaves a process of theirs running fails."""
    with made() as users:
        yield users


@contextlib.contextmanager
def made() -> Iterator[tuple[OtherUser, OtherUser]]:
    """The two users, for as long as the block lasts; skips loudly where they cannot be made."""
    if reason := _impossible():
        pytest.skip(f"OTHER USERS ARE NOT TESTED: {reason}")
    # Not below pytest's own folder, which only its user may enter.
    top = Path(tempfile.mkdtemp(prefix="exp-users-"))
    users = OtherUser(UID, top), OtherUser(OTHER_UID, top)
    try:
        top.chmod(0o755)
        for user in users:
            user.folder.mkdir()
            user.folder.chmod(0o755)
            os.chown(user.folder, user.uid, user.uid)
        yield users
        left = [process for user in users for process in processes_of(user.home) if not _ends(process)]
        for process in left:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        assert not left, f"left running: {[process.info for process in left]}"
    finally:
        shutil.rmtree(top)


def _ends(process: psutil.Process, within: float = 10.0) -> bool:
    try:
        process.wait(within)
    except psutil.TimeoutExpired:
        return False
    return True


@cache
def _impossible() -> str | None:
    """Why no process can run as these users here, if none can."""
    if os.geteuid() != 0:
        return "only root can be somebody else"
    if not shutil.which("setpriv"):
        return "there is no setpriv (util-linux)"
    user = OtherUser(UID, Path("/"))
    done = subprocess.run(
        user.argv(_EXP, "--version"), cwd="/", env=user.env(), capture_output=True, text=True, check=False
    )
    return None if done.returncode == 0 else f"uid {UID} cannot run {_EXP}: {done.stderr.strip()}"


@cache
def _lead() -> Sequence[str]:
    """What opens the way to the interpreter, its packages and the product for others; often nothing."""
    needed = dict.fromkeys((Path(sys.base_prefix).resolve(), Path(sys.prefix), _CHECKOUT))
    closed: dict[Path, list[Path]] = {}
    for path in needed:
        parents = [*reversed(path.parents), path]
        if shut := next((each for each in parents if not each.stat().st_mode & 0o001), None):
            closed.setdefault(shut, []).append(path)
    if not closed:
        return ()
    script = "\n".join(["set -eu", *_opened(closed), 'exec "$@"'])
    return ("unshare", "--mount", "sh", "-c", script, "sh")


def _opened(closed: dict[Path, list[Path]]) -> Iterator[str]:
    """Commands that cover closed folders by empty ones that all may enter, with only these parts in them."""
    cover = "mount -t tmpfs -o mode=0755 tmpfs"
    parts = [(part, _ASIDE / str(number)) for number, part in enumerate(itertools.chain(*closed.values()))]
    yield f"{cover} {_ASIDE}"
    yield from (f"mkdir {aside}; mount --bind {shlex.quote(str(part))} {aside}" for part, aside in parts)
    yield from (f"{cover} {shlex.quote(str(folder))}" for folder in closed)
    for part, aside in parts:
        place = shlex.quote(str(part))
        yield f"mkdir -p {place}; mount --bind {aside} {place}"
    yield f"umount -l {_ASIDE}"
