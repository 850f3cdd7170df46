"""The networks of members: which containers join them, under which names, and when they are removed."""

from __future__ import annotations

import contextlib
import os
import re
import threading
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import pytest
from support.patience import eventually
from support.workspace import status, statuses, until

from nemorun_cli.contract.fixtures import kill_supervisor
from nemorun_cli.executors.docker import experiment_network, meeting
from nemorun_cli.executors.docker.client import NoSuchObjectError, RefusedError
from nemorun_cli.executors.docker.meeting import attend
from nemorun_cli.executors.member_hosts import experiment_label

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from engines.dockerd import Dockerd
    from support.workspace import ExpWorkspace

    from nemorun_cli.experiment.run import Run

BUSYBOX = {"type": "docker", "image": "exp-test/busybox"}
PING = "busybox ping -c 1 -w 5 {} >/dev/null"


def header(**executors: dict[str, Any]) -> dict[str, Any]:
    """The header of a spec whose tasks run in containers."""
    boxes = {"box": BUSYBOX, **{name: {**BUSYBOX, **options} for name, options in executors.items()}}
    return {"executors": boxes, "executor": "box", "defaults": {"entrypoint": "sh"}}


def group(*members: dict[str, Any], **keys: Any) -> dict[str, Any]:
    """A group of these members, which start together."""
    return {"group": list(members), "together": True, **keys}


@pytest.fixture
def engine(docker_engine: Dockerd, workspace: ExpWorkspace) -> Iterator[Dockerd]:
    """The engine; a container or a network that a test leaves behind makes it fail."""
    yield docker_engine
    home = workspace.home.directory
    eventually(lambda: docker_engine.containers(home) == docker_engine.networks(home) == [])


def joined(engine: Dockerd, run: Run, task: str) -> dict[str, list[str]]:
    """The networks of a task's container, each with the names that it has there by its options."""
    job_id = eventually(lambda: run.status(observe=False).history.tasks[task].job_id)
    with contextlib.closing(engine.client) as client:
        found = client.api.inspect_container(job_id)
    networks = found["NetworkSettings"]["Networks"]
    return {name: sorted(set(entry["Aliases"] or ()) - {job_id}) for name, entry in networks.items()}


def test_members_find_each_other_on_the_network_of_their_experiment(
    workspace: ExpWorkspace, engine: Dockerd
) -> None:
    """It has the members, and no other task; all of their names are known before the first of them begins.

    A given network is used as it is. A member that fails holds up no other. Without a supervisor the network
    remains for those that run; a cancel removes it, and no network of somebody else.
    """
    with contextlib.closing(engine.client) as client:
        lan = f"lan-{os.getpid()}"
        client.api.create_network(lan)
        waits = until("never")
        calls = ["server", "a.server", "a.bare", "$EXP_HOST_SERVER"]
        members = [
            {"name": "caller", "inline": " && ".join(PING.format(name) for name in calls)},
            {"name": "bare", "command": ["sh", "-c", waits]},
            {"name": "broken", "inline": "true", "executor": "broken"},
            {"name": "x_1", "inline": waits, "executor": "lan"},
            {"name": "server", "inline": waits, "executor": "same"},
        ]
        options = {"same": {}, "lan": {"network": lan}, "broken": {"user": "nobody-here"}}
        run = workspace.start(
            {"a": group(*members), "b": group({"name": "Bare", "inline": waits}), "plain": waits},
            run={"max_parallel": 20},
            **header(**options),
        )
        eventually(
            lambda: {status(run, name) for name in ("a/caller", "a/broken")} <= {"SUCCEEDED", "FAILED"}
        )
        assert (status(run, "a/caller"), status(run, "a/broken")) == ("SUCCEEDED", "FAILED")
        label = experiment_label(run.files)
        own = f"exp-{run.id}-{label}"

        def known(member: str, name: str, *short: str) -> list[str]:
            return sorted([f"{member}.{name}.{label}.exp.internal", f"{name}.{member}", *short])

        running = ["a/bare", "a/x_1", "a/server", "b/Bare", "plain"]
        networks = {name: joined(engine, run, name) for name in running}
        assert not {own, lan} & networks.pop("plain").keys()
        assert networks == {
            "a/bare": {own: known("bare", "a")},
            "a/x_1": {lan: known("x-1", "a", "x-1")},
            "a/server": {own: known("server", "a", "server")},
            "b/Bare": {own: known("bare", "b")},
        }
        client.api.create_network(f"{own}-of-somebody")
        kill_supervisor(run)
        assert "network" not in [item["kind"] for item in workspace.exp("gc", "--json").json["removed"]]
        assert engine.networks(workspace.home.directory) == [own]
        run.cancel(grace=0)
        assert engine.networks(workspace.home.directory) == []
        for name in (lan, f"{own}-of-somebody"):
            client.api.remove_network(name)  # which fails if it does not exist


def test_a_member_that_waits_for_others_when_the_supervisor_dies_never_began(
    workspace: ExpWorkspace, engine: Dockerd, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It runs once, after the resume, which makes the network again."""
    note = 'echo "$EXP_TASK" >>ran'
    with monkeypatch.context() as patch:
        patch.setenv("EXP_FAULT", "attempt.waiting:2")
        run = workspace.start(
            {"duo": group({"name": "a", "inline": note}, {"name": "b", "inline": note})}, **header()
        )
        eventually(lambda: run.status(observe=False).supervisor == "gone")
    eventually(lambda: statuses(run.status()) == dict.fromkeys(("duo/a", "duo/b"), "PENDING"))
    assert not (workspace.folder / "ran").exists()
    assert engine.networks(workspace.home.directory) == []
    run.resume()
    assert set(statuses(run.wait(timeout=60)).values()) == {"SUCCEEDED"}
    assert sorted((workspace.folder / "ran").read_text(encoding="utf-8").split()) == ["duo/a", "duo/b"]


class Refusing:
    """An engine without networks, that makes none."""

    def __init__(self, error: Exception | None) -> None:
        self.error = error

    def networks(self, labels: Mapping[str, str]) -> list[dict[str, Any]]:
        """It has none with these labels."""
        del labels
        return []

    def create_network(self, name: str, labels: Mapping[str, str]) -> bool:
        """Refuse it, or report that somebody else has the name."""
        del name, labels
        if self.error is not None:
            raise self.error
        return False


FULL = "could not find an available, non-overlapping IPv4 address pool"


@pytest.mark.parametrize(
    ("error", "remedy"),
    [
        (NoSuchObjectError(FULL), "docker network prune"),
        (RefusedError(FULL), "exp gc"),
        (RefusedError("no plugin"), "cannot be made: no plugin"),
        (None, "another network is called exp-1: docker network rm exp-1"),
    ],
)
def test_a_network_that_cannot_be_made_is_a_refusal(
    tmp_path: Path, error: Exception | None, remedy: str
) -> None:
    """The launch fails, with the remedy."""
    plan = SimpleNamespace(
        env={"EXP_DIR": str(tmp_path / "experiments/e/e_1")},
        details={"network": {"name": "exp-1", "is_own": True, "aliases": []}},
    )
    with pytest.raises(RefusedError, match=re.escape(remedy)):
        experiment_network.ensure(cast("Any", Refusing(error)), cast("Any", plan))


# -- meetings ----------------------------------------------------------------------------------------


def test_a_meeting_ends_when_all_have_arrived(monkeypatch: pytest.MonkeyPatch) -> None:
    """Members wait for each other, and for one that never arrives no longer than the patience."""
    members = [attend("a group") for _ in range(3)]
    first = threading.Thread(target=members[0].arrive_and_wait)
    first.start()
    members[1].arrive()
    members[1].arrive()  # a member counts once
    assert not members[0].meeting.has_ended
    members[2].arrive()
    first.join(10)
    assert not first.is_alive()
    late = attend("a group")
    assert late.meeting is not members[0].meeting
    monkeypatch.setattr(meeting, "PATIENCE", 0.01)
    attend("a group")  # never arrives
    late.arrive_and_wait()
    assert late.meeting.has_ended
