"""The engine's request that creates a container, made without the SDK. Pure.

Only for arguments that most tasks have, because importing the SDK takes longer than creating a container;
the SDK knows the meaning of all others.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from nemorun_cli.executors.docker.container import LOG_DRIVER

if TYPE_CHECKING:
    from collections.abc import Mapping

# By argument of the SDK's `create`: its name in the API, and the types that the SDK passes on unchanged.
_OF_CONTAINER: Final[Mapping[str, tuple[str, tuple[type, ...]]]] = {
    "image": ("Image", (str,)),
    "user": ("User", (str,)),
    "command": ("Cmd", (list,)),
    "entrypoint": ("Entrypoint", (list,)),
    "working_dir": ("WorkingDir", (str,)),
    "labels": ("Labels", (dict,)),
}
_OF_HOST: Final[Mapping[str, tuple[str, tuple[type, ...]]]] = {
    "network_mode": ("NetworkMode", (str,)),
    "ipc_mode": ("IpcMode", (str,)),
    "privileged": ("Privileged", (bool,)),
    "runtime": ("Runtime", (str,)),
    "init": ("Init", (bool,)),
    "shm_size": ("ShmSize", (int,)),
    "mem_limit": ("Memory", (int,)),
    "nano_cpus": ("NanoCpus", (int,)),
    "mounts": ("Mounts", (list,)),
}


def body(arguments: Mapping[str, Any]) -> dict[str, Any] | None:
    """The body of the request for arguments of the SDK's `create`; None if one of them needs the SDK."""
    is_open = arguments.get("stdin_open", False)
    host: dict[str, Any] = {"NetworkMode": "default"}
    request: dict[str, Any] = {
        "OpenStdin": is_open,
        "StdinOnce": is_open,
        "AttachStdin": is_open,
        "AttachStdout": True,
        "AttachStderr": True,
        "HostConfig": host,
    }
    for name, value in arguments.items():
        if name in _OF_CONTAINER:
            key, types = _OF_CONTAINER[name]
            target = request
        elif name in _OF_HOST:
            key, types = _OF_HOST[name]
            target = host
        elif name == "environment":
            request["Env"] = [f"{variable}={text}" for variable, text in value.items()]
            continue
        elif name == "log_config" and value == LOG_DRIVER:
            host["LogConfig"] = {"Type": value["type"], "Config": value["config"]}
            continue
        elif name in ("stdin_open", "name"):  # the name is part of the path
            continue
        else:
            return None
        if not isinstance(value, types) or value == "":
            return None
        target[key] = value
    return request
