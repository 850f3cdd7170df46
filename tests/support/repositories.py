"""Real git repositories for tests, and proof that nothing was written into one."""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

_CONFIG = ("-c", "user.name=tester", "-c", "user.email=t@example.org", "-c", "protocol.file.allow=always")


@dataclass(frozen=True)
class Repo:
    """A repository of this test's own."""

    folder: Path

    def git(self, *arguments: str) -> str:
        """Run git in it."""
        env = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
        done = subprocess.run(
            ["git", *_CONFIG, *arguments],
            cwd=self.folder,
            env={**env, "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_SYSTEM": os.devnull},
            capture_output=True,
            text=True,
            check=True,
        )
        return done.stdout.strip()

    def write(self, path: str, text: str) -> Path:
        """Write a file of the working tree."""
        target = self.folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text, encoding="utf-8")
        return target

    def commit(self) -> str:
        """Commit all there is; gives the commit."""
        self.git("add", "--all")
        self.git("commit", "--quiet", "--allow-empty", "--message", "state")
        return self.git("rev-parse", "HEAD")

    def everything(self) -> dict[str, tuple[int, int, bytes]]:
        """Every file, those of `.git` included, with what would change if it were written."""
        return {
            str(path.relative_to(self.folder)): _trace(path)
            for path in sorted(self.folder.rglob("*"))
            if not path.is_dir() or path.is_symlink()
        }


def make(folder: Path, files: Mapping[str, str]) -> Repo:
    """A new repository with these files committed."""
    folder.mkdir(parents=True, exist_ok=True)
    repo = Repo(folder)
    repo.git("init", "--quiet", "--initial-branch=main")
    for path, text in files.items():
        repo.write(path, text)
    repo.commit()
    return repo


def _trace(path: Path) -> tuple[int, int, bytes]:
    status = path.lstat()
    content = os.fsencode(path.readlink()) if path.is_symlink() else path.read_bytes()
    return status.st_mtime_ns, status.st_ino, content
