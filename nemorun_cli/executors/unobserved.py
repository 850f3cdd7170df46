"""Stands for an executor whose backend is not asked: the state of its tasks is unknown."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from nemorun_cli.executors import AttemptStatus, Capabilities, JobError
from nemorun_cli.storage.creation_mark import NOT_OBSERVED

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from nemorun_cli.executors import Answer, Diagnosis, Job, Key
    from nemorun_cli.model.plan import Plan
    from nemorun_cli.model.resources import Resources


class UnobservedExecutor:
    """Reports each attempt as unknown; it starts and cancels nothing, and connects to nothing."""

    options_schema: ClassVar[Mapping[str, Any]] = {}

    def __init__(
        self,
        name: str = "",
        options: Mapping[str, Any] | None = None,
        secrets: Mapping[str, str] | None = None,
    ) -> None:
        del name, options, secrets

    @classmethod
    def capabilities(cls, options: Mapping[str, Any]) -> Capabilities:
        """Nothing special."""
        del options
        return Capabilities()

    def plan(self, plan: Plan) -> Plan:
        """The plan, unchanged."""
        return plan

    def submit(self, jobs: Sequence[Job]) -> Iterable[Answer]:
        """An error for each attempt."""
        return [JobError(key=job.key, message=NOT_OBSERVED) for job in jobs]

    def poll(self, jobs: Mapping[Key, Job]) -> Iterable[Answer]:
        """That nothing is known."""
        return [
            AttemptStatus(key=key, state="unknown", message=NOT_OBSERVED, evidence="the ledger")
            for key in jobs
        ]

    def cancel(self, jobs: Sequence[Job], *, signal: str | None, grace: float | None) -> Iterable[JobError]:
        """An error for each attempt."""
        del signal, grace
        return self.submit(jobs)  # type: ignore[return-value]  # errors only

    def wakeup(self) -> None:
        """None: nothing changes."""

    def due(self) -> None:
        """None: nothing changes."""

    def check(self) -> Iterable[Diagnosis]:
        """Nothing to check."""
        return ()

    def machine(self, *, with_gpus: bool) -> None:
        """None: tasks use no resources of this machine."""
        del with_gpus

    def why_unsatisfiable(self, wanted: Resources, *, ask: bool) -> None:
        """None: nothing is known."""
        del wanted, ask

    def close(self) -> None:
        """Nothing to release."""
