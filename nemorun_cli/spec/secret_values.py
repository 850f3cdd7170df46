"""Secrets: reads their values from the sources that a spec names; values are kept in memory only."""

from __future__ import annotations

import io
import os
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from nemorun_cli.errors import SpecError, UsageError
from nemorun_cli.model import masking
from nemorun_cli.model.problems import Finding
from nemorun_cli.system.files import RefusedFileError, read_bytes
from nemorun_cli.system.user import expanded

if TYPE_CHECKING:
    from collections.abc import Mapping

    from nemorun_cli.model.problems import Place
    from nemorun_cli.model.spec import Spec
    from nemorun_cli.spec.document import Document

LARGEST: Final = 1 << 20  # bytes of a file with a secret, or with variables that are secrets
COMMAND_WAIT: Final = 60.0  # seconds that a `command` may take to print a secret


def of_tasks(spec: Spec) -> set[str]:
    """Return the names of the secrets that any task receives."""
    return {name for task in spec.possible_tasks for name in task.secrets}


def names_in_use(spec: Spec) -> list[str]:
    """Return the names of the secrets that any task or plugin receives."""
    return sorted(of_tasks(spec) | {name for use in spec.plugins for name in use.secrets})


def resolve(spec: Spec, document: Document | None = None) -> dict[str, str]:
    """Return the values of all secrets that tasks or plugins receive; runs commands.

    Args:
        spec: the resolved spec.
        document: the document of the spec, to report problems with their place.

    Raises:
        SpecError: with each secret that has no value.
    """
    values, findings = {}, []
    for name in names_in_use(spec):
        try:
            values[name] = _value(name, spec.secrets.get(name, {"env": name}), Path(spec.folder))
        except (OSError, ValueError) as error:
            where = place(name, {} if document is None else document.data)
            findings.append(Finding(place=where, message=f"secret {name}: {error}"))
    if findings and document is not None:
        raise SpecError(document.sources.in_order([document.attributed(finding) for finding in findings]))
    if findings:
        raise SpecError([finding.problem(file="spec") for finding in findings])
    masking.remember(values.values())
    return values


def variable(spec: Spec, name: str) -> str | None:
    """Return the variable of the environment that a secret comes from, if it does."""
    source: Mapping[str, Any] = spec.secrets.get(name, {"env": name})
    return source.get("env")


def sources(spec: Spec, values: Mapping[str, str]) -> dict[str, str]:
    """Return the variables of the environment that these secrets come from, with their values."""
    return {source: value for name, value in values.items() if (source := variable(spec, name))}


def place(name: str, data: Mapping[str, Any]) -> Place:
    """Return the place where a spec first names a secret; the name of a plugin's secret is its place."""
    if "." in name:
        return tuple(int(key) if key.isdigit() else key for key in name.split("."))
    pending: list[tuple[Place, Any]] = [((), data)]
    for place, value in pending:
        if isinstance(value, dict):
            if isinstance(value.get("secrets"), dict) and name in value["secrets"]:
                return (*place, "secrets", name)
            pending += (((*place, key), item) for key, item in value.items())
        elif isinstance(value, list):
            pending += (((*place, index), item) for index, item in enumerate(value))
    return ("secrets", name)


def known(spec: Spec, *, reads_files: bool = True) -> dict[str, str]:
    """Return the values that are available without running a command, for masking output.

    Without `reads_files`, they are only those of environment variables.
    """
    values = {}
    for name in names_in_use(spec):
        source = spec.secrets.get(name, {"env": name})
        if "env" in source or (reads_files and "command" not in source):
            try:
                values[name] = _value(name, source, Path(spec.folder))
            except (OSError, ValueError, UsageError):
                continue  # a value that is not available cannot be masked
    masking.remember(values.values())
    return values


def _value(name: str, source: Mapping[str, Any], folder: Path) -> str:
    if "env" in source:
        return _from_environment(source["env"])
    if "file" in source:
        return _from_file(folder / expanded(source["file"]))
    if "env_file" in source:
        return _from_env_file(name, folder / source["env_file"])
    return _from_command(source["command"], folder)


def _from_environment(variable: str) -> str:
    value = os.environ.get(variable)
    if not value:
        raise ValueError(f"the environment variable {variable} is not set (export {shlex.quote(variable)}=…)")
    return value


def _from_file(path: Path) -> str:
    try:
        return read_bytes(path, limit=LARGEST).decode().rstrip("\r\n")
    except RefusedFileError as error:
        remedy = "a pipe is read with: command: [cat, PATH]"
        raise ValueError(f"{path} cannot be read: {error.strerror} ({remedy})") from None
    except OSError as error:
        raise ValueError(f"{path} cannot be read: {error.strerror}") from None


def _from_env_file(name: str, path: Path) -> str:
    from dotenv import dotenv_values  # noqa: PLC0415 - only for specs that use one

    try:
        text = read_bytes(path, limit=LARGEST).decode("utf-8-sig")
    except FileNotFoundError:
        text = ""
    except OSError as error:
        raise ValueError(f"{path} cannot be read: {error.strerror}") from None
    value = dotenv_values(stream=io.StringIO(text), interpolate=False).get(name)
    if value is None:
        raise ValueError(f"{path} does not set {name}")
    return value


def _from_command(command: str | list[str], folder: Path) -> str:
    import subprocess  # noqa: PLC0415 - only for secrets that come from a command

    argv = shlex.split(command) if isinstance(command, str) else command
    try:
        done = subprocess.run(argv, cwd=folder, stdout=subprocess.PIPE, timeout=COMMAND_WAIT, check=False)
    except subprocess.TimeoutExpired:
        raise ValueError(f"{argv[0]} did not finish within {COMMAND_WAIT:g} s") from None
    except OSError as error:
        raise ValueError(f"{argv[0]} cannot be run: {error.strerror}") from None
    if done.returncode:
        raise ValueError(f"{argv[0]} failed with exit code {done.returncode}")
    value = done.stdout.decode("utf-8", errors="strict").rstrip("\r\n")
    if not value:
        raise ValueError(f"{argv[0]} printed nothing")
    return value
