"""Containers that remain of attempts of finished experiments, for `exp gc`."""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING, Final

from nemorun_cli.executors import Leftover
from nemorun_cli.executors.docker.client import DownError, Engine, RefusedError, host
from nemorun_cli.executors.docker.container import LABEL

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

ENDED: Final = ("created", "exited", "dead")  # Docker's states; one that runs may be an abandoned attempt


def leftovers(home: Path) -> Iterator[Leftover]:
    """The containers of a home's experiments that do not run; none if no engine answers."""
    engine = Engine(host())
    if not engine.is_local or not os.path.exists(engine.socket_path):  # noqa: PTH110 - False if not accessible
        return
    with contextlib.closing(engine), contextlib.suppress(DownError, RefusedError):
        for entry in engine.list({LABEL + "home": os.path.realpath(home)}):
            if entry["State"] in ENDED and entry["Names"]:
                name = entry["Names"][0].removeprefix("/")
                yield Leftover(kind="container", name=name, experiment=entry["Labels"][LABEL + "experiment"])


def remove(name: str) -> str | None:
    """Remove a container that does not run; returns why it stays, if it does."""
    with contextlib.closing(Engine(host())) as engine:
        try:
            engine.remove(name)
        except (DownError, RefusedError) as error:
            return str(error)
    return None
