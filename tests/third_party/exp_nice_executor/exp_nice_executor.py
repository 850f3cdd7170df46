"""An executor that runs tasks on this machine under `nice`; all but `plan` and `check` is the local one's."""

from __future__ import annotations

import os
import shutil
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar

from nemorun_cli import executors
from nemorun_cli.executors import Answer, Capabilities, Diagnosis, Job, JobError, Key

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from nemorun_cli.model.capacity import Machine
    from nemorun_cli.model.plan import Plan
    from nemorun_cli.model.resources import Resources

DEFAULT_NICENESS = 10


class NiceExecutor:
    """Runs tasks here with a lower priority, by default 10 steps lower."""

    options_schema: ClassVar[Mapping[str, Any]] = {
        "type": "object",
        "additionalProperties": False,
        "properties": {
            "niceness": {
                "description": "How far the priority is lowered, from 0 to 19.",
                "type": "integer",
                "minimum": 0,
                "maximum": 19,
                "default": DEFAULT_NICENESS,
            },
        },
    }

    def __init__(self, name: str, options: Mapping[str, Any], secrets: Mapping[str, str]) -> None:
        self._niceness = options.get("niceness", DEFAULT_NICENESS)
        self._local = executors.make(name, {"type": "local"}, secrets)

    @classmethod
    def capabilities(cls, options: Mapping[str, Any]) -> Capabilities:
        """Those of the local executor, whatever the options."""
        del options
        return executors.capabilities("local", {"type": "local"})

    def plan(self, plan: Plan) -> Plan:
        """The plan with `nice` before its command; nothing is touched, for the dry run asks too."""
        argv = ("nice", "-n", str(self._niceness), *plan.argv)
        return self._local.plan(replace(plan, argv=argv, details={"niceness": self._niceness}))

    def submit(self, jobs: Sequence[Job]) -> Iterable[Answer]:
        """Start attempts."""
        return self._local.submit(jobs)

    def poll(self, jobs: Mapping[Key, Job]) -> Iterable[Answer]:
        """Their status changes."""
        return self._local.poll(jobs)

    def cancel(self, jobs: Sequence[Job], *, signal: str | None, grace: float | None) -> Iterable[JobError]:
        """Begin to terminate them."""
        return self._local.cancel(jobs, signal=signal, grace=grace)

    def wakeup(self) -> int | None:
        """What becomes readable when there is something to report."""
        return self._local.wakeup()

    def due(self) -> float | None:
        """When to poll without a wakeup."""
        return self._local.due()

    def check(self) -> Iterable[Diagnosis]:
        """This machine can do it if it has `nice`."""
        path = shutil.which("nice")
        yield Diagnosis(
            engine="nice",
            is_ok=path is not None,
            message=f"{path}, from niceness {os.nice(0)}" if path else "there is no program nice",
            remedy=None if path else "install coreutils",
        )

    def machine(self, *, with_gpus: bool) -> Machine | None:
        """Its tasks share this machine with those of the local one."""
        return self._local.machine(with_gpus=with_gpus)

    def why_unsatisfiable(self, wanted: Resources, *, ask: bool) -> str | None:
        """The answer of the local one."""
        return self._local.why_unsatisfiable(wanted, ask=ask)

    def close(self) -> None:
        """Release everything."""
        self._local.close()
