"""A git repository, read without its configuration and hooks.

A repository from elsewhere can name programs in its configuration: filters, monitors, transports of a
partial clone. Each git command therefore uses a private git folder. That has the objects and the index of the
repository by links, and a configuration of its own: the user's filters, and settings that only determine how
files are compared. The repository's own configuration is read once, by commands that run no program.
"""

from __future__ import annotations

import os
import re
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from nemorun_cli.packagers import git_cli
from nemorun_cli.packagers.content import PackagerError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

GITLINK: Final = "160000"  # the mode of a submodule in an index

# How the index, the ignored files and the content of the working tree are read. No value names a program.
_KEPT: Final = frozenset(
    (
        *("core.repositoryformatversion", "extensions.objectformat"),
        *("core.filemode", "core.symlinks", "core.ignorecase", "core.precomposeunicode"),
        *("core.protecthfs", "core.protectntfs", "core.trustctime", "core.checkstat"),
        *("core.autocrlf", "core.eol", "core.safecrlf", "core.checkroundtripencoding"),
        *("core.sparsecheckout", "core.sparsecheckoutcone", "index.sparse"),
        *("sparse.expectfilesoutsideofpatterns", "core.excludesfile", "core.attributesfile"),
    )
)
_FILES: Final = ("core.excludesfile", "core.attributesfile")  # a FIFO would block git
_FILTER: Final = re.compile(r"filter\.(.*)\.(?:clean|smudge|process|required)", re.DOTALL)
_USERS: Final = ("system", "global")  # the scopes of the user's own configuration


@dataclass(frozen=True, slots=True, kw_only=True)
class Repository:
    """A working tree, and the private git folder through which git reads it.

    Attributes:
        top: the folder of the working tree.
        private: the git folder for all commands.
        commit: the commit that is checked out; None before the first one.
            It is that of `ref` if one was asked for.
        branch: the branch that is checked out; None if it is only a commit, or a `ref` was asked for.
        index: an index other than the repository's own.
        unused_filters: the filters that the repository defines, which are not run.
        is_partial: whether objects can be missing, because the clone left them on its server.
    """

    top: Path
    private: Path
    commit: str | None
    branch: str | None
    index: Path | None = None
    unused_filters: tuple[str, ...] = ()
    is_partial: bool = False

    def ask(self, *arguments: str) -> bytes:
        """Run a git command and return its output.

        Raises:
            PackagerError: git is missing, fails or times out.
        """
        variables = {"GIT_DIR": str(self.private), "GIT_WORK_TREE": str(self.top)}
        if self.index is not None:
            variables["GIT_INDEX_FILE"] = str(self.index)
        try:
            return git_cli.run(self.top, *arguments, variables=variables)
        except PackagerError as error:
            if not self.is_partial:
                raise
            hint = "the clone is partial: fetch what is missing with git checkout, or use a full clone"
            raise PackagerError(error.message, hint=error.hint or hint) from error

    def lines(self, *arguments: str) -> list[str]:
        """The records in the output of a command with `-z`."""
        return git_cli.records(self.ask(*arguments))

    def text(self, *arguments: str) -> str | None:
        """The output as one line; None if git fails."""
        try:
            return git_cli.line(self.ask(*arguments))
        except PackagerError:
            return None

    def gitlinks(self, *pathspec: str) -> Iterator[str]:
        """Yield the paths of submodules in the index."""
        for record in self.lines("ls-files", "-z", "--stage", *pathspec):
            state, _, path = record.partition("\t")
            if state.startswith(GITLINK):
                yield path


def find(folder: Path, scratch: Path, *, ref: str = "") -> Repository:
    """The repository whose working tree contains a folder; its private git folder is made in `scratch`.

    Args:
        folder: a folder of the working tree.
        scratch: a folder for temporary files.
        ref: a commit, or the name of one, instead of the one that is checked out.

    Raises:
        PackagerError: no repository contains it, git refuses it, for example because of its owner, or it has
            no such commit.
    """
    git_dir = Path(_asked(folder, "--absolute-git-dir"))
    common = folder / _asked(folder, "--git-common-dir")
    top = _top(folder, git_dir)
    commit = _text(top, "rev-parse", "--verify", "--quiet", f"{ref}^{{commit}}" if ref else "HEAD")
    if ref and commit is None:
        raise PackagerError(
            f"ref: {top} has no commit {ref!r}", hint="git fetch gets what others have committed"
        )
    entries = list(_configuration(top))
    private = Path(tempfile.mkdtemp(prefix="git-", dir=scratch))
    _fill(private, git_dir, common, commit=commit, settings=_settings(entries, top))
    return Repository(
        top=top,
        private=private,
        commit=commit,
        branch=None if ref else _text(top, "symbolic-ref", "--quiet", "--short", "HEAD"),
        unused_filters=_unused_filters(entries),
        is_partial=any(key.endswith((".promisor", ".partialclone")) for _, key, _ in entries),
    )


def _asked(folder: Path, question: str) -> str:
    return git_cli.line(git_cli.run(folder, "rev-parse", question, variables={}))


def _text(folder: Path, *arguments: str) -> str | None:
    try:
        return git_cli.line(git_cli.run(folder, *arguments, variables={}))
    except PackagerError:
        return None


def _top(folder: Path, git_dir: Path) -> Path:
    """The parent whose `.git` this is, and not the folder that core.worktree names."""
    physical = folder.resolve()
    parents = [] if physical.is_relative_to(git_dir) else [physical, *physical.parents]
    top = next((parent for parent in parents if _has(parent / ".git", git_dir)), None)
    if top is None:
        raise git_cli.no_repository(folder)
    return next((parent for parent in (folder, *folder.parents) if parent.resolve() == top), top)


def _has(mark: Path, git_dir: Path) -> bool:
    return mark.is_file() or (mark.is_dir() and mark.samefile(git_dir))


def _configuration(top: Path) -> Iterator[tuple[str, str, str | None]]:
    """Yield all settings, later ones over earlier ones: the scope, the key and the value.

    A key without a value means true.
    """
    output = git_cli.run(top, "config", "--list", "--show-scope", "-z", variables={})
    fields = [os.fsdecode(field) for field in output.split(b"\0")]
    for scope, entry in zip(fields[::2], fields[1::2], strict=False):
        key, separator, value = entry.partition("\n")
        yield scope, key, value if separator else None


def _settings(entries: list[tuple[str, str, str | None]], top: Path) -> dict[str, str | None]:
    """The settings of the private git folder.

    The user's filters are among them, because a condition for the repository's folder may include them.
    """
    settings = {
        key: value
        for scope, key, value in entries
        if key in _KEPT or (scope in _USERS and _FILTER.fullmatch(key))
    }
    return {
        key: value
        for key, value in settings.items()
        if key not in _FILES or (top / os.path.expanduser(value or "")).is_file()  # noqa: PTH111 - an unknown ~user is no error
    }


def _unused_filters(entries: list[tuple[str, str, str | None]]) -> tuple[str, ...]:
    """The names of filters that the repository defines differently from the user."""
    values: dict[str, dict[str, str | None]] = {"user": {}, "repository": {}}
    for scope, key, value in entries:
        if _FILTER.fullmatch(key) and scope != "command":
            values["user" if scope in _USERS else "repository"][key] = value
    users = values["user"]
    differing = [key for key, value in values["repository"].items() if (key, value) not in users.items()]
    return tuple(dict.fromkeys(key.split(".", 1)[1].rpartition(".")[0] for key in differing))


def _fill(
    private: Path, git_dir: Path, common: Path, *, commit: str | None, settings: Mapping[str, str | None]
) -> None:
    """Write a git folder with the objects and the index of another one, by links."""
    (private / "refs").mkdir()
    (private / "info").mkdir()
    (private / "HEAD").write_text(f"{commit}\n" if commit else "ref: refs/heads/none\n", encoding="ascii")
    (private / "config").write_bytes(os.fsencode("".join(_as_text(*item) for item in settings.items())))
    targets = {
        "index": git_dir / "index",
        "info/sparse-checkout": git_dir / "info/sparse-checkout",
        **{path.name: path for path in git_dir.glob("sharedindex.*")},
        **{name: common / name for name in ("objects", "lfs", "shallow", "info/exclude", "info/attributes")},
    }
    for name, target in targets.items():
        if target.is_file() or target.is_dir():
            (private / name).symlink_to(target.resolve())


def _as_text(key: str, value: str | None) -> str:
    """A setting in the format of a git configuration file."""
    section, _, rest = key.partition(".")
    subsection, _, name = rest.rpartition(".")
    header = f"{section} {_quoted(subsection)}" if subsection else section
    return f"[{header}]\n{name}\n" if value is None else f"[{header}]\n{name} = {_quoted(value)}\n"


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'
