"""Merges a task's environment and secrets from its executor, the spec, the defaults, its group and itself."""

from __future__ import annotations

import io
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from nemorun_cli.model.plain_text import text_of
from nemorun_cli.model.problems import Finding
from nemorun_cli.spec.expressions.fill import words
from nemorun_cli.system.files import read_bytes
from nemorun_cli.system.user import expanded

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from dotenv.parser import Binding

    from nemorun_cli.model.problems import Place

LARGEST: Final = 1 << 20  # bytes of an env file

_VARIABLE = re.compile(r"(?!EXP_|NEMORUN_HOME\Z)[A-Za-z_][A-Za-z0-9_]*", re.ASCII)


@dataclass(frozen=True, slots=True)
class EnvLayers:
    """Variables with their values, and secrets with their sources; no name is in both."""

    env: dict[str, str] = field(default_factory=dict)
    secrets: dict[str, dict[str, Any]] = field(default_factory=dict)


class EnvLayering:
    """Merges environments; reads each env file once and collects errors in `findings`."""

    def __init__(self, folder: Path) -> None:
        self.findings: list[Finding] = []
        self._folder = folder
        self._files: dict[Path, dict[str, str]] = {}

    def over(self, layers: EnvLayers, section: Mapping[str, Any], place: Place) -> EnvLayers:
        """Return the layers overridden by the section's `env_file`, `env` and `secrets`, in this order."""
        if not ("env" in section or "env_file" in section or "secrets" in section):
            return layers
        env, secrets = dict(layers.env), dict(layers.secrets)
        for path, is_secret, entry_place in self._env_files(section, place):
            for name, value in self._read(path, entry_place).items():
                if is_secret:
                    secrets[name] = {"env_file": str(path)}
                    env.pop(name, None)
                else:
                    env[name] = value
                    secrets.pop(name, None)
        for name, value in section.get("env", {}).items():
            env[name] = value if isinstance(value, str) else text_of(value)
            secrets.pop(name, None)
            if "\0" in env[name]:
                self.findings.append(_nul((*place, "env", name)))
        for name, source in section.get("secrets", {}).items():
            secrets[name] = self.source(source)
            env.pop(name, None)
        return EnvLayers(env, secrets)

    def _env_files(self, section: Mapping[str, Any], place: Place) -> list[tuple[Path, bool, Place]]:
        env_file = section.get("env_file", [])
        entries: list[tuple[Any, Place]] = [(env_file, (*place, "env_file"))]
        if isinstance(env_file, list):
            entries = [(entry, (*place, "env_file", index)) for index, entry in enumerate(env_file)]
        files = []
        for entry, entry_place in entries:
            is_mapping = isinstance(entry, dict)
            path = entry["path"] if is_mapping else entry
            files.append((self._path(path), is_mapping and entry.get("secret", False), entry_place))
        return files

    def _path(self, text: str) -> Path:
        return self._folder / expanded(text)

    def _read(self, path: Path, place: Place) -> dict[str, str]:
        if path not in self._files:
            self._files[path], faults = read_env_file(path)
            self.findings += [Finding(place=place, message=fault) for fault in faults]
        return self._files[path]

    def source(self, source: Mapping[str, Any]) -> dict[str, Any]:
        """Return a secret's source, with its path or its command as used."""
        if "file" in source:
            return {"file": str(self._path(source["file"]))}
        if "command" in source:
            return {"command": words(source["command"])}
        return dict(source)


def read_env_file(path: Path) -> tuple[dict[str, str], list[str]]:
    """Read the variables of a file in dotenv format without expanding them; return them and the errors."""
    # python-dotenv takes 5 ms to import, and few specs have an env file.
    from dotenv.parser import parse_stream  # noqa: PLC0415

    values: dict[str, str] = {}
    faults: list[str] = []
    try:
        text = read_bytes(path, limit=LARGEST).decode("utf-8-sig")
        bindings = list(parse_stream(io.StringIO(text)))
    except FileNotFoundError:
        return {}, [f"there is no file {path}"]
    except (OSError, ValueError) as fault:
        reason = fault.strerror if isinstance(fault, OSError) else "it is not UTF-8"
        return {}, [f"{path} cannot be read: {reason}"]
    may_show = 2 * sum(map(_is_variable, bindings)) > len(bindings)
    for binding in bindings:
        name = repr(binding.key) if may_show else "what precedes `=`"
        line = f"{path}, line {binding.original.line}"
        if binding.error:
            faults.append(f"{line}: is not NAME=value")
        elif binding.key is not None and not _VARIABLE.fullmatch(binding.key):
            faults.append(f"{line}: {name} is not allowed as the name of a variable")
        elif binding.key is not None and binding.value is None:
            faults.append(f"{line}: {binding.key if may_show else 'the name'} has no value")
        elif binding.key is not None:
            values[binding.key] = binding.value or ""
    return values, faults


def _is_variable(binding: Binding) -> bool:
    return binding.key is not None and binding.value is not None and bool(_VARIABLE.fullmatch(binding.key))


def _nul(place: Place) -> Finding:
    return Finding(place=place, message="holds a NUL, which no process takes")
