"""Secrets: where a spec says they come from, turned into what they are, in memory only."""

from __future__ import annotations

import os
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from nemorun_cli.errors import SpecError
from nemorun_cli.problems import Problem

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from nemorun_cli.spec import Spec

COMMAND_WAIT: Final = 60.0  # seconds that a `command` may take to print a secret
SHORTEST_MASKED: Final = 6  # characters; hiding shorter values would hide half of a log
MASK: Final = "***"


def of_tasks(spec: Spec) -> set[str]:
    """The names of the secrets that some task gets."""
    return {name for task in spec.tasks for name in task.secrets}


def wanted(spec: Spec) -> list[str]:
    """The names of the secrets that some task or plugin gets."""
    return sorted(of_tasks(spec) | {name for use in spec.plugins for name in use.secrets})


def resolve(spec: Spec) -> dict[str, str]:
    """The values of all secrets that tasks get; commands are run.

    Raises:
        SpecError: some cannot be had; every one of them is named.
    """
    values, problems = {}, []
    for name in wanted(spec):
        try:
            values[name] = _value(name, spec.secrets.get(name, {"env": name}), Path(spec.folder))
        except (OSError, ValueError) as error:
            problems.append(Problem(message=f"secret {name}: {error}", path=f"secrets.{name}"))
    if problems:
        raise SpecError(problems)
    return values


def known(spec: Spec) -> dict[str, str]:
    """The values that can be had without running anything; for masking what is shown."""
    values = {}
    for name in wanted(spec):
        source = spec.secrets.get(name, {"env": name})
        if "command" not in source:
            try:
                values[name] = _value(name, source, Path(spec.folder))
            except (OSError, ValueError):
                continue  # what is not known here cannot be masked, nor be shown by knowing it
    return values


def mask(text: str, values: Iterable[str]) -> str:
    """The text with each value of six characters and more hidden, values of several lines line by line."""
    parts = {part for value in values for part in (value, *value.splitlines())}
    for part in sorted(parts, key=len, reverse=True):  # one that holds another goes first
        text = text.replace(part, MASK) if len(part) >= SHORTEST_MASKED else text
    return text


def _value(name: str, source: Mapping[str, Any], folder: Path) -> str:
    if "env" in source:
        return _from_environment(source["env"])
    if "file" in source:
        return _from_file(folder / Path(source["file"]).expanduser())
    if "env_file" in source:
        return _from_env_file(name, folder / source["env_file"])
    return _from_command(source["command"], folder)


def _from_environment(variable: str) -> str:
    value = os.environ.get(variable)
    if not value:
        raise ValueError(f"the environment variable {variable} is not set (export {variable}=…)")
    return value


def _from_file(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8").rstrip("\r\n")
    except OSError as error:
        raise ValueError(f"{path} cannot be read: {error.strerror}") from None


def _from_env_file(name: str, path: Path) -> str:
    from dotenv import dotenv_values  # noqa: PLC0415 - only for specs that use one

    value = dotenv_values(path, interpolate=False).get(name) if path.is_file() else None
    if value is None:
        raise ValueError(f"{path} does not set {name}")
    return value


def _from_command(command: str | list[str], folder: Path) -> str:
    import subprocess  # noqa: PLC0415 - only for secrets that come from a command

    argv = shlex.split(command) if isinstance(command, str) else command
    try:
        done = subprocess.run(argv, cwd=folder, stdout=subprocess.PIPE, timeout=COMMAND_WAIT, check=False)
    except subprocess.TimeoutExpired:
        raise ValueError(f"{argv[0]} did not end within {COMMAND_WAIT:g} s") from None
    except OSError as error:
        raise ValueError(f"{argv[0]} cannot be run: {error.strerror}") from None
    if done.returncode:
        raise ValueError(f"{argv[0]} ended with exit code {done.returncode}")
    value = done.stdout.decode("utf-8", errors="strict").rstrip("\r\n")
    if not value:
        raise ValueError(f"{argv[0]} printed nothing")
    return value
