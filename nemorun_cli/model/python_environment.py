"""A Python environment that `exp` makes for tasks: what it is made from, and where it is, as plain values."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, fields
from typing import TYPE_CHECKING, Any, Final, Literal, Self, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Mapping

Kind: TypeAlias = Literal["venv", "conda", "uv"]

KINDS: Final[tuple[Kind, ...]] = ("venv", "conda", "uv")
NONE: Final = "none"  # the value of `python` for the Python on the task's PATH
ID_PATTERN: Final = r"^[0-9a-f]{16}(?![\s\S])"
CHANGED: Final = "changed since the experiment was created"


@dataclass(frozen=True, slots=True, kw_only=True)
class PythonEnvironment:
    """An environment that is made once for each content, in the home.

    Attributes:
        id: identifies the content; the name of its folder.
        text: what it is made from, in a few words.
        requirements: the lines for the installer, with absolute paths of local files.
        constraints: the same for its constraints.
        files: the hashes of the local files and folders that they name, by path.
        interpreter: the path of the Python that it is based on.
        version: of that Python, such as 3.12.4.
        platform: for which it is made, such as linux-x86_64.
        folder: where the installer runs, which searches its configuration from there.
        host: on which it is made; None for this machine. Its Python and platform are then not known here.
    """

    id: str
    text: str
    requirements: tuple[str, ...]
    constraints: tuple[str, ...] = ()
    files: dict[str, str] = field(default_factory=dict)
    interpreter: str
    version: str
    platform: str
    folder: str
    host: str | None = None

    def to_json(self) -> dict[str, Any]:
        """The form that `from_json` reads back."""
        return asdict(self)

    @classmethod
    def from_json(cls, document: dict[str, Any]) -> Self:
        """An environment from the output of `to_json`; unknown fields of a later version are ignored."""
        known = {item.name for item in fields(cls)}
        values = {key: value for key, value in document.items() if key in known}
        for key in ("requirements", "constraints"):
            values[key] = tuple(values.get(key, ()))
        return cls(**values)


def key(python: Mapping[str, Any]) -> str:
    """What identifies a task's environment in events: the id of one that is made, or a hash of its path."""
    kind = kind_of(python)
    if kind == "uv":
        return str(python["environment"])
    import hashlib  # noqa: PLC0415 - it takes a millisecond, and few tasks have an environment

    return hashlib.sha256(f"{kind} {python[kind]}".encode(errors="surrogateescape")).hexdigest()[:16]


def text_of(python: Mapping[str, Any]) -> str:
    """What the environment of a task is called, as far as the task knows."""
    kind = kind_of(python)
    named = python.get("name") or python[kind]
    return f"{kind}: {', '.join(named) if isinstance(named, list | tuple) else named}"


def kind_of(python: Mapping[str, Any]) -> Kind:
    """The kind of environment that a task's `python` names."""
    return next(kind for kind in KINDS if kind in python)
