"""Shell completion of experiments, tasks and specs, from names and folders; reads no ledger.

A name that could rewrite the terminal, or that a shell would take for several, is not offered.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Final

import typer

from nemorun_cli.cli.subcommands import SUBCOMMANDS
from nemorun_cli.errors import ExpError
from nemorun_cli.model.control_characters import escaped
from nemorun_cli.model.status import ExperimentStatus
from nemorun_cli.storage.paths import Home, age_key

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

SPEC_ENDINGS: Final = (".yaml", ".yml")
PROGRAM_ENDINGS: Final = (".py",)
PARAM_ENDINGS: Final = (".yaml", ".yml", ".json", ".toml")
_EVALUATED: Final = re.compile(r"""[\\'"`]""")  # the script for zsh evaluates what it is offered
MOST: Final = 200  # ids offered: nobody reads more
MOST_MEMBERS: Final = 50  # of one group that are offered one by one


def experiments(incomplete: str) -> list[str]:
    """Names and ids of experiments that begin with the text, newest first."""
    try:
        home = Home.from_environment()
        names = home.names()
        near = [name for name in names if incomplete.startswith(name) or name.startswith(incomplete)]
        all_ids = (experiment_id for name in near for experiment_id in home.ids(name))
        ids = [experiment_id for experiment_id in all_ids if experiment_id.startswith(incomplete)]
    except (ExpError, OSError):
        return []
    newest = sorted(ids, key=age_key, reverse=True)[:MOST]
    return [*offered([*names, "latest"], incomplete), *offered(newest, incomplete)]


def removable(ctx: typer.Context, incomplete: str) -> list[str]:
    """The same; with `--restore` the ids of the experiments in the trash."""
    if "--restore" not in ctx.args and not ctx.params.get("restores"):
        return experiments(incomplete)
    try:
        return offered(sorted(Home.from_environment().removed_ids()), incomplete)
    except (ExpError, OSError):
        return []


def offered(words: Iterable[str], incomplete: str) -> list[str]:
    """The words that begin with the text, without those that could do harm."""
    return [
        word
        for word in words
        if word.startswith(incomplete) and escaped(word) == word and not _EVALUATED.search(word)
    ]


def names(incomplete: str) -> list[str]:
    """Names of experiments."""
    try:
        return offered(Home.from_environment().names(), incomplete)
    except (ExpError, OSError):
        return []


def statuses(incomplete: str) -> list[str]:
    """Statuses of experiments."""
    words = [status.lower() if incomplete.islower() else str(status) for status in ExperimentStatus]
    return [word for word in words if word.startswith(incomplete)]


def tasks(ctx: typer.Context, incomplete: str) -> list[str]:
    """Ids of tasks and groups of the experiment on the command line, or of the latest."""
    from nemorun_cli.experiment.lookup import LATEST, find_files  # noqa: PLC0415 - only to complete tasks

    try:
        files = find_files(_which(ctx) or LATEST, Home.from_environment())
        document = json.loads(files.read(files.resolved))
        groups = [group["id"] for group in document["groups"]]
        ids = [task["id"] for task in document["tasks"]]
    except (ExpError, OSError, ValueError, KeyError, TypeError):
        return []
    return offered([*groups, *_few(ids, incomplete, groups)], incomplete)


def _few(ids: Sequence[str], incomplete: str, groups: Sequence[str]) -> list[str]:
    """The ids, but of many members of a group only how they continue: `train/trial-00`."""
    continued: list[str] = []
    for group, members in itertools.groupby(ids, key=lambda name: name.partition("/")[0]):
        matching = [name for name in members if name.startswith(incomplete)]
        if len(matching) <= MOST_MEMBERS or group not in groups:
            continued += matching
        elif len(incomplete) <= len(group):
            continued.append(f"{group}/")
        else:
            common = len(os.path.commonprefix(matching))  # noqa: RUF071 - a shell completes characters
            continued += dict.fromkeys(name[: common + 1] for name in matching)
    return continued


def _which(ctx: typer.Context) -> str | None:
    """The experiment of an unfinished command line; unparsed if an option still lacks its value."""
    unparsed = [argument for argument in ctx.args if not argument.startswith("-")]
    parsed: str | None = ctx.params.get("which")
    return unparsed[0] if unparsed and parsed in {None, "latest"} else parsed


def param_files(incomplete: str) -> list[str]:
    """Files of params that begin with the text after `@`; nothing without it."""
    if not incomplete.startswith("@"):
        return []
    return [f"@{path}" for path in _files(incomplete[1:], PARAM_ENDINGS)]


def specs(incomplete: str) -> list[str]:
    """YAML files and folders that begin with the text."""
    return _files(incomplete, SPEC_ENDINGS)


def _files(incomplete: str, endings: tuple[str, ...]) -> list[str]:
    folder, _, start = incomplete.rpartition("/")
    lead = f"{folder}/" if "/" in incomplete else ""
    paths = []
    with contextlib.suppress(OSError, RuntimeError), os.scandir(Path(lead or ".").expanduser()) as entries:
        for entry in entries:
            if not entry.name.startswith(start) or (entry.name.startswith(".") and not start):
                continue
            if entry.is_dir():
                paths.append(f"{lead}{entry.name}/")
            elif entry.name.endswith(endings):
                paths.append(f"{lead}{entry.name}")
    return sorted(offered(paths, incomplete))


def if_running(incomplete: str) -> list[str]:
    """Values of `--if-running`."""
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


def server_commands(ctx: typer.Context, incomplete: str) -> list[str]:
    """The next words of the commands that begin with `exp serve`."""
    typed = ["serve", *ctx.args, *(ctx.params.get("words") or ())]
    longer = [name.split() for name in SUBCOMMANDS]
    following = {words[len(typed)] for words in longer if words[: len(typed)] == typed < words}
    return sorted(word for word in following if word.startswith(incomplete))


def servers(incomplete: str) -> list[str]:
    """Addresses of the servers of earlier logins."""
    from nemorun_cli.replication import credentials  # noqa: PLC0415 - only for commands about servers

    try:
        return offered(credentials.known(), incomplete)
    except (ExpError, OSError):
        return []
