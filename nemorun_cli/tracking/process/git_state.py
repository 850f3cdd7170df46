"""The code a program was started from: its commit, read from `.git`, and its changes, from `git diff`.

Reading `.git` takes a tenth of a millisecond, starting git takes ten. `git diff` therefore runs in the
background, bounded in time and size, and its output is kept only if it succeeds.
"""

from __future__ import annotations

import os
from typing import Final, NamedTuple

from nemorun_cli.system.files import read_bytes

LARGEST: Final = 1 << 26  # bytes of a file of git; some repositories have a million references
MAX_DIFF: Final = 10 * 1024  # kilobytes
MAX_SECONDS: Final = 20  # of processor time
_HEXADECIMAL: Final = frozenset("0123456789abcdef")

_USERS_CONFIGURATION: Final = ("GIT_CONFIG_GLOBAL", "GIT_CONFIG_SYSTEM", "GIT_CONFIG_NOSYSTEM")
_OFFLINE: Final = {"GIT_OPTIONAL_LOCKS": "0", "GIT_NO_LAZY_FETCH": "1", "GIT_ALLOW_PROTOCOL": "none"}

# Settings that determine how files are compared. No value names a program.
_COMPARISON: Final = (
    r"^(core\.(repositoryformatversion|filemode|symlinks|ignorecase|precomposeunicode|trustctime|checkstat"
    r"|autocrlf|eol|sparsecheckout|sparsecheckoutcone)|index\.sparse|extensions\.objectformat)$"
)

# $1: the target file of the changes, $2: the working tree, $3: the folder of HEAD, $4: that of references.
# It runs in the background, so that the program does not wait for it, and is not reached by the terminal's
# signals. A repository can name filters and other programs in its configuration. Git therefore compares
# through a git folder that has the objects and the index of the repository, but a configuration of its own.
_TAKE: Final = f"""umask 077
: >"$1.part" || exit
( ulimit -t {MAX_SECONDS}; ulimit -f {MAX_DIFF * 2}
  target=$1 top=$2 git=$3 common=$4
  own=
  trap 'rm -rf "$own"; rm -f "$target.part"' EXIT
  trap 'exit 1' HUP INT TERM
  own=$(mktemp -d) || exit
  mkdir "$own/refs" "$own/info"
  git -C "$top" rev-parse --verify HEAD >"$own/HEAD" || exit
  git -C "$top" config -z --get-regexp '{_COMPARISON}' | tr '\\n\\0' '\\001\\n' |
    while IFS=$(printf '\\001') read -r key value; do
      case $value in *[!A-Za-z0-9]*|'') continue ;; esac
      printf '[%s]\\n%s = %s\\n' "${{key%%.*}}" "${{key#*.}}" "$value"
    done >"$own/config"
  ln -s "$common/objects" "$git/index" "$own"
  for file in "$git"/sharedindex.*; do if [ -f "$file" ]; then ln -s "$file" "$own"; fi; done
  if [ -f "$common/info/attributes" ]; then ln -s "$common/info/attributes" "$own/info"; fi
  if [ -f "$git/info/sparse-checkout" ]; then ln -s "$git/info/sparse-checkout" "$own/info"; fi
  GIT_DIR=$own GIT_WORK_TREE=$top git -C "$top" -c core.fsmonitor=false -c core.hooksPath=/dev/null \\
    -c diff.autoRefreshIndex=false diff --no-ext-diff --no-textconv --no-color --submodule=short \\
    --ignore-submodules=dirty HEAD >"$target.part"
  failed=$?
  rm -rf "$own"
  if [ "$failed" = 0 ]; then mv -f "$target.part" "$target"; fi
) </dev/null >/dev/null 2>&1 &
"""


class _Repository(NamedTuple):
    top: str  # the folder of the working files
    git: str  # the folder of HEAD
    common: str  # the folder of references; differs from `git` only in a linked working tree


def commit(folder: str | None) -> dict[str, str | None] | None:
    """The commit and branch checked out in the repository around a folder; None outside of git."""
    repository = _find(folder)
    if repository is None:
        return None
    head = _text(f"{repository.git}/HEAD")
    if head is None:
        return None
    if not head.startswith("ref: "):
        return {"folder": repository.top, "commit": head, "branch": None}
    reference = head.removeprefix("ref: ")
    return {
        "folder": repository.top,
        "commit": _resolve(repository, reference),
        "branch": reference.removeprefix("refs/heads/"),
    }


def _find(folder: str | None) -> _Repository | None:
    while folder:
        git = f"{folder}/.git"
        if os.path.isdir(git):
            return _Repository(folder, git, git)
        if os.path.isfile(git):  # a linked working tree or a submodule
            target = (_text(git) or "").removeprefix("gitdir: ")
            target = os.path.normpath(os.path.join(folder, target))
            common = _text(f"{target}/commondir")
            return _Repository(folder, target, os.path.join(target, common) if common else target)
        parent = os.path.dirname(folder)
        folder = parent if parent != folder else None
    return None


def _resolve(repository: _Repository, reference: str) -> str | None:
    """The commit of a reference, from its own file or the packed references."""
    if ".." in reference.split("/"):
        return None
    for folder in (repository.git, repository.common):
        commit = _text(f"{folder}/{reference}")
        if commit and set(commit) <= _HEXADECIMAL:
            return commit
    for line in (_text(f"{repository.common}/packed-refs") or "").splitlines():
        if line.endswith(f" {reference}"):
            return line.partition(" ")[0]
    return None


def _text(path: str) -> str | None:
    try:
        return read_bytes(path, limit=LARGEST).decode(errors="replace").strip()
    except OSError:
        return None


def take_diff(folder: str, target: str) -> None:
    """Start writing the uncommitted changes of tracked files to `target`, and return without waiting.

    No program that the repository's configuration or hooks name is run, and nothing is fetched.
    """
    repository = _find(folder)
    if repository is None:
        return
    environment = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("GIT_") or name in _USERS_CONFIGURATION
    }
    arguments = (target, *repository)
    shell = os.posix_spawn("/bin/sh", ("sh", "-c", _TAKE, "sh", *arguments), {**environment, **_OFFLINE})
    os.waitpid(shell, 0)
