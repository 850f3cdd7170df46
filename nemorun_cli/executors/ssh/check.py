"""Checks whether hosts can run tasks, and whether any can provide what a task requests; suggests remedies."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from nemorun_cli.executors import Diagnosis
from nemorun_cli.executors.remote_hosts import reachability
from nemorun_cli.executors.ssh.placement import HostCapacity
from nemorun_cli.model.resources import cpus_text, gpus_text
from nemorun_cli.model.units import size_text

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from nemorun_cli.executors.ssh.ssh_host import HostOfExperiment
    from nemorun_cli.model.resources import Resources

ENGINE: Final = "ssh"
LIMIT: Final = 20.0  # seconds for each answer of a host
MOST_SKEW: Final = 5.0  # seconds by which the clock of a host may differ
TOOLS: Final = "bash flock grep nproc setsid sleep cut df"
TRY: Final = """\
for exp_tool in {tools}; do command -v "$exp_tool" >/dev/null 2>&1 || echo "lacks $exp_tool"; done
setsid --fork true 2>/dev/null || echo "lacks setsid --fork (util-linux 2.32)"
[ -r /proc/self/environ ] || echo "lacks /proc"
"""


def diagnose(hosts: Sequence[HostOfExperiment]) -> Iterator[Diagnosis]:
    """Check each host; a host that cannot be used stops no task as long as another one can."""
    by_host = [(host, list(_of(host))) for host in hosts]
    can_run = any(
        all(diagnosis.is_ok or not diagnosis.stops_tasks for diagnosis in found) for _, found in by_host
    )
    for _, found in by_host:
        for diagnosis in found:
            yield replace(diagnosis, engine=ENGINE, stops_tasks=diagnosis.stops_tasks and not can_run)


def _of(host: HostOfExperiment) -> Iterator[Diagnosis]:
    for diagnosis in reachability.diagnose(host.host.tunnel, host.connection):
        yield diagnosis
        if not diagnosis.is_ok:
            return
    tools = host.connection.send(TRY.format(tools=TOOLS), name="sh")
    asked = time.time()
    capacity = host.ask_capacity(with_gpus=True)
    answer = tools.wait(LIMIT)
    lacking = [line.removeprefix("lacks ") for line in answer.output.splitlines()] if answer else []
    if lacking:
        yield _failed(
            f"{host.name} has no {', '.join(lacking)}", f"install on that host: {', '.join(lacking)}"
        )
        return
    found = capacity.wait(LIMIT)
    reported = HostCapacity.of(found.output) if found is not None else None
    if reported is None:
        reason = found.complaint if found is not None else f"no answer within {LIMIT:g} s"
        yield _failed(f"{host.name} does not report its capacity: {reason}", f"try: ssh {host.name} nproc")
        return
    skew = reported.clock - (asked + time.time()) / 2
    if abs(skew) > MOST_SKEW:
        where = "ahead" if skew > 0 else "behind"
        message = f"the clock of {host.name} is {abs(skew):.0f} s {where}, and so are the times of its tasks"
        yield replace(_failed(message, "synchronize it, for instance with chrony"), stops_tasks=False)
    yield Diagnosis(engine=ENGINE, is_ok=True, message=f"{host.name} has {capacity_text(reported)}")


def capacity_text(capacity: HostCapacity) -> str:
    """`4 slots, 2 in use; 8 CPUs, 32G of memory and 2 GPUs, 1 free`."""
    gpus = f" and {gpus_text(capacity.gpus)}, {capacity.free_gpus} free" if capacity.gpus else ", no GPU"
    slots = f"{capacity.slots} slot{'s' * (capacity.slots != 1)}, {capacity.tasks} in use"
    return f"{slots}; {cpus_text(capacity.cpus)}, {size_text(capacity.memory)} of memory{gpus}"


def why_unsatisfiable(hosts: Sequence[HostOfExperiment], wanted: Resources) -> str | None:
    """Why no host can ever provide these resources; None if one can, or one does not answer."""
    requests = [(host, host.ask_capacity(with_gpus=bool(wanted.gpus))) for host in hosts]
    reasons = []
    for host, request in requests:
        answer = request.wait(LIMIT)
        capacity = HostCapacity.of(answer.output) if answer is not None else None
        if capacity is None or (reason := capacity.why_never(wanted)) is None:
            return None
        reasons.append(f"{host.name} has {reason}")
    return f"no host has {wanted}: {'; '.join(reasons)}"


def _failed(message: str, remedy: str) -> Diagnosis:
    return Diagnosis(engine=ENGINE, is_ok=False, message=message, remedy=remedy)
