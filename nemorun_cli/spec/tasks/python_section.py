"""Resolves `python` of tasks: which environment it names, and what one that is made is made from."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nemorun_cli.errors import UsageError
from nemorun_cli.model.problems import Finding
from nemorun_cli.model.python_environment import KINDS, NONE, PythonEnvironment
from nemorun_cli.packagers.environments import existing, interpreters, requirements
from nemorun_cli.packagers.environments.interpreters import EnvironmentFault
from nemorun_cli.system.user import expanded

if TYPE_CHECKING:
    from collections.abc import Mapping

    from nemorun_cli.executors.capabilities import Capabilities
    from nemorun_cli.model.problems import Place
    from nemorun_cli.storage.paths import ExperimentFiles

_MOST_NAMED = 3  # packages in the text of an environment


class PythonSection:
    """Reads the values of `python`, each once; collects errors in `findings`.

    Args:
        folder: the spec's.
        copies: the experiment that is run again, whose environments are used again; None for a new one.

    Attributes:
        environments: those to be made, by id.
    """

    def __init__(self, folder: Path, copies: ExperimentFiles | None) -> None:
        self.findings: list[Finding] = []
        self.environments: dict[str, PythonEnvironment] = {}
        self._folder, self._copies = folder, copies
        self._read: dict[tuple[Place, str, str], dict[str, Any] | None] = {}
        self._before: dict[str, PythonEnvironment] | None = None

    def resolved(
        self, value: Any, place: Place, *, executor: str, capabilities: Capabilities
    ) -> dict[str, Any] | None:
        """The environment as the spec keeps it; None for the Python on the PATH, or after an error."""
        known = (place, executor, json.dumps(value, sort_keys=True, default=str))
        if known not in self._read:
            self._read[known] = None
            try:
                self._read[known] = self._resolved(value, place, executor, capabilities)
            except EnvironmentFault as fault:
                own = (*place, fault.key) if fault.key is not None and fault.key in value else None
                self._report(own or self._place_of(value, place), fault.message, fault.hint)
            except UsageError as error:  # a user without a folder, in a path that begins with ~
                self._report(self._place_of(value, place), error.message, error.hint)
        return self._read[known]

    def _report(self, place: Place, message: str, hint: str | None = None) -> None:
        finding = Finding(place=place, message=message, hint=hint)
        if finding not in self.findings:
            self.findings.append(finding)

    @staticmethod
    def _place_of(value: Any, place: Place) -> Place:
        kind = next((kind for kind in KINDS if isinstance(value, dict) and kind in value), None)
        return (*place, kind) if kind is not None else place

    def _resolved(
        self, value: Any, place: Place, executor: str, capabilities: Capabilities
    ) -> dict[str, Any] | None:
        if isinstance(value, str):
            if value != NONE:
                hint = f"write {NONE}, {{venv: PATH}}, {{conda: NAME}} or {{uv: requirements.txt}}"
                self._report(place, f"{value!r} is no Python environment", hint)
            return None
        kinds = [kind for kind in KINDS if kind in value]
        if not value:
            return None  # it had an unknown key, which is reported
        if len(kinds) != 1:
            text = f"has {' and '.join(kinds)}" if kinds else "names no environment"
            self._report(place, text, "write exactly one of venv, conda and uv")
            return None
        if "version" in value and kinds[0] != "uv":
            hint = f"leave it out: a {kinds[0]} has the Python that it was made with"
            self._report((*place, "version"), "applies only to uv", hint)
        is_inside = capabilities.has_own_files
        if kinds[0] == "uv":
            if is_inside and capabilities.environment_host is None:
                raise EnvironmentFault(_not_here(executor, capabilities), hint=_REMEDY)
            return self._made(value, capabilities.environment_host)
        return self._named(kinds[0], value[kinds[0]], executor, capabilities if is_inside else None)

    def _named(self, kind: str, named: str, executor: str, elsewhere: Capabilities | None) -> dict[str, Any]:
        if elsewhere is not None:
            if not named.startswith("/"):
                where = "in its image" if elsewhere.is_container else "on its host"
                example = "/opt/conda/envs/train" if kind == "conda" else "/opt/venv"
                raise EnvironmentFault(
                    f"{named!r} is no absolute path, and tasks of {executor} do not see this machine's files",
                    hint=f"write the path {where}, such as {example}",
                )
            return {kind: named.rstrip("/")}
        if kind == "conda":
            prefix = existing.conda_prefix(named)
            return {"conda": str(prefix), **({} if "/" in named else {"name": named})}
        path = self._folder / expanded(named)
        existing.require_venv(path)
        return {"venv": str(path)}

    def _made(self, value: Mapping[str, Any], host: str | None) -> dict[str, Any]:
        source, version = value["uv"], value.get("version")
        if isinstance(source, str):
            path = self._folder / expanded(source)
            if path.name == requirements.PROJECT:
                path = path.with_name(requirements.PROJECT_FILE)
            source = str(path)
        declared = {"uv": source, **({} if version is None else {"version": version})}
        environment = self._kept(declared, host)
        if environment is None:
            environment = self._new(source, version, host)
        self.environments[environment.id] = environment
        return {**declared, "environment": environment.id}

    def _new(self, source: str | list[str], version: str | None, host: str | None) -> PythonEnvironment:
        if host is not None:
            return self._remote(source, version, host)
        interpreters.installer()
        interpreter = interpreters.find(version)
        read, folder, text = self._requirements(source, None)
        facts = [read.digest(), interpreter.path, interpreter.version, interpreter.platform]
        base = "\0".join(facts)
        return PythonEnvironment(
            id=hashlib.sha256(base.encode(errors="surrogateescape")).hexdigest()[:16],
            text=f"uv: {text}, Python {interpreter.version}",
            requirements=tuple(read.lines),
            constraints=tuple(read.constraints),
            files=read.files,
            interpreter=interpreter.path,
            version=interpreter.version,
            platform=interpreter.platform,
            folder=str(folder),
        )

    def _requirements(
        self, source: str | list[str], host: str | None
    ) -> tuple[requirements.Requirements, Path, str]:
        """The requirements, the folder that they are from, and what they are called."""
        if isinstance(source, str):
            path = Path(source)
            return requirements.of_file(path, host=host), path.parent, path.name
        more = len(source) - _MOST_NAMED
        text = ", ".join(source[:_MOST_NAMED]) + (f" and {more} more" if more > 0 else "")
        return requirements.of_list(source, self._folder, host=host), self._folder, text

    def _remote(self, source: str | list[str], version: str | None, host: str) -> PythonEnvironment:
        """The environment that is made on a host, whose Pythons are not known here."""
        read, folder, text = self._requirements(source, host)
        base = "\0".join([read.digest(), version or "", host])
        return PythonEnvironment(
            id=hashlib.sha256(base.encode(errors="surrogateescape")).hexdigest()[:16],
            text=f"uv: {text}, Python {version or 3} on {host}",
            requirements=tuple(read.lines),
            constraints=tuple(read.constraints),
            interpreter=f"python{version or 3}",
            version=version or "3",
            platform="",
            folder=str(folder),
            host=host,
        )

    def _kept(self, declared: Mapping[str, Any], host: str | None) -> PythonEnvironment | None:
        """The environment that the experiment which is run again had for the same value."""
        if self._copies is None:
            return None
        if self._before is None:
            from nemorun_cli.storage import spec_copies  # noqa: PLC0415 - only to run an experiment again

            spec = spec_copies.read_spec(self._copies)
            made = {environment.id: environment for environment in spec.environments}
            pythons = [task.python for task in spec.tasks if task.python and "environment" in task.python]
            self._before = {
                _key(python): made[python["environment"]]
                for python in pythons
                if python["environment"] in made
            }
        kept = self._before.get(_key(declared))
        return kept if kept is not None and kept.host == host else None


def _key(python: Mapping[str, Any]) -> str:
    return json.dumps({key: python[key] for key in ("uv", "version") if key in python}, sort_keys=True)


_REMEDY = "install the packages there, and name that environment: {venv: /opt/venv}"


def _not_here(executor: str, capabilities: Capabilities) -> str:
    where = "in containers" if capabilities.is_container else "on another host"
    return f"an environment that uv makes is on this machine, and the tasks of {executor} run {where}"
