"""What exactly will run for one attempt at a task, decided without touching anything."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from nemorun_cli.model.resources import NOTHING

if TYPE_CHECKING:
    from nemorun_cli.model.code_package import Package
    from nemorun_cli.model.resources import Resources
    from nemorun_cli.model.spec import Kind

PLAN_FORMAT: Final = "exp.attempt/1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """One attempt, ready for an executor.

    `kind` is what the task is, in the words of a spec (`script`, `inline`, `command`, `partial`);
    `folder` is the spec's own, to which paths in an executor's options are relative. `env` is what
    the spec and `exp` give, without what is inherited and without secrets, of which only the names
    are here. `script` and `call` are texts to be written into the attempt's folder. `partial` is a call
    that can as well be made without the command line, for it has no launcher. `package` is what was
    shipped for the task, in whose copy its `workdir` then lies. `artifacts` are globs of files in the
    `workdir` that come back from another machine. `company` is the group whose members start
    together with it, if that is `together`. `details` is the executor's own. Times are in seconds.
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
    env_inherit: str | tuple[str, ...] = "all"
    secrets: tuple[str, ...] = ()
    script: str | None = None
    call: str | None = None
    partial: tuple[str, dict[str, Any]] | None = None
    package: Package | None = None
    artifacts: tuple[str, ...] = ()
    resources: Resources = NOTHING
    timeout: float | None = None
    stop_signal: str
    stop_grace: float
    company: str | None = None
    details: dict[str, Any] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """What `plan.json` holds; the texts lie beside it in files of their own."""
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
            "artifacts": self.artifacts,
            "resources": self.resources.to_json(),
            "timeout": self.timeout,
            "stop_signal": self.stop_signal,
            "stop_grace": self.stop_grace,
            "details": self.details,
        }
