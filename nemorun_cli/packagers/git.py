"""Ships a git repository, by default that of the spec's folder: the commit, and changed and new files.

The schema that `exp init` writes for editors is not shipped: no task reads it.
"""

from __future__ import annotations

import os
import shlex
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Final

from nemorun_cli.model import globs
from nemorun_cli.packagers.content import Content, Entry, PackagerError, checked, entry_of, listed, shown
from nemorun_cli.packagers.git_lfs import is_pointer
from nemorun_cli.packagers.git_repository import GITLINK, Repository, find
from nemorun_cli.packagers.git_submodules import Submodules
from nemorun_cli.system.user import expanded

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

SHORT: Final = 12  # digits of a commit in messages
FOR_EDITORS: Final = "**/.exp.schema.json"
NAMED: Final = 100  # changed and new files that are recorded by name
_DIFF: Final = (
    *("diff", "--binary", "--no-ext-diff", "--no-textconv", "--no-renames"),
    # With more than this, git starts a git in each submodule, which reads the submodule's configuration.
    *("--submodule=short", "--ignore-submodules=dirty"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Tree:
    """A working tree, or a commit's files in a folder of their own.

    `lead` is its prefix in the outer repository: empty, or the path of a submodule and a `/`.
    """

    repository: Repository
    files: Path
    lead: str = ""


class GitPackager:
    """Ships the working tree (tracked and new files), or only the commit."""

    options_schema: ClassVar[Mapping[str, Any]] = {
        "type": "object",
        "additionalProperties": False,
        "properties": {
            "dirty": {
                "description": "How to treat uncommitted changes and new files.",
                "enum": ["include", "refuse", "ignore"],
                "default": "include",
            },
            "submodules": {
                "description": "Whether submodules are shipped, too.",
                "title": "true or false",
                "type": "boolean",
                "default": True,
            },
            "lfs": {
                "description": "How to treat Git LFS pointers whose files are missing.",
                "enum": ["files", "pointers"],
                "default": "files",
            },
            "ref": {
                "description": "The commit, branch or tag that is shipped instead of the working tree.",
                "title": "a commit, branch or tag",
                "type": "string",
                "pattern": r"^[^-\s\x00-\x1f\x7f][^\s\x00-\x1f\x7f]*$",
            },
            "root": {
                "description": "A folder of another repository, relative to the spec's folder.",
                "title": "a path",
                "type": "string",
                "minLength": 1,
                "default": ".",
            },
            "subpath": {
                "description": "A folder of the repository; only what is in it is shipped, as the root.",
                **globs.FOLDER,
            },
            "exclude": {
                "description": "Globs of what is not shipped, from the root of the content.",
                **globs.LIST,
            },
        },
    }

    def __init__(self, options: Mapping[str, Any]) -> None:
        self._options = options

    def look(self, folder: Path, *, scratch: Path) -> Content:
        """The files of the repository that contains the folder, or the one that `root` names.

        Raises:
            PackagerError: git, the repository or the commit is missing, or an option forbids shipping.
        """
        return _Collector(self._options, scratch).content(folder)


class _Collector:
    """Collects the files of a repository, and the paths that are left out."""

    def __init__(self, options: Mapping[str, Any], scratch: Path) -> None:
        self._ref: str = options.get("ref", "")
        self._root: str = options.get("root", "")
        if self._ref and options.get("dirty", "ignore") != "ignore":
            raise PackagerError(
                f"ref ships a commit, to which dirty: {options['dirty']} does not apply",
                hint="leave out dirty, or ref",
            )
        self._dirty: str = "ignore" if self._ref else options.get("dirty", "include")
        self._submodules: bool = options.get("submodules", True)
        self._pointers_allowed: bool = options.get("lfs") == "pointers"
        self._subpath = "/".join(globs.names(options.get("subpath", "")))
        self._globs: list[str] = [*options.get("exclude", []), FOR_EDITORS]
        self._exclude = [globs.compiled(pattern) for pattern in self._globs]
        self._scratch = scratch
        self._left_out: list[str] = []
        self._submodule_trees = Submodules(scratch)

    def content(self, folder: Path) -> Content:
        """The content for a spec in this folder."""
        repository = find(self._start(folder), self._scratch, ref=self._ref)
        top, commit = repository.top, repository.commit
        changed, new = self._changes(repository)
        self._check(repository, [*changed, *new])
        if self._dirty == "ignore" and commit:
            tree = _checked_out(repository, commit, self._scratch)
            self._left_out += [f"{path} (changed since the commit)" for path in changed]
            self._left_out += [f"{path} (not committed)" for path in new]
        else:
            tree = _Tree(repository=repository, files=top)
        entries = list(self._entries(tree))
        if not entries:
            where = f" at {self._ref}" if self._ref else ""
            hint = "is subpath right?" if self._ref else "is it all ignored?"
            raise PackagerError(f"git has no files in {top / self._subpath}{where}", hint=hint)
        self._check_pointers(entries)
        self._left_out += self._ignored(repository)
        facts = {
            **({"repository": shown(str(top))} if self._root else {}),
            **({"ref": self._ref} if self._ref else {}),
            "commit": commit,
            "branch": repository.branch,
            "changed": len(changed),
            "new": len(new),
            "changes": [shown(path) for path in [*changed, *new][:NAMED]],
        }
        return Content(
            entries=checked(entries, what=f"git in {top}"),
            root=top / self._subpath,
            place=_place(folder, top, self._subpath),
            facts=facts,
            summary=self._description(commit, changed, new),
            left_out=tuple(map(shown, self._left_out)),
            diff=self._diff(repository, commit) if commit and changed and self._dirty != "ignore" else b"",
        )

    def _start(self, folder: Path) -> Path:
        """The folder whose repository is shipped."""
        start = Path(os.path.normpath(folder / expanded(self._root)))
        if not start.is_dir():
            raise PackagerError(f"root: there is no folder {start}")
        return start

    def _changes(self, repository: Repository) -> tuple[list[str], list[str]]:
        """The changed paths since the commit, and the untracked paths; a `ref` has none."""
        if self._ref:
            return [], []
        records = repository.lines(
            *("status", "--porcelain=v1", "-z", "--no-renames"),
            *("--untracked-files=all", "--ignore-submodules=dirty", *self._pathspec()),
        )
        states = [(record[:2], record[3:]) for record in records]
        states += [(" M", path) for path in self._submodule_trees.changed(repository, *self._pathspec())]
        states = [(state, path) for state, path in states if not self._is_excluded(self._below(path) or "")]
        new = [path for state, path in states if state == "??"]
        return list(dict.fromkeys(path for state, path in states if state != "??")), new

    def _check(self, repository: Repository, dirty: list[str]) -> None:
        top = repository.top
        if self._subpath and not self._ref and not (top / self._subpath).is_dir():
            raise PackagerError(f"subpath: there is no folder {top / self._subpath}")
        if repository.commit is None and self._dirty != "include":
            raise PackagerError(f"{top} has no commit yet", hint="commit, or use dirty: include")
        if dirty and self._dirty == "refuse":
            hint = "commit or stash them, or use dirty: include (ship them) or ignore (ship the commit)"
            if repository.unused_filters:
                unused = listed(repository.unused_filters)
                hint += (
                    f"; filters in the repository's configuration are not run: {unused}; move them to yours"
                )
            raise PackagerError(
                f"{top} has changes that are not committed: {listed(dirty)}",
                hint=hint,
            )

    def _check_pointers(self, entries: list[Entry]) -> None:
        if self._pointers_allowed:
            return
        pointers = [entry.path for entry in entries if is_pointer(entry)]
        if pointers:
            raise PackagerError(
                f"Git LFS pointers would be shipped in place of their files: {listed(pointers)}",
                hint="git lfs install and git lfs pull fetch the files; lfs: pointers ships the pointers",
            )

    def _entries(self, tree: _Tree) -> Iterator[Entry]:
        """The files of a tree and of its submodules, with their paths in the content."""
        within = [] if tree.lead else self._pathspec()
        for record in tree.repository.lines("ls-files", "-z", "--stage", *within):
            state, _, path = record.partition("\t")
            mode, commit, _ = state.split(" ")
            if mode == GITLINK:
                yield from self._submodule(tree, path, commit)
            elif (entry := self._entry(tree, path)) is not None:
                yield entry
        if tree.repository.index is None:
            for path in tree.repository.lines("ls-files", "-z", "--others", "--exclude-standard", *within):
                if path.endswith("/"):
                    self._left_out.append(f"{tree.lead}{path} (a repository of its own)")
                elif (entry := self._entry(tree, path)) is not None:
                    yield entry

    def _entry(self, tree: _Tree, path: str) -> Entry | None:
        below = self._below(tree.lead + path)
        if below is None:
            return None
        if self._is_excluded(below):
            self._left_out.append(f"{below} (excluded)")
            return None
        source = tree.files / path
        return (
            None
            if self._submodule_trees.is_behind_link(source.parent, tree.files)
            else entry_of(source, below)
        )

    def _submodule(self, tree: _Tree, path: str, commit: str) -> Iterator[Entry]:
        """The files of a submodule: its working tree or its pinned commit."""
        lead = f"{tree.lead}{path}"
        if not self._submodules or self._is_excluded(self._below(lead) or ""):
            reason = "a submodule" if not self._submodules else "excluded"
            self._left_out.append(f"{lead} ({reason})")
            return
        top = tree.repository.top
        inner = self._submodule_trees.at(top, path)
        if inner is None:
            raise PackagerError(
                f"the submodule {lead} is not checked out",
                hint=f"{_submodule_command(top, '--init', path)}, or submodules: false",
            )
        inner_tree = _Tree(repository=inner, files=inner.top)
        if tree.repository.index is not None:
            if inner.text("cat-file", "-e", f"{commit}^{{commit}}") is None:
                raise PackagerError(
                    f"the submodule {lead} does not have the commit {commit[:SHORT]}",
                    hint=_submodule_command(top, path),
                )
            inner_tree = _checked_out(inner, commit, self._scratch)
        yield from self._entries(replace(inner_tree, lead=f"{lead}/"))

    def _pathspec(self) -> list[str]:
        return ["--", f":(top,literal){self._subpath}"] if self._subpath else []

    def _below(self, path: str) -> str | None:
        """A repository path as a path of the content; None if it is outside of the subpath."""
        if not self._subpath:
            return path
        if path == self._subpath:
            return ""
        return path.removeprefix(f"{self._subpath}/") if path.startswith(f"{self._subpath}/") else None

    def _is_excluded(self, path: str) -> bool:
        return any(pattern.fullmatch(path) for pattern in self._exclude)

    def _ignored(self, repository: Repository) -> list[str]:
        if self._ref:
            return []
        paths = repository.lines(
            *("ls-files", "-z", "--others", "--ignored", "--exclude-standard", "--directory"),
            *self._pathspec(),
        )
        return [f"{path} (ignored)" for path in paths]

    def _diff(self, repository: Repository, commit: str) -> bytes:
        lead = f"{self._subpath}/" if self._subpath else ""
        excluded = [f":(top,exclude,glob){lead}{'/'.join(globs.names(pattern))}" for pattern in self._globs]
        pathspec = [*(self._pathspec() or ["--", ":(top)"]), *excluded]
        return repository.ask(*_DIFF, commit, *pathspec) + b"".join(
            self._submodule_diffs(repository, commit, "", *self._pathspec())
        )

    def _submodule_diffs(
        self, repository: Repository, commit: str, lead: str, *pathspec: str
    ) -> Iterator[bytes]:
        """Yield the changes in each submodule since the commit that the outer repository pins."""
        for path in repository.gitlinks(*pathspec):
            inner = self._submodule_trees.at(repository.top, path)
            prefix = f"{lead}{path}/"
            if inner is None or inner.commit is None or self._is_excluded(self._below(prefix[:-1]) or ""):
                continue
            pinned = repository.text("rev-parse", "--verify", "--quiet", f"{commit}:{path}")
            is_known = pinned and inner.text("cat-file", "-e", f"{pinned}^{{commit}}") is not None
            start = pinned if pinned and is_known else inner.commit
            changed = inner.lines("diff", "--name-only", "-z", "--ignore-submodules=dirty", start, "--")
            kept = [name for name in changed if not self._is_excluded(self._below(prefix + name) or "")]
            excluded = [f":(top,exclude,literal){name}" for name in changed if name not in kept]
            if kept:
                prefixes = (f"--src-prefix=a/{prefix}", f"--dst-prefix=b/{prefix}")
                yield inner.ask(*_DIFF, *prefixes, start, "--", ":(top)", *excluded)
            yield from self._submodule_diffs(inner, start, prefix)

    def _description(self, commit: str | None, changed: list[str], new: list[str]) -> str:
        base = f"commit {commit[:SHORT]}" if commit else "no commit yet"
        if self._ref and commit and not commit.startswith(self._ref):
            base = f"{base} ({shown(self._ref)})"
        if self._dirty == "ignore":
            return base
        more = [f"{len(changed)} changed" if changed else "", f"{len(new)} new" if new else ""]
        return ", ".join([base, *(text for text in more if text)])


def _submodule_command(top: Path, *arguments: str) -> str:
    """A command for a person to type; the names are those of the repository."""
    return shlex.join(["git", "-C", str(top), "submodule", "update", *map(shown, arguments)])


def _place(folder: Path, top: Path, subpath: str) -> str | None:
    """The path of the spec's folder in the content; None if it is outside."""
    if not folder.resolve().is_relative_to(top.resolve()):
        return None
    inside = folder.resolve().relative_to(top.resolve())
    prefix = "" if inside == Path() else str(inside)
    if not subpath:
        return prefix or "."
    if prefix == subpath:
        return "."
    return prefix.removeprefix(f"{subpath}/") if prefix.startswith(f"{subpath}/") else None


def _checked_out(repository: Repository, commit: str, scratch: Path) -> _Tree:
    """Check out a commit into a new folder of `scratch`, with its own index next to that."""
    folder = Path(tempfile.mkdtemp(prefix="commit-", dir=scratch))
    files = folder / "files"
    files.mkdir()
    exported = replace(repository, index=folder / "index")
    exported.ask("read-tree", commit)
    exported.ask("checkout-index", "--all", "--force", f"--prefix={files}/")
    return _Tree(repository=exported, files=files)
