"""The sbatch options of a spec: their schema, and their translation into flags. Pure."""

from __future__ import annotations

import math
import os
import re
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any, Final

from nemorun_cli.errors import EngineError
from nemorun_cli.executors.container_mounts import Mount, of_attempt, of_earlier
from nemorun_cli.executors.slurm import tunnel_options
from nemorun_cli.model import group_hosts
from nemorun_cli.model.attempt_end import short_signal
from nemorun_cli.model.resources import NOTHING
from nemorun_cli.storage.paths import ExperimentFiles

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from nemorun_cli.model.plan import Plan
    from nemorun_cli.model.resources import Resources

END_OF_FLAGS: Final = "--"  # of srun, where arguments are inserted after them
MINUTE: Final = 60
HOUR: Final = 3600
SIGNAL_SLACK: Final = 60  # seconds by which Slurm may send `--signal` too early
NOTICE: Final = "XCPU"  # the signal that announces the time limit to a job script; never sent to a task

MOST_EARLIER: Final = 100  # attempts whose folders are mounted: an argument has at most 128 KiB

MEGA: Final = 1024**2
LONGEST_NAME: Final = 200  # characters of a job's name; accounting stores 255

_OVERLAPPING: Final = {  # the options that request the same as a resource
    "cpus": ("cpus_per_task", "cpus_per_gpu"),
    "memory": ("mem", "mem_per_cpu", "mem_per_gpu"),
    "gpus": ("gpus", "gpus_per_node", "gpus_per_socket", "gpus_per_task"),
}

_TEXT: Final = {
    "title": "a text without line breaks",
    "type": "string",
    "pattern": r"^[^\n\r\x00]+(?![\s\S])",
}
_COUNT: Final = {"title": "a whole number, 0 or more", "type": "integer", "minimum": 0}
_NUMBER: Final = {"title": "a whole number", "type": "integer"}
_FLAG: Final = {"title": "true or false", "type": "boolean"}
_AMOUNT: Final = {"title": "a whole number, or a text such as 2-4, 16G or a100:2", "anyOf": [_COUNT, _TEXT]}
_CHOICE: Final = {"title": "true, or a text such as user", "anyOf": [_FLAG, _TEXT]}
_LIST: Final = {"title": "a text, or a list of texts", "anyOf": [_TEXT, {"type": "array", "items": _TEXT}]}
_TIME: Final = {
    "title": 'a time in quotes, such as "02:00:00" or "1-12:00:00"',
    "type": "string",
    "pattern": r"^([0-9]+(:[0-9]+){0,2}|[0-9]+-[0-9]+(:[0-9]+){0,2}|UNLIMITED|INFINITE)(?![\s\S])",
}
_SIGNAL: Final = {
    "title": "a signal and the seconds before the end, such as USR1@120",
    "type": "string",
    "pattern": r"^(SIG)?[A-Z][A-Z0-9]*(@[0-9]+)?(?![\s\S])",
}
_JOB_NAME: Final = {
    "title": "a text, in which {name}, {task} and {id} are replaced",
    "type": "string",
    "pattern": r"^([^{}\n\r\x00]|\{(name|task|id)\})+(?![\s\S])",
}
_LINES: Final = {
    "title": "lines of shell: a text, or a list of texts",
    "anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}],
}
_ARGUMENTS: Final = {
    "title": "a list of arguments",
    "type": "array",
    "items": {"title": "a text or a number", "type": ["string", "number"]},
}


def _fields(schema: Mapping[str, Any], names: str) -> dict[str, Mapping[str, Any]]:
    return {
        name: {"description": f"The option --{name.replace('_', '-')} of sbatch.", **schema}
        for name in names.split()
    }


# The long options in sbatch's manual, without those that `exp` sets itself (job-name, output, array, export,
# requeue, …) and those that change what sbatch does (test-only, wrap, …).
FIELDS: Final[Mapping[str, Any]] = {
    **_fields(
        _TEXT,
        "account acctg_freq batch bb bbf begin cluster_constraint comment cpu_freq deadline"
        " distribution extra_node_info gpu_bind gpu_freq gres_flags hint mail_user mcs_label mem_bind"
        " network nodefile power prefer profile propagate reservation switches tmp wckey",
    ),
    **_fields(_LIST, "constraint exclude gres licenses mail_type nodelist partition qos tres_per_task"),
    **_fields(
        _COUNT,
        "core_spec cores_per_socket cpus_per_gpu cpus_per_task delay_boot mincpus ntasks ntasks_per_core"
        " ntasks_per_gpu ntasks_per_node ntasks_per_socket segment sockets_per_node thread_spec"
        " threads_per_core wait_all_nodes",
    ),
    **_fields(
        _AMOUNT, "gpus gpus_per_node gpus_per_socket gpus_per_task mem mem_per_cpu mem_per_gpu nodes priority"
    ),
    **_fields(_FLAG, "contiguous overcommit oversubscribe reboot spread_job use_min_nodes"),
    **_fields(_CHOICE, "exclusive no_kill"),
    **_fields(_NUMBER, "nice"),
    **_fields(_SIGNAL, "signal"),
    **_fields(_TIME, "time time_min"),
}
_OWN: Final = re.findall(
    r"\S+",
    "array chdir clusters dependency error export export-file get-user-env gid help hold input job-name"
    " no-requeue open-mode output parsable requeue signal test-only uid usage version wait wrap",
)

_OF_RESULTS: Final = (  # how many processes run, with which devices and mounts, and what runs before them
    *("nodes", "ntasks", "ntasks_per_core", "ntasks_per_gpu", "ntasks_per_node", "ntasks_per_socket"),
    *("gpus", "gpus_per_node", "gpus_per_socket", "gpus_per_task", "gres", "tres_per_task"),
    *("srun", "srun_args", "setup_lines", "container_mounts"),
)


def result_options(options: Mapping[str, Any]) -> dict[str, Any]:
    """The options on which the results of tasks depend, by their names, however they are given."""
    flags = options.get("additional_parameters", {})
    given = {**{str(name).replace("-", "_"): value for name, value in flags.items()}, **options}
    return {name: given[name] for name in _OF_RESULTS if name in given}


OPTIONS_SCHEMA: Final[Mapping[str, Any]] = {
    "type": "object",
    "additionalProperties": False,
    "properties": {
        **FIELDS,
        "job_name": _JOB_NAME,
        "setup_lines": _LINES,
        "srun": _FLAG,
        "srun_args": _ARGUMENTS,
        "container_image": _TEXT,
        "container_mounts": _LIST,
        "tunnel": tunnel_options.OPTIONS_SCHEMA,
        "max_parallel": {"title": "a whole number, 1 or more", "type": "integer", "minimum": 1},
        "additional_parameters": {
            "title": "a mapping of sbatch's flags",
            "type": "object",
            "propertyNames": {
                "title": f"a flag of sbatch without its dashes, and not one of {', '.join(_OWN)}",
                "pattern": rf"^(?!({'|'.join(_OWN)})(?![\s\S]))[a-z][a-z0-9-]*(?![\s\S])",
            },
            "additionalProperties": {
                "title": "a text, a number, true or false",
                "anyOf": [_TEXT, {"type": ["number", "boolean"]}],
            },
        },
    },
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What a task requests; members with equal requests share one job array.

    Attributes:
        options: of sbatch, without those that differ between submissions.
        setup_lines: shell that the job script runs before the task.
        login: whether login files set up the job's environment.
        job_name: what the spec calls the jobs; None if nothing.
        max_parallel: how many members of an array run at once.
        forward: the signal that the job script sends to the task shortly before the time limit.
        ends_time: whether that signal makes the end of the task a timeout, as `stop_signal` does; a signal
            that the spec sets by `signal` only announces the limit.
        sampling: seconds between the samples that the job takes of what its task uses; None if none.
    """

    options: tuple[str, ...]
    setup_lines: tuple[str, ...] = ()
    login: bool = True
    job_name: str | None = None
    max_parallel: int | None = None
    forward: str | None = None
    ends_time: bool = True
    sampling: float | None = None

    def to_json(self) -> dict[str, Any]:
        """The fields for a dry run and the plan."""
        fields: dict[str, Any] = {"sbatch": list(self.options)}
        if self.setup_lines:
            fields["setup_lines"] = list(self.setup_lines)
        return fields


def request(options: Mapping[str, Any], plan: Plan) -> Request:
    """The request of a plan with these options.

    Raises:
        EngineError: a value contains a line break.
    """
    user_signal = options.get("signal")
    flags = sbatch_flags(options, plan.resources)
    if "time" not in options and plan.timeout is not None:
        flags.append(f"--time={_minutes(plan.timeout + plan.stop_grace)}")
    notice = _notice(user_signal, options.get("time"), plan)
    forward = None
    if notice:
        signal, seconds = notice
        # Without srun, Slurm signals only the job script, which forwards the signal.
        forward = None if uses_srun(options) or plan.company else signal
        flags.append(f"--signal={f'B:{NOTICE}' if forward else signal}@{seconds}")
    for flag in flags:
        if re.search(r"[\n\r\x00]", flag):
            raise EngineError(f"an option of sbatch contains a line break: {flag!r}")
    lines = options.get("setup_lines", ())
    return Request(
        options=tuple(flags),
        setup_lines=(lines,) if isinstance(lines, str) else tuple(lines),
        login=plan.env_inherit != "none",
        job_name=_job_name(options["job_name"], plan) if "job_name" in options else None,
        max_parallel=options.get("max_parallel"),
        forward=forward,
        ends_time=user_signal is None,
        sampling=plan.sampling,
    )


def _job_name(template: str, plan: Plan) -> str:
    """The name of a plan's job, in safe characters; jobs of a group's members are named after the group."""
    task = plan.task.rpartition("/")[0] or plan.task
    values = {"{name}": plan.env["EXP_NAME"], "{task}": task, "{id}": plan.experiment}
    text = re.sub(r"\{(name|task|id)\}", lambda found: values[found[0]], template)
    return re.sub(r"[^A-Za-z0-9._=/+ :@%,~-]", "_", text)[:LONGEST_NAME]


def sbatch_flags(options: Mapping[str, Any], wanted: Resources = NOTHING) -> list[str]:
    """The flags of an executor's options and of resources, without `--signal` and a timeout's `--time`."""
    fields = {
        name.replace("_", "-"): options[name] for name in FIELDS if name in options and name != "signal"
    }
    flags = {**fields, **options.get("additional_parameters", {})}
    if wanted.cpus:
        flags.setdefault("cpus-per-task", math.ceil(wanted.cpus))
    if wanted.memory:
        flags.setdefault("mem", f"{math.ceil(wanted.memory / MEGA)}M")
    if wanted.gpus:
        others = flags.get("gres")
        flags["gres"] = _joined([*(_listed(others) if others else ()), f"gpu:{wanted.gpus}"])
    return [flag for name, value in flags.items() for flag in _flags(name, value)]


def clash(options: Mapping[str, Any], wanted: Resources) -> str | None:
    """An error message if an executor's options and a task's resources request the same, else None."""
    given = {*options, *(name.replace("-", "_") for name in options.get("additional_parameters", {}))}
    requested = wanted.to_json()
    overlapping = [
        option
        for name, names in _OVERLAPPING.items()
        if name in requested
        for option in names
        if option in given
    ]
    for option, part in (("gres", r"(gres/)?gpu\b"), ("tres_per_task", r"gres[/:]gpu\b")):
        if wanted.gpus is not None and re.search(rf"(^|,){part}", ",".join(_listed(options.get(option, [])))):
            overlapping.append(option)
    if wanted.cpus is not None and re.search(
        r"(^|,)cpu\b", ",".join(_listed(options.get("tres_per_task", [])))
    ):
        overlapping.append("tres_per_task")
    if not overlapping:
        return None
    return f"its options already request this: {', '.join(overlapping)}; remove one of the two"


def argv(options: Mapping[str, Any], plan: Plan, *, earlier: Sequence[int] = ()) -> tuple[str, ...]:
    """The task's command line: under srun if it is spread, in a container or co-scheduled.

    Args:
        options: of the executor.
        plan: of the attempt.
        earlier: the numbers of the task's earlier attempts that have a folder.
    """
    if not (uses_srun(options) or plan.company):
        return plan.argv
    container: list[str] = []
    if image := options.get("container_image"):
        container = [
            f"--container-image={image}",
            f"--container-mounts={_joined([*_mounts(options, plan, earlier)])}",
            f"--container-workdir={plan.workdir}",
            # Without this, the variables of the image have precedence.
            f"--container-env={_joined([*plan.env, *plan.secrets, *group_hosts.names(plan.peers.values())])}",
        ]
    flags = ("srun", *container, *(str(part) for part in options.get("srun_args", ())))
    return (*flags, END_OF_FLAGS, *plan.argv) if plan.company else (*flags, *plan.argv)


def _mounts(options: Mapping[str, Any], plan: Plan, earlier: Sequence[int]) -> Iterator[str]:
    """The mounts of a container, the outer ones first: the spec's, workdir, records, and the experiment."""
    files = ExperimentFiles(Path(plan.env["EXP_DIR"]))
    texts = _joined(_listed(options.get("container_mounts", []))).split(",")
    given = [_given(text) for text in texts if text]
    is_inside = PurePath(plan.workdir).is_relative_to(plan.env["EXP_DIR"])
    around = [*(() if is_inside else (plan.workdir,)), plan.env["EXP_DASH_ROOT"]]
    further = [mount for _, mount in given]
    own = of_attempt(plan, map(Mount.same, around), further=further, real=os.path.normpath)
    own += of_earlier(files, plan.task, earlier[-MOST_EARLIER:])
    all_mounts = [*given, *((_mount_text(mount), mount) for mount in own)]
    return (text for text, _ in sorted(all_mounts, key=lambda entry: entry[1].depth))


def _given(text: str) -> tuple[str, Mount]:
    """A mount as a spec has it, SOURCE:TARGET[:FLAGS], and what it mounts."""
    source, _, rest = text.partition(":")
    target, _, flags = rest.partition(":")
    return text, Mount(source=source, target=target or source, is_writable="ro" not in flags.split("+"))


def _mount_text(mount: Mount) -> str:
    return f"{mount.source}:{mount.target}" + ("" if mount.is_writable else ":ro")


def uses_srun(options: Mapping[str, Any]) -> bool:
    """Whether srun runs the task, once per Slurm task."""
    if (srun := options.get("srun")) is not None:
        return bool(srun)
    if "srun_args" in options or "container_image" in options:
        return True
    counts = (options.get(name, 1) for name in ("nodes", "ntasks", "ntasks_per_node"))
    return any(count not in (1, "1") for count in counts)


def seconds_of(time: str) -> int | None:
    """A time in Slurm's notation, in seconds; None for no limit."""
    if time in ("UNLIMITED", "INFINITE"):
        return None
    days, dash, rest = time.rpartition("-")
    parts = [int(part) for part in rest.split(":")]
    if dash:  # days-hours[:minutes[:seconds]]
        hours, minutes, seconds = (*parts, 0, 0)[:3]
        return (int(days) * 24 + hours) * HOUR + minutes * MINUTE + seconds
    if len(parts) == 1:  # minutes
        return parts[0] * MINUTE
    *hour, minutes, seconds = parts
    return sum(hour) * HOUR + minutes * MINUTE + seconds


def _notice(signal: str | None, time: str | None, plan: Plan) -> tuple[str, int] | None:
    """The signal that Slurm sends before the time limit, and how many seconds before it."""
    if signal is not None:
        name, _, seconds = signal.partition("@")
        return name.removeprefix("SIG"), int(seconds or MINUTE)
    grace = max(1, math.ceil(plan.stop_grace))
    limit = seconds_of(time) if time else None
    if limit is None or limit < 2 * (grace + SIGNAL_SLACK):
        return None  # the signal may be a minute early, which is too much of a short limit
    return short_signal(plan.stop_signal), grace


def _minutes(seconds: float) -> int:
    return max(1, math.ceil(seconds / MINUTE))


def _flags(name: str, value: Any) -> list[str]:
    if value is False:
        return []
    if value is True:
        return [f"--{name}"]
    if isinstance(value, list):
        return [f"--{name}={_joined(value)}"]
    return [f"--{name}={value:g}" if isinstance(value, float) else f"--{name}={value}"]


def _joined(values: list[str]) -> str:
    return ",".join(values)


def _listed(value: str | list[str]) -> list[str]:
    return [value] if isinstance(value, str) else value
