"""What a supervisor's process gets on its pipe: the experiment, its secrets, and a resume if it is one."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True, kw_only=True)
class ResumeRequest:
    """What a resume changes, as it was planned by the command that asked for it.

    Attributes:
        by: who asked, for the ledger.
        seen: when the experiment had been resumed last, as far as the command knew.
        below: the tasks to run again even if they succeeded, with their dependents.
        host_is_gone: whether attempts of the original host are lost.
        changes: by task, what a new revision of the spec changed.
        staged: the folder of that revision, ready to be installed; None if the spec is the same.
        revision: the fields of the event `resumed` about that revision.
    """

    by: str
    seen: str | None = None
    below: tuple[str, ...] = ()
    host_is_gone: bool = False
    changes: Mapping[str, str] = field(default_factory=dict)
    staged: Path | None = None
    revision: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Assignment:
    """One experiment to supervise.

    Attributes:
        directory: the experiment's folder.
        home: `$NEMORUN_HOME`.
        secrets: the values of its secrets, by name; they come this way and no other.
        sources: the variables that secrets come from, with their values: the process has them nowhere else.
        environ: the variables that its process was not started with because they might have been secrets.
        resume: None for an experiment that starts.
    """

    directory: Path
    home: Path
    secrets: Mapping[str, str] = field(default_factory=dict)
    sources: Mapping[str, str] = field(default_factory=dict)
    environ: Mapping[str, str] = field(default_factory=dict)
    resume: ResumeRequest | None = None

    def encode(self) -> bytes:
        """The JSON document that `decode` reads, on one line.

        Its newline is its end: a process that was forked meanwhile may keep the pipe open.
        """
        return json.dumps(asdict(self), default=str).encode() + b"\n"

    @classmethod
    def decode(cls, data: bytes) -> Self:
        """The assignment of a document."""
        values = json.loads(data)
        resume = values["resume"]
        if resume is not None:
            staged = resume["staged"]
            resume = ResumeRequest(
                **{**resume, "below": tuple(resume["below"]), "staged": staged and Path(staged)}
            )
        return cls(
            directory=Path(values["directory"]),
            home=Path(values["home"]),
            secrets=values["secrets"],
            sources=values["sources"],
            environ=values["environ"],
            resume=resume,
        )
