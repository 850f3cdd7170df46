"""The key `cache` of a task, and the fingerprint by which its result is reused. Pure values."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, fields
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final, Self

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

FORMAT: Final = "exp.fingerprint/1"
ID_PATTERN: Final = r"^[0-9a-f]{32}(?![\s\S])"
MOST_FILES: Final = 64  # input files of a task that are a part each; more are a part for each pattern
MOST_TEXT: Final = 120  # characters of a value that a part holds as it is; a longer one is a digest
DIGEST: Final = "sha256:"  # begins the value of a part that is a digest
ABSENT: Final = "none"  # the value of a part for something that does not exist


class PartKind(StrEnum):
    """What the parts of a fingerprint are about, in their order. A part is `KIND` or `KIND:NAME`."""

    RUN = "run"  # what runs: its text or program, interpreter, launcher and working folder
    ARGS = "args"
    ARG = "arg"  # an argument of a partial, by its name
    PARAM = "param"  # a value of a matrix or a search, by its name
    INPUT = "input"  # a declared file, or a pattern with many files
    CODE = "code"  # what a packager shipped
    PARENT = "parent"  # the outputs and the fingerprint of a task that it depends on
    IMAGE = "image"
    EXECUTOR = "executor"  # the options of its executor that change what its tasks result in
    ENV = "env"  # a variable of the task or of `cache.env`
    PYTHON = "python"
    ALSO = "also"
    RESULTS = "results"  # what is kept of it: its outputs, artifacts and metrics, and when it is stopped


@dataclass(frozen=True, slots=True, kw_only=True)
class CacheRule:
    """What decides whether a task's result is reused, in addition to the other keys of the task.

    Attributes:
        inputs: patterns of the files that it reads, as in the spec; relative ones start at its folder.
        outputs: patterns of the files that it writes, below its folder.
        also: values that count as they are.
        env: names of inherited environment variables that count.
    """

    inputs: tuple[str, ...] = ()
    outputs: tuple[str, ...] = ()
    also: tuple[Any, ...] = ()
    env: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Its fields."""
        return asdict(self)

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Self:
        """A rule from its fields; unknown fields of a later version are ignored."""
        return cls(**{item.name: tuple(document.get(item.name, ())) for item in fields(cls)})


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """All that a task's result depends on: equal fingerprints promise equal results.

    Attributes:
        parts: for each part its digest, or its text if that is short.
    """

    parts: Mapping[str, str]

    @property
    def id(self) -> str:
        """Identifies the fingerprint: 32 hexadecimal digits, for any order of the parts."""
        import hashlib  # noqa: PLC0415 - it takes a millisecond, and few tasks have a fingerprint

        text = canonical([FORMAT, sorted(self.parts.items())])
        return hashlib.sha256(text.encode()).hexdigest()[:32]

    def changes(self, earlier: Fingerprint) -> tuple[str, ...]:
        """The names of the parts that differ from an earlier fingerprint, in their order."""
        names = {**self.parts, **earlier.parts}
        return tuple(
            name for name in sorted(names, key=_rank) if self.parts.get(name) != earlier.parts.get(name)
        )

    @classmethod
    def of(cls, parts: Mapping[str, str]) -> Self:
        """A fingerprint with its parts in their order."""
        return cls({name: parts[name] for name in sorted(parts, key=_rank)})


_RANKS: Final = {kind.value: rank for rank, kind in enumerate(PartKind)}


def _rank(name: str) -> tuple[int, str]:
    kind = name.partition(":")[0]
    return _RANKS.get(kind, len(_RANKS)), name


def part(kind: PartKind, name: str) -> str:
    """The name of a part: `input:data/x.csv`."""
    return f"{kind}:{name}"


def canonical(value: Any) -> str:
    """The one JSON text of a value: without spaces, keys in order, ASCII; types stay apart (1, 1.0, true)."""
    return json.dumps(_plain(value), sort_keys=True, separators=(",", ":"), ensure_ascii=True)


def _plain(value: Any) -> Any:
    """The value with texts as keys: JSON would make the key 1 of a mapping the key "1"."""
    if isinstance(value, dict):
        keys = all(isinstance(key, str) for key in value)
        return {key if keys else canonical(key): _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, list | tuple) else value


def digest(value: Any) -> str:
    """The digest of a value of JSON, as a part holds it."""
    import hashlib  # noqa: PLC0415 - see `Fingerprint.id`

    return DIGEST + hashlib.sha256(canonical(value).encode()).hexdigest()[:32]


def short(value: Any) -> str:
    """The canonical text of a value if it is short, else its digest; the two never look alike."""
    text = canonical(value)
    return text if len(text) <= MOST_TEXT else digest(value)


def files(parts: Mapping[str, str]) -> Iterator[str]:
    """The names of the declared files, or patterns, among the parts."""
    return (name.partition(":")[2] for name in parts if name.startswith(f"{PartKind.INPUT}:"))
