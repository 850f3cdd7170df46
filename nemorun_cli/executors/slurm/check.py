"""Whether a Slurm cluster would run what an executor's options ask for, and what is to be done if not."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from nemorun_cli.executors import Diagnosis
from nemorun_cli.executors.slurm.commands import CommandResult
from nemorun_cli.executors.slurm.sbatch_options import sbatch_flags

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from nemorun_cli.executors.slurm.commands import SlurmCommands
    from nemorun_cli.model.resources import Resources

PATIENCE: Final = 15.0  # seconds for each question
ENGINE: Final = "slurm"
_NO_NODE: Final = "node configuration is not available"
_TOO_MUCH: Final = re.compile(
    rf"{_NO_NODE}|memory specification|more processors|cpu count|invalid generic resource|gres", re.IGNORECASE
)
_AT_WORK: Final = re.compile(r"(IDLE|MIXED|ALLOCATED)(\+(COMPLETING|PLANNED|CLOUD|RESERVED|POWER\w+))*")


def diagnose(options: Mapping[str, Any], commands: SlurmCommands) -> Iterator[Diagnosis]:
    """What is well and what is not, from the ground up; what rests on a fault is not asked any more."""
    found = _controller(_ask(commands, ["scontrol", "ping"]))
    yield found
    if not found.is_ok:
        return
    found = _questions(_ask(commands, ["squeue", "--noheader", "--me"]))
    yield found
    if not found.is_ok:
        return
    for name in _partitions(options):
        found = _partition(name, _ask(commands, ["scontrol", "show", "partition", name]), commands)
        yield found
        if not found.is_ok:
            return
    trial = ["sbatch", "--test-only", *sbatch_flags(options), "--wrap=true"]
    answer, away = _ask(commands, trial), []
    if _NO_NODE in answer.complaint:
        away = _away(_ask(commands, ["scontrol", "show", "node", "--oneliner"]), _partitions(options))
        answer = _ask(commands, trial)  # a node may have come back between the two questions
    yield _request(answer, away)


def why_unsatisfiable(options: Mapping[str, Any], wanted: Resources, commands: SlurmCommands) -> str | None:
    """Why no node can ever give what is wanted, as Slurm says it; None if it can, or does not say."""
    trial = ["sbatch", "--test-only", *sbatch_flags(options, wanted), "--wrap=true"]
    if not _is_too_much(_ask(commands, trial)):
        return None
    if not _ask(commands, ["sbatch", "--test-only", *sbatch_flags(options), "--wrap=true"]).is_good:
        return None  # these options alone are the trouble, which is told as theirs
    nodes = _ask(commands, ["scontrol", "show", "node", "--oneliner"])
    answer = _ask(commands, trial)  # a node may have come back between the questions
    if not _is_too_much(answer) or (_NO_NODE in answer.complaint and _away(nodes, _partitions(options))):
        return None
    said = answer.complaint.replace("\n", "; ")
    return f"Slurm would not take a job that asks for {wanted}: {said}"


def _is_too_much(answer: CommandResult) -> bool:
    return not answer.is_good and _TOO_MUCH.search(answer.complaint) is not None


def _ask(commands: SlurmCommands, argv: Sequence[str]) -> CommandResult:
    answer = commands.ask(argv).wait(PATIENCE)
    return answer or CommandResult(code=None, complaint=f"{argv[0]} did not answer within {PATIENCE:g} s")


def _controller(answer: CommandResult) -> Diagnosis:
    if "there is no scontrol" in answer.complaint:
        return _ill(answer.complaint, "install Slurm's client commands, or log in where they are")
    if found := _munge(answer):  # without it the controller seems to be down
        return found
    if up := re.search(r".*\bis UP\b.*", answer.output):  # it, or one that took its place
        return _well(up[0].strip())
    said = (answer.output.strip() or answer.complaint).partition("\n")[0]
    return _ill(
        f"its controller does not answer: {said}",
        "see on its host whether slurmctld runs; tasks are UNKNOWN meanwhile, and go on",
    )


def _questions(answer: CommandResult) -> Diagnosis:
    if answer.is_good:
        return _well("squeue answers")
    return _munge(answer) or _ill(f"squeue does not answer: {answer.complaint}", "see slurmctld's log")


def _munge(answer: CommandResult) -> Diagnosis | None:
    if not re.search("munge|authentication", answer.complaint, re.IGNORECASE):
        return None
    told = re.search(r"Munge \w+ failed: .*", answer.complaint)
    said = told[0] if told else answer.complaint.partition("\n")[0]
    return _ill(f"munge does not work here: {said}", "start munged, and try: munge -n | unmunge")


def _partition(name: str, answer: CommandResult, commands: SlurmCommands) -> Diagnosis:
    if not answer.is_good:
        known = _ask(commands, ["sinfo", "--noheader", "--format=%R"]).output.split()
        return _ill(
            f"there is no partition {name!r}", f"write one of: {', '.join(dict.fromkeys(known)) or 'none'}"
        )
    state = re.search(r"\bState=(\w+)", answer.output)
    if state and state[1] == "INACTIVE":
        return _ill(f"partition {name!r} is INACTIVE and takes no jobs", "choose another one; see: sinfo")
    if state and state[1] != "UP":
        return _well(f"partition {name!r} is {state[1]}: jobs wait there until it is UP")
    return _well(f"partition {name!r} is UP")


def _away(answer: CommandResult, partitions: Sequence[str]) -> list[str]:
    """The nodes that run no jobs now, but may again: a request that wants them only has to wait."""
    away = []
    for line in answer.output.splitlines():
        node = dict(re.findall(r"(?:^|\s)(\w+)=(\S*)", line))
        state = node.get("State", "")
        has_reported = node.get("BootTime") != "None"  # to the controller that runs now
        is_at_work = _AT_WORK.fullmatch(state) and (has_reported or "POWER" in state)
        is_meant = not partitions or set(partitions) & set(node.get("Partitions", "").split(","))
        if is_meant and not is_at_work:
            away.append(f"{node.get('NodeName')}: {state if has_reported else 'not yet heard of'}")
    return away


def _request(answer: CommandResult, away: Sequence[str]) -> Diagnosis:
    said = (answer.complaint or answer.output.strip()).replace("\n", "; ")
    if answer.is_good:
        return _well(f"it would take a job of these options: {said}" if said else "it would take a job")
    if _NO_NODE in said and away:
        return _well(f"a job of these options may have to wait, for nodes are away ({', '.join(away[:5])})")
    return _ill(
        f"it would not take a job of these options: {said}", "mend the executor's options in the spec"
    )


def _partitions(options: Mapping[str, Any]) -> list[str]:
    wanted = options.get("partition", [])
    return wanted.split(",") if isinstance(wanted, str) else list(wanted)


def _well(message: str) -> Diagnosis:
    return Diagnosis(engine=ENGINE, is_ok=True, message=message)


def _ill(message: str, remedy: str) -> Diagnosis:
    return Diagnosis(engine=ENGINE, is_ok=False, message=message, remedy=remedy)
