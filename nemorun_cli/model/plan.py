"""The plan of an attempt: what exactly will run, computed without side effects."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final, Self

from nemorun_cli.model.resources import NOTHING

if TYPE_CHECKING:
    from collections.abc import Container

    from nemorun_cli.model.code_package import Package
    from nemorun_cli.model.resources import Resources
    from nemorun_cli.model.spec import Kind

PLAN_FORMAT: Final = "exp.attempt/1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """One attempt, ready for an executor. Times are in seconds.

    Attributes:
        kind: the kind of task, as in a spec: `script`, `inline`, `command` or `partial`.
        folder: the spec's folder, to which paths in an executor's options are relative.
        env: the variables from the spec and from `exp`, without inherited ones and without secrets.
        defaults: the names in `env` that `exp` sets only where the task inherits no value.
        secrets: the names of the secrets.
        script: a text to be written into the attempt's folder; `call` the same.
        records_failed_line: whether bash runs the text, ends it at a failed command, and records the line.
        partial: a call that can also be made without the command line, because the task has no launcher.
        python: the Python environment of the task, which `argv` starts it in; None if it has none.
        package: what was shipped for the task; the `workdir` is then in the experiment's copy of it.
        stderr_to_stdout: whether standard error goes into the same file as standard output.
        artifacts: globs of files in the `workdir` to be copied back from a remote host.
        company: the co-scheduled group (`together`) that the task is a member of, if any.
        peers: the names of the members of its group, by their ids, if these find each other.
        aliases: the names by which other members find it on a network of names; the first is no other task's.
        ends_company: the kinds of its end, `success` and `failure`, with which that group ends; None if the
            group has no leader.
        sampling: seconds between samples of what the task uses, for an executor whose jobs take them.
        details: data of the executor.
    """

    experiment: str
    task: str
    attempt: int
    executor: str
    kind: Kind
    argv: tuple[str, ...]
    workdir: str
    folder: str
    env: dict[str, str]
    defaults: tuple[str, ...] = ()
    env_inherit: str | tuple[str, ...] = "all"
    secrets: tuple[str, ...] = ()
    script: str | None = None
    records_failed_line: bool = False
    call: str | None = None
    partial: tuple[str, dict[str, Any]] | None = None
    python: dict[str, Any] | None = None
    package: Package | None = None
    stderr_to_stdout: bool = True
    artifacts: tuple[str, ...] = ()
    resources: Resources = NOTHING
    timeout: float | None = None
    stop_signal: str
    stop_grace: float
    company: str | None = None
    peers: dict[str, str] = field(default_factory=dict)
    aliases: tuple[str, ...] = ()
    ends_company: tuple[str, ...] | None = None
    sampling: float | None = None
    details: dict[str, Any] = field(default_factory=dict)

    def without_inherited(self, inherited: Container[str]) -> Self:
        """The plan without those defaults for which the task inherits a value."""
        given = [name for name in self.defaults if name in inherited]
        if not given:
            return self
        env = {name: value for name, value in self.env.items() if name not in given}
        return replace(self, env=env, defaults=tuple(name for name in self.defaults if name in env))

    def to_json(self) -> dict[str, Any]:
        """The content of `plan.json`; `script` and `call` have files of their own next to it."""
        return {
            "schema": PLAN_FORMAT,
            "experiment": self.experiment,
            "task": self.task,
            "attempt": self.attempt,
            "executor": self.executor,
            "kind": self.kind,
            "argv": self.argv,
            "workdir": self.workdir,
            "env": self.env,
            "env_inherit": self.env_inherit,
            "secrets": self.secrets,
            "package": self.package and self.package.hash,
            "python": self.python,
            "stderr_to_stdout": self.stderr_to_stdout,
            "artifacts": self.artifacts,
            "resources": self.resources.to_json(),
            "timeout": self.timeout,
            "stop_signal": self.stop_signal,
            "stop_grace": self.stop_grace,
            "details": self.details,
        }
