"""The network that an experiment has in a Docker engine: made for members of groups, removed at its end.

It is found by its labels, and no network without them is ever removed.
"""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

from nemorun_cli.executors.docker import labels
from nemorun_cli.executors.docker.client import NoSuchObjectError, RefusedError
from nemorun_cli.storage.paths import ExperimentFiles

if TYPE_CHECKING:
    from nemorun_cli.executors.docker.client import Engine
    from nemorun_cli.model.plan import Plan

TRIES: Final = 5  # to remove a network whose last container is being removed
REMOVAL_PAUSE: Final = 0.2  # seconds between them
NO_ADDRESSES: Final = "could not find an available"  # in the engine's message when all address pools are used

_making = threading.Lock()  # two members of a group start at once, in threads of this process


def ensure(engine: Engine, plan: Plan) -> None:
    """Make the experiment's network, if the attempt needs it and it does not exist.

    Raises:
        RefusedError: the engine cannot make it, or its name is in use by a network of somebody else.
        DownError: the engine does not answer.
    """
    network = plan.details.get("network")
    if not network or not network["is_own"]:
        return
    own = labels.of_experiment(ExperimentFiles(Path(plan.env["EXP_DIR"])))
    with _making:
        if engine.networks(own):
            return
        try:
            is_made = engine.create_network(network["name"], own)
        except (RefusedError, NoSuchObjectError) as refusal:  # the engine answers 404 if it has no address
            raise RefusedError(_explained(str(refusal))) from None
        if not is_made and not engine.networks(own):
            raise RefusedError(
                f"another network is called {network['name']}: docker network rm {network['name']}"
            )


def _explained(message: str) -> str:
    """The engine's message, with the remedy if the networks of the machine are too many."""
    remedy = "; remove unused ones: exp gc, docker network prune" if NO_ADDRESSES in message else ""
    return f"the network of the experiment cannot be made: {message}{remedy}"


def remove(engine: Engine, files: ExperimentFiles) -> str | None:
    """Remove the network of an experiment, if no container uses it; returns why it stays, if it does."""
    found = engine.networks(labels.of_experiment(files))
    return "; ".join(reason for entry in found if (reason := remove_one(engine, entry["Id"]))) or None


def remove_one(engine: Engine, network: str) -> str | None:
    """Remove a network by its id; returns why it stays, if it does."""
    for is_last in (*[False] * (TRIES - 1), True):
        try:
            engine.remove_network(network)
        except NoSuchObjectError:
            break
        except RefusedError as refusal:  # a container that ended just now is still part of it
            if is_last:
                return str(refusal)
            time.sleep(REMOVAL_PAUSE)
        else:
            break
    return None
