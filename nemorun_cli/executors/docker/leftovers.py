"""Containers and networks that remain of finished experiments, for `exp gc`."""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING, Final

from nemorun_cli.executors import Leftover
from nemorun_cli.executors.docker import experiment_network
from nemorun_cli.executors.docker.client import DownError, Engine, RefusedError, host
from nemorun_cli.executors.docker.labels import LABEL

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from nemorun_cli.storage.paths import ExperimentFiles

ENDED: Final = ("created", "exited", "dead")  # Docker's states; one that runs may be an abandoned attempt


def leftovers(home: Path) -> Iterator[Leftover]:
    """What does not run, or is not used, of a home's experiments; nothing if no engine answers."""
    engine = Engine(host())
    if not engine.is_local or not os.path.exists(engine.socket_path):  # noqa: PTH110 - False if not accessible
        return
    with contextlib.closing(engine), contextlib.suppress(DownError, RefusedError):
        own = {LABEL + "home": os.path.realpath(home)}
        for entry in engine.list(own):
            if entry["State"] in ENDED and entry["Names"]:
                name = entry["Names"][0].removeprefix("/")
                yield Leftover(kind="container", name=name, experiment=entry["Labels"][LABEL + "experiment"])
        for entry in engine.networks(own, is_unused=True):
            experiment = entry["Labels"][LABEL + "experiment"]
            yield Leftover(kind="network", name=entry["Name"], experiment=experiment)


def remove(name: str) -> str | None:
    """Remove a container that does not run, or an unused network; returns why it stays, if it does."""
    with contextlib.closing(Engine(host())) as engine:
        try:
            if network := _network(engine, name):
                return experiment_network.remove_one(engine, network)
            engine.remove(name)
        except (DownError, RefusedError) as error:
            return str(error)
    return None


def _network(engine: Engine, name: str) -> str | None:
    """The id of the network of this name that an experiment made; containers have other names."""
    found = engine.networks({}, called=name)
    return next((str(entry["Id"]) for entry in found if LABEL + "experiment" in entry["Labels"]), None)


def remove_shared(files: ExperimentFiles, address: str | None) -> str | None:
    """Remove what the tasks of an experiment shared in an engine; returns why something stays, if it does."""
    engine = Engine(address or host())
    if not engine.is_local:
        return None
    with contextlib.closing(engine):
        try:
            return experiment_network.remove(engine, files)
        except (DownError, RefusedError) as error:
            return str(error)
