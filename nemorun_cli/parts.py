"""The values that a `Builder` takes: tasks and executors, with the same options as in a spec."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, TypeAlias, TypedDict

from nemorun_cli import arguments
from nemorun_cli.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


class CacheKeys(TypedDict, total=False):
    """The key `cache` of a task: what its result depends on in addition to other keys, and what it writes."""

    inputs: Sequence[str]
    outputs: Sequence[str]
    also: Sequence[Any]
    env: Sequence[str]


@dataclass(frozen=True, slots=True)
class Script:
    """A script: the path of a file, or its text as `inline`; run by `entrypoint`, by default bash.

    Without an entrypoint, the first command that fails ends an inline text (`bash -e -o pipefail`).
    """

    path: str | os.PathLike[str] | None = None
    inline: str | None = field(default=None, kw_only=True)
    args: Sequence[Any] = field(default=(), kw_only=True)
    env: Mapping[str, Any] = field(default_factory=dict, kw_only=True)
    entrypoint: str | Sequence[str] | None = field(default=None, kw_only=True)

    def entry(self, place: str = "args") -> dict[str, Any]:  # noqa: ARG002 - as a Partial has it
        """The task in the form of a spec."""
        if (self.path is None) == (self.inline is None):
            raise UsageError("a Script needs either a path or an inline text")
        source = {"inline": self.inline} if self.path is None else {"script": os.fspath(self.path)}
        return {**source, **given(args=list(self.args), env=dict(self.env), entrypoint=self.entrypoint)}

    def name(self) -> str:
        """The task's default name."""
        return "script" if self.path is None else Path(self.path).name


@dataclass(frozen=True, slots=True)
class Command:
    """A program with its arguments: a list, or a text that is split like a shell command; no shell runs."""

    command: str | Sequence[Any]
    env: Mapping[str, Any] = field(default_factory=dict, kw_only=True)

    def entry(self, place: str = "args") -> dict[str, Any]:  # noqa: ARG002 - as a Partial has it
        """The task in the form of a spec."""
        command = self.command if isinstance(self.command, str) else list(self.command)
        return {"command": command, **given(env=dict(self.env))}

    def name(self) -> str:
        """The task's default name."""
        words = (
            self.command.split() if isinstance(self.command, str) else [str(word) for word in self.command]
        )
        return Path(words[0]).name if words else "command"


class Config(arguments.Call):
    """An argument that the task builds before the call: a class or function, and its arguments."""


class Partial(arguments.Call):
    """A Python callable, or its name as `module:function`, with its arguments.

    The task imports it in its own process: it must be at the top level of a module that is next to the
    program or installed where the task runs. As an argument of another one it is not called, but passed on.
    """

    is_passed_on = True

    def entry(self, place: str = "args") -> dict[str, Any]:
        """The task in the form of a spec; `place` is that of its arguments, for errors."""
        return {"partial": self.target, **given(args=arguments.mapping(self.positional, self.args, place))}

    def name(self) -> str:
        """The task's default name."""
        return self.target.rpartition(":")[2]


Task: TypeAlias = "Script | Command | Partial"


class Executor:
    """Where tasks run: a type and its options, named as in a spec; `name` is the name that is shown."""

    __slots__ = ("name", "options")

    name: str | None
    options: Mapping[str, Any]

    def __init__(self, kind: str, /, *, name: str | None = None, **options: Any) -> None:
        object.__setattr__(self, "name", name)
        object.__setattr__(self, "options", MappingProxyType({"type": kind, **options}))

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"{type(self).__name__} cannot be changed")

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Executor):
            return NotImplemented
        return (self.name, self.options) == (other.name, other.options)

    __hash__ = None  # type: ignore[assignment]  # options hold lists

    def __reduce__(self) -> tuple[Any, ...]:
        return _copied, (type(self), self.name, dict(self.options))

    def __repr__(self) -> str:
        return f"Executor({', '.join(f'{name}={value!r}' for name, value in self.options.items())})"


def _copied(kind: type[Executor], name: str | None, options: dict[str, Any]) -> Executor:
    """The copy of an executor."""
    made = object.__new__(kind)
    Executor.__init__(made, options.pop("type"), name=name, **options)
    return made


class LocalExecutor(Executor):
    """The local machine."""

    __slots__ = ()

    def __init__(self, *, name: str | None = None, **options: Any) -> None:
        super().__init__("local", name=name, **options)


class DockerExecutor(Executor):
    """A new Docker container for each attempt; a missing `image` is a problem of the spec, as in YAML."""

    __slots__ = ()

    def __init__(self, *, image: str | None = None, name: str | None = None, **options: Any) -> None:
        super().__init__("docker", name=name, **given(image=image), **options)


class SlurmExecutor(Executor):
    """A Slurm cluster; the options are those of sbatch, with underscores."""

    __slots__ = ()

    def __init__(self, *, name: str | None = None, **options: Any) -> None:
        super().__init__("slurm", name=name, **options)


def plain(value: Any) -> Any:
    """A value of another key of a task in the form of a spec."""
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    return value


def given(**values: Any) -> dict[str, Any]:
    """The arguments that are neither None nor empty."""
    return {name: value for name, value in values.items() if value is not None and value not in ([], {}, ())}
