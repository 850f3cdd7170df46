"""What the shell offers for experiments, tasks and specs: read from names and folders, never from ledgers."""

from __future__ import annotations

import contextlib
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Final

import typer

from nemorun_cli.errors import ExpError
from nemorun_cli.model.status import ExperimentStatus
from nemorun_cli.storage.paths import Home, age_key

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

SPEC_ENDINGS: Final = (".yaml", ".yml")
PROGRAM_ENDINGS: Final = (".py",)
MOST: Final = 200  # ids that are offered: more cannot be read


def experiments(incomplete: str) -> list[str]:
    """Ids that begin like this, the newest first, and names."""
    try:
        home = Home.from_environment()
        names = home.names()
        near = [name for name in names if incomplete.startswith(name) or name.startswith(incomplete)]
        ids = [one for name in near for one in home.ids(name) if one.startswith(incomplete)]
    except (ExpError, OSError):
        return []
    newest = sorted(ids, key=age_key, reverse=True)[:MOST]
    return [*(name for name in [*names, "latest"] if name.startswith(incomplete)), *newest]


def names(incomplete: str) -> list[str]:
    """Names of experiments."""
    try:
        return [name for name in Home.from_environment().names() if name.startswith(incomplete)]
    except (ExpError, OSError):
        return []


def statuses(incomplete: str) -> list[str]:
    """What an experiment can be."""
    words = [status.lower() if incomplete.islower() else str(status) for status in ExperimentStatus]
    return [word for word in words if word.startswith(incomplete)]


def tasks(ctx: typer.Context, incomplete: str) -> list[str]:
    """Ids of tasks and groups of the experiment on the command line, or of the latest."""
    from nemorun_cli.experiment.run import LATEST, find  # noqa: PLC0415 - not for the completion of ids

    try:
        run = find(_which(ctx) or LATEST)
        document = json.loads(run.files.resolved.read_bytes())
        ids = [group["id"] for group in document["groups"]] + [task["id"] for task in document["tasks"]]
    except (ExpError, OSError, ValueError, KeyError, TypeError):
        return []
    return [one for one in ids if one.startswith(incomplete)]


def _which(ctx: typer.Context) -> str | None:
    """The experiment of an unfinished command line: parsed, or left over where an option lacks its value."""
    left = [argument for argument in ctx.args if not argument.startswith("-")]
    given: str | None = ctx.params.get("which")
    return left[0] if left and given in {None, "latest"} else given


def specs(incomplete: str) -> list[str]:
    """YAML files and folders that begin like this."""
    folder, _, start = incomplete.rpartition("/")
    lead = f"{folder}/" if "/" in incomplete else ""
    found = []
    with contextlib.suppress(OSError), os.scandir(Path(lead or ".").expanduser()) as entries:
        for entry in entries:
            if not entry.name.startswith(start) or (entry.name.startswith(".") and not start):
                continue
            if entry.is_dir():
                found.append(f"{lead}{entry.name}/")
            elif entry.name.endswith(SPEC_ENDINGS):
                found.append(f"{lead}{entry.name}")
    return sorted(found)


def if_running(incomplete: str) -> list[str]:
    """The words of `--if-running`."""
    return [word for word in ("fail", "skip", "replace") if word.startswith(incomplete)]


def one_of(words: Sequence[str]) -> Callable[[str], list[str]]:
    """The completion of an option that takes one of these words."""
    return lambda incomplete: [word for word in words if word.startswith(incomplete)]


def signals(incomplete: str) -> list[str]:
    """Names of signals, without SIG."""
    import signal  # noqa: PLC0415 - only to complete one

    names = sorted(
        number.name.removeprefix("SIG") for number in signal.valid_signals() if hasattr(number, "name")
    )
    return [name for name in names if name.startswith(incomplete.upper())]


def schema_paths(incomplete: str) -> list[str]:
    """Keys of a spec, one level at a time."""
    from nemorun_cli.spec.schema import reference  # noqa: PLC0415 - only to complete a path

    lead, _, start = incomplete.rpartition(".")
    try:
        keys = reference.keys(lead)
    except (ExpError, OSError, ValueError):
        return []
    return [f"{lead}.{key}" if lead else key for key in keys if key.startswith(start)]
