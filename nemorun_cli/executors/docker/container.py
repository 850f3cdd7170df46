"""The container of an attempt as plain values: options, name, labels, mounts and start script."""

from __future__ import annotations

import hashlib
import os
import re
import shlex
from typing import TYPE_CHECKING, Any, Final

from nemorun_cli.executors.docker import mounts, networks
from nemorun_cli.executors.docker.labels import LABEL, of_experiment
from nemorun_cli.executors.shim_call import shim_line
from nemorun_cli.model import units

if TYPE_CHECKING:
    from collections.abc import Mapping

    from nemorun_cli.executors import Job
    from nemorun_cli.model.plan import Plan
    from nemorun_cli.model.resources import Resources

NO_PROGRAM: Final = 124  # exit code of a container whose image lacks the task's program
NO_SECRETS: Final = 125  # exit code of a container that did not receive all secrets: the task was not started
NO_SHELL: Final = 127  # exit code of docker-init for a program that does not exist
LAST_LINE: Final = "# that is all"  # ends the secrets on a container's standard input
LOG_DRIVER: Final = {"type": "local", "config": {"max-size": "1t", "max-file": "1", "compress": "false"}}
LONGEST_NAME: Final = 60  # characters of the readable part of a container's name
NAME_HASH: Final = "sha256"  # the hash that makes the names of attempts unique

_SIZE: Final = r"^[0-9]+(\.[0-9]+)?([bB]|[kKmMgGtT][bB]?)?$"
_SOURCE: Final = r"([^:]+|[./~].*)"  # a name, or a path, which may have colons
_NOT_IN_NAMES: Final = re.compile(r"[^A-Za-z0-9.-]+")
_RESERVED: Final = [  # arguments of the SDK's create that `extra` may not set
    *("image", "name", "command", "entrypoint", "environment", "working_dir", "mounts", "stdin_open"),
    *("tty", "detach", "auto_remove", "remove", "restart_policy"),
]
_SDK_NAMES: Final = {"ipc": "ipc_mode", "network": "network_mode"}  # Compose's name: the SDK's name
_SAME_LIMITS: Final = {  # arguments in `extra` that set the same limit as a resource
    "cpus": ("nano_cpus", "cpu_quota", "cpu_period", "cpuset_cpus"),
    "memory": ("mem_limit",),
    "gpus": ("device_requests",),
}
_PASSED_ON: Final = ("shm_size", "ipc", "network", "privileged", "runtime", "init")

# Redirects output to the attempt's log, so that no process has to copy it. Secrets arrive on standard
# input and are exported without being written to a file; a task without secrets waits for the last line.
# Variables begin with EXP_, which no variable of the task may: assigning to a variable of the task
# would change the environment that the task sees.
START_SCRIPT: Final = f"""\
exec >>"$1" 2>&1
[ -z "$3" ] || exec 2>>"$3"
unset TINI_KILL_PROCESS_GROUP
if [ "$2" = input ]; then
    EXP_SHIM_TEXT= EXP_SHIM_LAST= EXP_SHIM_END='
'
    while IFS= read -r EXP_SHIM_LINE; do
        EXP_SHIM_TEXT=$EXP_SHIM_TEXT$EXP_SHIM_LINE$EXP_SHIM_END EXP_SHIM_LAST=$EXP_SHIM_LINE
    done
    [ "$EXP_SHIM_LAST" = "{LAST_LINE}" ] || exit {NO_SECRETS}
    eval "$EXP_SHIM_TEXT"
    exec </dev/null
fi
shift 3
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
OF_RESULTS: Final = ("gpus", "runtime", "volumes")  # options on which the results of tasks depend
OPTIONS_SCHEMA: Final[Mapping[str, Any]] = {
    "type": "object",
    "additionalProperties": False,
    "required": ["image"],
    "properties": {
        "image": {"description": "The image that tasks run in.", **_TEXT},
        "pull": {
            "description": "When to pull the image: if it is missing, once for every run, or never.",
            "enum": ["missing", "always", "never"],
            "default": "missing",
        },
        "volumes": {
            "description": "Mounts, SOURCE:TARGET[:ro]; SOURCE is a volume, or a path relative to the spec.",
            "type": "array",
            "items": {"type": "string", "pattern": rf"^{_SOURCE}:/[^:]*(:[A-Za-z,]+)?$", "format": "mount"},
            "examples": [["./data:/data:ro"]],
        },
        "gpus": {
            "description": "GPUs: all, a number, or a list of ids.",
            "anyOf": [
                {"enum": ["all"]},
                {"type": "integer", "minimum": 1},
                {"type": "array", "minItems": 1, "items": {"type": ["string", "integer"]}},
            ],
        },
        "shm_size": {
            "description": "The size of /dev/shm, such as 512M or 8g.",
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
            "description": "The network; by default Docker's default network.",
            **_TEXT,
            "examples": ["none", "host"],
        },
        "privileged": {
            "description": "Whether the container has all privileges of root.",
            "type": "boolean",
        },
        "runtime": {"description": "The OCI runtime.", **_TEXT, "examples": ["nvidia"]},
        "user": {
            "description": "The task's user: UID[:GID] or a name in the image; by default the user of exp.",
            "type": ["string", "integer"],
        },
        "init": {
            "description": "Whether an init process reaps orphans and forwards signals.",
            "type": "boolean",
            "default": True,
        },
        "healthcheck": {
            "description": "How Docker checks that the container is healthy.",
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
            "propertyNames": {"not": {"enum": _RESERVED}},
            "examples": [{"mem_limit": "8g", "cap_add": ["SYS_PTRACE"]}],
        },
    },
}


def needs_shell(plan: Plan) -> bool:
    """Whether it runs under the shim; a bare command does not, unless it needs secrets or a Python."""
    return plan.kind != "command" or bool(plan.secrets) or plan.python is not None


def waits_for_input(plan: Plan) -> bool:
    """Whether its container waits for its secrets, or for those of other members to start."""
    return bool(plan.secrets) or (needs_shell(plan) and "network" in plan.details)


def details(plan: Plan, options: Mapping[str, Any], *, host: str) -> dict[str, Any]:
    """The arguments of the SDK's `create`, without the command and its environment.

    `host` is the engine's address; a supervisor that adopts the attempt connects to the same engine.
    """
    create: dict[str, Any] = {
        "image": options["image"],
        "user": str(options.get("user", f"{os.geteuid()}:{os.getegid()}")),
        "init": True,
        **{_SDK_NAMES.get(key, key): options[key] for key in _PASSED_ON if key in options},
    }
    texts = [mounts.volume(text, plan.folder) for text in options.get("volumes", ())]
    if texts:
        create["volumes"] = [text for text in texts if ":" not in mounts.volume_parts(text)[0]]
    if (gpus := options.get("gpus")) is not None:
        create["device_requests"] = [_gpus(gpus)]
    if limits := options.get("ulimits"):
        create["ulimits"] = [{"name": name, **_limit(limit)} for name, limit in limits.items()]
    if check := options.get("healthcheck"):
        create["healthcheck"] = _healthcheck(check)
    create |= _limits(plan.resources)
    named = [mounts.volume_mount(text) for text in texts if text not in create["volumes"]]
    create["mounts"] = [mounts.argument(mount) for mount in (*mounts.of_plan(plan, texts), *named)]
    joined = networks.details(plan, options)
    network = {"network": joined} if joined else {}
    return {"host": host, "create": {**create, **options.get("extra", {})}, **network}


def _limits(wanted: Resources) -> dict[str, Any]:
    """The limits for the requested resources; the GPU ids are chosen when the container starts."""
    limits: dict[str, Any] = {}
    if wanted.cpus:
        limits["nano_cpus"] = round(wanted.cpus * 1e9)
    if wanted.memory:
        limits["mem_limit"] = wanted.memory
    if wanted.gpus:
        limits["device_requests"] = [_gpus(wanted.gpus)]
    return limits


def clash(options: Mapping[str, Any], wanted: Resources) -> str | None:
    """The conflict between the options of an executor and the resources of a task, or None."""
    extra = options.get("extra", {})
    limited = [
        name for resource, names in _SAME_LIMITS.items() if resource in wanted.to_json() for name in names
    ]
    conflicts = [f"extra.{name}" for name in limited if name in extra]
    conflicts += ["gpus"] if wanted.gpus is not None and "gpus" in options else []
    if not conflicts:
        return None
    return f"its options say that already: {', '.join(conflicts)}; leave out one of the two"


def arguments(job: Job, plan: Plan) -> dict[str, Any]:
    """All arguments of the SDK's `create` for an attempt."""
    create = dict(plan.details["create"])
    if network := plan.details.get("network"):
        create.pop("network_mode", None)
        create |= networks.arguments(network)
    create["mounts"] = [*create["mounts"], *map(mounts.argument, mounts.of_earlier(job))]
    if job.allocation and job.allocation.gpus:  # reserved for this attempt on this machine
        create["device_requests"] = [_gpus(list(job.allocation.gpus))]
    create["environment"] = dict(plan.env)
    if create.get("init"):
        create["environment"]["TINI_KILL_PROCESS_GROUP"] = "1"  # signals go to all processes of the task
    create["labels"] = {**create.get("labels", {}), **labels(job, plan.executor)}
    if needs_shell(plan):
        shim = shim_line(job.files.directory, plan, plan.argv[0])[1:]
        is_waiting = waits_for_input(plan)
        error = "" if plan.stderr_to_stdout else str(job.files.stderr)
        script = ["-c", START_SCRIPT, "exp", str(job.files.log), "input" if is_waiting else "", error]
        create |= {"entrypoint": ["sh"], "command": [*script, *shim], "stdin_open": is_waiting}
    else:
        create |= {"entrypoint": [plan.argv[0]], "command": list(plan.argv[1:]), "working_dir": plan.workdir}
        create["labels"][LABEL + "timeout"] = f"{plan.timeout or 0:g}"
        # The only driver that keeps every byte unchanged; its default limit would keep only the last 100 MB.
        create.setdefault("log_config", LOG_DRIVER)
    return {**create, "name": name(job)}


def name(job: Job) -> str:
    """The name of an attempt's container, always the same for the same attempt."""
    readable = _NOT_IN_NAMES.sub("_", f"{job.experiment}.{job.task}")[:LONGEST_NAME]
    digest = hashlib.new(NAME_HASH, os.fsencode(os.path.realpath(job.files.directory))).hexdigest()[:12]
    return f"exp-{readable}.{job.attempt}-{digest}"


def labels(job: Job, executor: str) -> dict[str, str]:
    """The labels by which the container of an attempt is found."""
    return {
        **shared_labels(job),
        LABEL + "executor": executor,
        LABEL + "task": job.task,
        LABEL + "attempt": str(job.attempt),
    }


def shared_labels(job: Job) -> dict[str, str]:
    """The labels that all containers of an experiment have in common."""
    return of_experiment(job.experiment_files)


def secrets_text(values: Mapping[str, str]) -> bytes:
    """The text that a container that waits for secrets reads from standard input."""
    lines = [f"export {variable}={shlex.quote(value)}" for variable, value in values.items()]
    return "\n".join([*lines, LAST_LINE, ""]).encode()


def _gpus(wanted: str | int | list[Any]) -> dict[str, Any]:
    request: dict[str, Any] = {"capabilities": [["gpu"]]}
    if isinstance(wanted, list):
        return {**request, "device_ids": [str(device) for device in wanted]}
    return {**request, "count": -1 if wanted == "all" else wanted}


def _limit(limit: int | Mapping[str, int]) -> dict[str, int]:
    return {"soft": limit, "hard": limit} if isinstance(limit, int) else dict(limit)


def _healthcheck(check: Mapping[str, Any]) -> dict[str, Any]:
    arguments = dict(check)
    for key in ("interval", "timeout", "start_period"):
        if key in arguments:
            arguments[key] = int(units.duration(arguments[key]) * 1_000_000_000)  # Docker expects nanoseconds
    return arguments
