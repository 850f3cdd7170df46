"""Checks whether a Slurm cluster would run what an executor's options request, and suggests remedies."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from nemorun_cli.executors import Diagnosis
from nemorun_cli.executors.background_commands import CommandResult
from nemorun_cli.executors.slurm.sbatch_answer import refused, waiting
from nemorun_cli.executors.slurm.sbatch_options import sbatch_flags, seconds_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from nemorun_cli.executors.slurm.commands import SlurmCommands
    from nemorun_cli.model.resources import Resources

TIMEOUT: Final = 15.0  # seconds for each command
ENGINE: Final = "slurm"
_NO_NODE: Final = "node configuration is not available"
_TOO_MUCH: Final = re.compile(
    rf"{_NO_NODE}|memory specification|more processors|cpu count|invalid generic resource|gres", re.IGNORECASE
)
_AVAILABLE: Final = re.compile(r"(IDLE|MIXED|ALLOCATED)(\+(COMPLETING|PLANNED|CLOUD|RESERVED|POWER\w+))*")


def diagnose(options: Mapping[str, Any], commands: SlurmCommands) -> Iterator[Diagnosis]:
    """Check the controller, squeue, the partitions and a trial request; stops at the first failure."""
    diagnosis = _controller(_ask(commands, ["scontrol", "ping"]))
    yield diagnosis
    if not diagnosis.is_ok:
        return
    diagnosis = _queue(_ask(commands, ["squeue", "--noheader", "--me"]))
    yield diagnosis
    if not diagnosis.is_ok:
        return
    for name in _partitions(options):
        diagnosis = _partition(name, _ask(commands, ["scontrol", "show", "partition", name]), commands)
        yield diagnosis
        if not diagnosis.is_ok:
            return
    if "time" in options and "qos" not in options:  # a QOS may override the limit of a partition
        partitions = _ask(commands, ["scontrol", "show", "partition", "--oneliner"])
        if excess := _excess_time(options, partitions):
            yield excess
            return
    trial = ["sbatch", "--test-only", *sbatch_flags(options), "--wrap=true"]
    answer, unavailable = _ask(commands, trial), []
    if _NO_NODE in answer.complaint:
        nodes = _ask(commands, ["scontrol", "show", "node", "--oneliner"])
        unavailable = _unavailable(nodes, _partitions(options))
        answer = _ask(commands, trial)  # a node may have become available between the two commands
    yield _request(answer, unavailable)


def why_unsatisfiable(options: Mapping[str, Any], wanted: Resources, commands: SlurmCommands) -> str | None:
    """Why no node can ever provide these resources, as Slurm reports it; None if one can or it is unknown."""
    trial = ["sbatch", "--test-only", *sbatch_flags(options, wanted), "--wrap=true"]
    if not _is_too_much(_ask(commands, trial)):
        return None
    if not _ask(commands, ["sbatch", "--test-only", *sbatch_flags(options), "--wrap=true"]).is_good:
        return None  # the options alone are refused, which is reported as their own problem
    nodes = _ask(commands, ["scontrol", "show", "node", "--oneliner"])
    answer = _ask(commands, trial)  # a node may have become available between the commands
    if not _is_too_much(answer) or (
        _NO_NODE in answer.complaint and _unavailable(nodes, _partitions(options))
    ):
        return None
    reason = answer.complaint.replace("\n", "; ")
    return f"Slurm would not accept a job that requests {wanted}: {reason}"


def _is_too_much(answer: CommandResult) -> bool:
    return not answer.is_good and _TOO_MUCH.search(answer.complaint) is not None


def _ask(commands: SlurmCommands, argv: Sequence[str]) -> CommandResult:
    answer = commands.ask(argv).wait(TIMEOUT)
    return answer or CommandResult(code=None, complaint=f"{argv[0]} did not answer within {TIMEOUT:g} s")


def _controller(answer: CommandResult) -> Diagnosis:
    if "there is no scontrol" in answer.complaint:
        return _failed(answer.complaint, "install Slurm's client commands, or log in to a host that has them")
    if diagnosis := _munge(answer):  # without munge the controller seems to be down
        return diagnosis
    if up := re.search(
        r"^Slurmctld\(.*\bis UP\b.*", answer.output, re.MULTILINE
    ):  # the primary or a backup controller
        return _ok(up[0].strip())
    reason = (answer.output.strip() or answer.complaint).partition("\n")[0]
    return _failed(
        f"its controller does not answer: {reason}",
        "check on its host whether slurmctld runs; until then, tasks are UNKNOWN and continue",
    )


def _queue(answer: CommandResult) -> Diagnosis:
    if answer.is_good:
        return _ok("squeue answers")
    return _munge(answer) or _failed(f"squeue does not answer: {answer.complaint}", "see slurmctld's log")


def _munge(answer: CommandResult) -> Diagnosis | None:
    if not re.search("munge|authentication", answer.complaint, re.IGNORECASE):
        return None
    match = re.search(r"Munge \w+ failed: .*", answer.complaint)
    reason = match[0] if match else answer.complaint.partition("\n")[0]
    return _failed(f"munge does not work on this host: {reason}", "start munged, and try: munge -n | unmunge")


def _partition(name: str, answer: CommandResult, commands: SlurmCommands) -> Diagnosis:
    if not answer.is_good:
        lines = _ask(commands, ["sinfo", "--noheader", "--format=%R"]).output.splitlines()
        known = [line for line in lines if re.fullmatch(r"[^\s*]+", line)]  # others are a site's banner
        return _failed(
            f"there is no partition {name!r}", f"use one of: {', '.join(dict.fromkeys(known)) or 'none'}"
        )
    state = re.search(r"^\s+State=(\w+)", answer.output, re.MULTILINE)
    if state and state[1] == "INACTIVE":
        return _failed(
            f"partition {name!r} is INACTIVE and accepts no jobs", "choose another one; see: sinfo"
        )
    if state and state[1] != "UP":
        return _ok(f"partition {name!r} is {state[1]}: jobs wait in it until it is UP")
    return _ok(f"partition {name!r} is UP")


def _excess_time(options: Mapping[str, Any], answer: CommandResult) -> Diagnosis | None:
    """The problem of a `time` that no requested partition allows; such a job would wait forever."""
    wanted = seconds_of(options["time"])
    partitions = [dict(re.findall(r"(\w+)=(\S+)", line)) for line in answer.output.splitlines()]
    names = _partitions(options)
    limits = {
        partition["PartitionName"]: partition["MaxTime"]
        for partition in partitions
        if partition.get("PartitionName") in names or (not names and partition.get("Default") == "YES")
    }
    seconds = [seconds_of(limit) if limit[0].isdigit() else None for limit in limits.values()]
    if not seconds or any(limit is None or (wanted is not None and wanted <= limit) for limit in seconds):
        return None
    allowed = ", ".join(f"{name} allows {limit}" for name, limit in limits.items())
    return _failed(f"time {options['time']} is above the limit of the partition: {allowed}", "lower `time`")


def _unavailable(answer: CommandResult, partitions: Sequence[str]) -> list[str]:
    """The nodes that run no jobs at present, but may later: a request for them only has to wait."""
    unavailable = []
    for line in answer.output.splitlines():
        node = dict(re.findall(r"(?:^|\s)(\w+)=(\S*)", line))
        state = node.get("State", "")
        has_registered = node.get("BootTime") != "None"  # with the running controller
        is_available = _AVAILABLE.fullmatch(state) and (has_registered or "POWER" in state)
        is_requested = not partitions or set(partitions) & set(node.get("Partitions", "").split(","))
        if is_requested and not is_available:
            unavailable.append(f"{node.get('NodeName')}: {state if has_registered else 'not yet registered'}")
    return unavailable


def _request(answer: CommandResult, unavailable: Sequence[str]) -> Diagnosis:
    message = (answer.complaint or answer.output.strip()).replace("\n", "; ")
    if answer.is_good:
        accepted = "Slurm would accept a job with these options"
        return _ok(f"{accepted}: {message}" if message else accepted)
    if (refusal := refused(message)).kind == "limit":
        return _ok(f"a job with these options has to wait: {waiting(refusal)}")
    if _NO_NODE in message and unavailable:
        nodes = ", ".join(unavailable[:5])
        return _ok(f"a job with these options may have to wait, because nodes are unavailable ({nodes})")
    return _failed(
        f"Slurm would not accept a job with these options: {message}",
        "correct the executor's options in the spec",
    )


def _partitions(options: Mapping[str, Any]) -> list[str]:
    names = options.get("partition", [])
    return names.split(",") if isinstance(names, str) else list(names)


def _ok(message: str) -> Diagnosis:
    return Diagnosis(engine=ENGINE, is_ok=True, message=message)


def _failed(message: str, remedy: str) -> Diagnosis:
    return Diagnosis(engine=ENGINE, is_ok=False, message=message, remedy=remedy)
