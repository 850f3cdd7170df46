"""The container of an attempt as plain values: options, name, labels, mounts and first instructions."""

from __future__ import annotations

import hashlib
import os
import re
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from nemorun_cli.executors.shim_call import shim_line
from nemorun_cli.model import units

if TYPE_CHECKING:
    from collections.abc import Mapping

    from nemorun_cli.executors import Job
    from nemorun_cli.model.plan import Plan
    from nemorun_cli.model.resources import Resources

LABEL: Final = "nemorun."  # what the names of our labels begin with
NO_PROGRAM: Final = 124  # exit code of a container whose image lacks the task's program
NO_SECRETS: Final = 125  # that of one whose secrets did not arrive whole: nothing was begun
NO_SHELL: Final = 127  # what docker-init says of a program that is not there
LAST_LINE: Final = "# that is all"  # ends the secrets on a container's standard input
LOG_DRIVER: Final = {"type": "local", "config": {"max-size": "1t", "max-file": "1", "compress": "false"}}
LONGEST_NAME: Final = 60  # characters of a container's name that people can read
MARK: Final = "sha256"  # what tells the names of attempts apart

_SIZE: Final = r"^[0-9]+(\.[0-9]+)?([bB]|[kKmMgGtT][bB]?)?$"
_NAMESPACE_WORDS: Final = re.compile(r"[^A-Za-z0-9.-]+")
_TAKEN: Final = [  # arguments of the SDK's create that are not for `extra`
    *("image", "name", "command", "entrypoint", "environment", "working_dir", "mounts", "stdin_open"),
    *("tty", "detach", "auto_remove", "remove", "restart_policy"),
]
_SDK_WORDS: Final = {"ipc": "ipc_mode", "network": "network_mode"}  # Compose's word, and the SDK's
_SAYS_TOO: Final = {  # what of `extra` says the same as resources do
    "cpus": ("nano_cpus", "cpu_quota", "cpu_period", "cpuset_cpus"),
    "memory": ("mem_limit",),
    "gpus": ("device_requests",),
}
_AS_THEY_ARE: Final = ("shm_size", "ipc", "network", "privileged", "runtime", "init")

# Standard output leads to the attempt's log from here on, whoever watches. Secrets come by standard
# input and go into the environment without touching a file. Names begin with EXP_, which none of the
# task's own may: assigning to a variable of the task would change what the task sees.
FIRST_INSTRUCTIONS: Final = f"""\
exec >>"$1" 2>&1
unset TINI_KILL_PROCESS_GROUP
if [ "$2" = secrets ]; then
    EXP_SHIM_TEXT= EXP_SHIM_LAST= EXP_SHIM_END='
'
    while IFS= read -r EXP_SHIM_LINE; do
        EXP_SHIM_TEXT=$EXP_SHIM_TEXT$EXP_SHIM_LINE$EXP_SHIM_END EXP_SHIM_LAST=$EXP_SHIM_LINE
    done
    [ "$EXP_SHIM_LAST" = "{LAST_LINE}" ] || exit {NO_SECRETS}
    eval "$EXP_SHIM_TEXT"
    exec </dev/null
fi
shift 2
if cd -- "$3" 2>/dev/null; then command -v "$8" >/dev/null || exit {NO_PROGRAM}; fi
exec sh "$@"
"""

_TEXT: Final = {"type": "string", "minLength": 1}
_NUMBER: Final = r"[0-9]{1,9}(\.[0-9]{1,9})?"
_DURATION: Final = {
    "title": "a duration: 90s, 10m, 1h30m, or a number of seconds",
    "type": ["string", "number"],
    "pattern": rf"^({_NUMBER}|(?=[0-9])({_NUMBER}d)?({_NUMBER}h)?({_NUMBER}m)?({_NUMBER}s)?)(?![\s\S])",
    "minimum": 0,
}
OPTIONS_SCHEMA: Final[Mapping[str, Any]] = {
    "type": "object",
    "additionalProperties": False,
    "required": ["image"],
    "properties": {
        "image": {"description": "The image that tasks run in.", **_TEXT},
        "pull": {
            "description": "When the image is pulled: if it is not there, once for every run, or never.",
            "enum": ["missing", "always", "never"],
            "default": "missing",
        },
        "volumes": {
            "description": "Mounts, SOURCE:TARGET[:ro]; SOURCE is a volume, or a path relative to the spec.",
            "type": "array",
            "items": {"type": "string", "pattern": r"^[^:]+:/[^:]*(:[A-Za-z,]+)?$", "format": "mount"},
            "examples": [["./data:/data:ro"]],
        },
        "gpus": {
            "description": "GPUs: all, how many, or a list of their ids.",
            "anyOf": [
                {"enum": ["all"]},
                {"type": "integer", "minimum": 1},
                {"type": "array", "minItems": 1, "items": {"type": ["string", "integer"]}},
            ],
        },
        "shm_size": {
            "description": "The size of /dev/shm, as 512M or 8g.",
            "anyOf": [{"type": "string", "pattern": _SIZE}, {"type": "integer", "minimum": 1}],
        },
        "ulimits": {
            "description": "Limits by name: a number, or soft and hard.",
            "type": "object",
            "additionalProperties": {
                "anyOf": [
                    {"type": "integer"},
                    {
                        "type": "object",
                        "additionalProperties": False,
                        "required": ["soft", "hard"],
                        "properties": {"soft": {"type": "integer"}, "hard": {"type": "integer"}},
                    },
                ]
            },
            "examples": [{"memlock": -1}],
        },
        "ipc": {"description": "The IPC namespace: private, shareable, host or container:NAME.", **_TEXT},
        "network": {
            "description": "The network; by default Docker's own.",
            **_TEXT,
            "examples": ["none", "host"],
        },
        "privileged": {"description": "Whether the container may do what root may.", "type": "boolean"},
        "runtime": {"description": "The OCI runtime.", **_TEXT, "examples": ["nvidia"]},
        "user": {
            "description": "Who runs the task: UID[:GID] or a name of the image; by default who calls exp.",
            "type": ["string", "integer"],
        },
        "init": {
            "description": "Whether an init process collects orphans and passes signals on.",
            "type": "boolean",
            "default": True,
        },
        "healthcheck": {
            "description": "What tells Docker that the container is well.",
            "type": "object",
            "additionalProperties": False,
            "required": ["test"],
            "properties": {
                "test": {"anyOf": [_TEXT, {"type": "array", "minItems": 1, "items": {"type": "string"}}]},
                "interval": _DURATION,
                "timeout": _DURATION,
                "start_period": _DURATION,
                "retries": {"type": "integer", "minimum": 1},
            },
        },
        "extra": {
            "description": "Further arguments of the Docker SDK's `containers.create`, under its names.",
            "type": "object",
            "propertyNames": {"not": {"enum": _TAKEN}},
            "examples": [{"mem_limit": "8g", "cap_add": ["SYS_PTRACE"]}],
        },
    },
}


def needs_shell(plan: Plan) -> bool:
    """Whether the attempt runs under the shim; a bare command does not, unless it is to get secrets."""
    return plan.kind != "command" or bool(plan.secrets)


def details(plan: Plan, options: Mapping[str, Any], *, host: str) -> dict[str, Any]:
    """What the engine is told besides the command and its environment, as the SDK's `create` takes it.

    `host` is the engine's address, by which whoever adopts the attempt finds the same one.
    """
    told: dict[str, Any] = {
        "image": options["image"],
        "user": str(options.get("user", f"{os.geteuid()}:{os.getegid()}")),
        "init": True,
        **{_SDK_WORDS.get(word, word): options[word] for word in _AS_THEY_ARE if word in options},
    }
    if volumes := options.get("volumes"):
        told["volumes"] = [volume(text, plan.folder) for text in volumes]
    if (gpus := options.get("gpus")) is not None:
        told["device_requests"] = [_gpus(gpus)]
    if limits := options.get("ulimits"):
        told["ulimits"] = [{"name": name, **_limit(limit)} for name, limit in limits.items()]
    if check := options.get("healthcheck"):
        told["healthcheck"] = _healthcheck(check)
    told |= _limits(plan.resources)
    told["mounts"] = [{"Type": "bind", "Source": path, "Target": path} for path in own_folders(plan)]
    return {"host": host, "create": {**told, **options.get("extra", {})}}


def _limits(wanted: Resources) -> dict[str, Any]:
    """The limits that resources stand for; which GPUs a container gets is known when it starts."""
    told: dict[str, Any] = {}
    if wanted.cpus:
        told["nano_cpus"] = round(wanted.cpus * 1e9)
    if wanted.memory:
        told["mem_limit"] = wanted.memory
    if wanted.gpus:
        told["device_requests"] = [_gpus(wanted.gpus)]
    return told


def clash(options: Mapping[str, Any], wanted: Resources) -> str | None:
    """What the options of an executor and the resources of a task both say, or None."""
    extra = options.get("extra", {})
    told = [
        f"extra.{word}" for name, words in _SAYS_TOO.items() if name in wanted.to_json() for word in words
    ]
    found = [word for word in told if word.removeprefix("extra.") in extra]
    found += ["gpus"] if wanted.gpus is not None and "gpus" in options else []
    return f"its options say that already: {', '.join(found)}; leave out one of the two" if found else None


def arguments(job: Job, plan: Plan) -> dict[str, Any]:
    """All arguments of the SDK's `create` for an attempt."""
    told = dict(plan.details["create"])
    if job.allocation and job.allocation.gpus:  # those that nobody else on this machine has
        told["device_requests"] = [_gpus(list(job.allocation.gpus))]
    told["environment"] = dict(plan.env)
    if told.get("init"):
        told["environment"]["TINI_KILL_PROCESS_GROUP"] = "1"  # a signal is for all that the task started
    told["labels"] = {**told.get("labels", {}), **labels(job, plan.executor)}
    if needs_shell(plan):
        shim = shim_line(job.files.directory, plan, plan.argv[0])[1:]
        first = ["-c", FIRST_INSTRUCTIONS, "exp", str(job.files.log), "secrets" if plan.secrets else ""]
        told |= {"entrypoint": ["sh"], "command": [*first, *shim], "stdin_open": bool(plan.secrets)}
    else:
        told |= {"entrypoint": [plan.argv[0]], "command": list(plan.argv[1:]), "working_dir": plan.workdir}
        told["labels"][LABEL + "timeout"] = f"{plan.timeout or 0:g}"
        # The one driver that keeps every byte as it is; its own default would forget all but the last 100 MB.
        told.setdefault("log_config", LOG_DRIVER)
    return {**told, "name": name(job)}


def name(job: Job) -> str:
    """What the container of an attempt is called, the same whenever it is asked for."""
    readable = _NAMESPACE_WORDS.sub("_", f"{job.experiment}.{job.task}")[:LONGEST_NAME]
    mark = hashlib.new(MARK, os.fsencode(os.path.realpath(job.files.directory))).hexdigest()[:12]
    return f"exp-{readable}.{job.attempt}-{mark}"


def labels(job: Job, executor: str) -> dict[str, str]:
    """By what the container of an attempt is found."""
    return {
        **shared_labels(job),
        LABEL + "executor": executor,
        LABEL + "task": job.task,
        LABEL + "attempt": str(job.attempt),
    }


def shared_labels(job: Job) -> dict[str, str]:
    """The labels that all containers of an experiment have in common."""
    depth = job.task.count("/") + 2  # tasks/<task>/attempt-<n>; members of groups lie one folder deeper
    directory = Path(os.path.realpath(job.files.directory)).parents[depth]
    home = directory.parents[2]  # <home>/experiments/<name>/<id>
    return {LABEL + "experiment": job.experiment, LABEL + "home": str(home)}


def own_folders(plan: Plan) -> list[str]:
    """The folders that a task finds at their own paths: the experiment's, its records' and its workdir."""
    wanted = [plan.env["EXP_DIR"], plan.env["EXP_DASH_ROOT"]]
    if Path(plan.workdir).is_dir():  # otherwise it is one of the image's
        wanted.append(plan.workdir)
    wanted = sorted({os.path.abspath(path) for path in wanted}, key=len)  # noqa: PTH100 - links stay as named
    found: list[str] = []
    for path in wanted:
        if not any(Path(path).is_relative_to(other) for other in found):
            found.append(path)
    return found


def volume(text: str, folder: str) -> str:
    """A volume of the spec with its path made absolute; a source without a slash names a volume."""
    source, rest = text.split(":", 1)
    if "/" in source or source.startswith((".", "~")):
        source = os.path.normpath(Path(folder, Path(source).expanduser()))
    return f"{source}:{rest}"


def missing_sources(plan: Plan) -> list[str]:
    """The paths of volumes that are not there; Docker would make them, as folders of root."""
    sources = (text.split(":", 1)[0] for text in plan.details["create"].get("volumes", ()))
    return [source for source in sources if source.startswith("/") and not Path(source).exists()]


def secrets_text(values: Mapping[str, str]) -> bytes:
    """What is written to the standard input of a container that waits for secrets."""
    lines = [f"export {variable}={shlex.quote(value)}" for variable, value in values.items()]
    return "\n".join([*lines, LAST_LINE, ""]).encode()


def _gpus(wanted: str | int | list[Any]) -> dict[str, Any]:
    request: dict[str, Any] = {"capabilities": [["gpu"]]}
    if isinstance(wanted, list):
        return {**request, "device_ids": [str(one) for one in wanted]}
    return {**request, "count": -1 if wanted == "all" else wanted}


def _limit(limit: int | Mapping[str, int]) -> dict[str, int]:
    return {"soft": limit, "hard": limit} if isinstance(limit, int) else dict(limit)


def _healthcheck(check: Mapping[str, Any]) -> dict[str, Any]:
    told = dict(check)
    for word in ("interval", "timeout", "start_period"):
        if word in told:
            told[word] = int(units.duration(told[word]) * 1_000_000_000)  # Docker counts nanoseconds
    return told
