"""What identifies an image: its digest in a registry, else its id. A task is reused with the same image."""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING, Any

import pytest
from engines.tiny_registry import registry
from support.workspace import events

from nemorun_cli import executors
from nemorun_cli.errors import EngineError

if TYPE_CHECKING:
    from collections.abc import Iterator

    import docker
    from engines.dockerd import Dockerd
    from support.workspace import ExpWorkspace

    from nemorun_cli.experiment.run import Run

TAG = f"exp-test/moving-{os.getpid()}"
"""Of this process: others run tests on the same engine at the same time."""


@pytest.fixture
def client(docker_engine: Dockerd) -> Iterator[docker.DockerClient]:
    """A client of the engine, in which the tag is removed afterwards."""
    with contextlib.closing(docker_engine.client) as client:
        yield client
        with contextlib.suppress(Exception):
            client.images.remove(TAG, force=True)


def image(name: str, **options: Any) -> str:
    """What identifies an image as an executor names it."""
    return str(executors.image("box", {"type": "docker", "image": name, **options}))


def ends(run: Run) -> list[str | None]:
    """The reasons with which its tasks ended, and the image in their fingerprints."""
    run.wait(timeout=60)
    return [
        event.get("reason") or event["parts"]["image"]
        for event in events(run)
        if event["event"] == "fingerprinted" or (event["event"] == "ended" and "reason" in event)
    ]


def test_a_moved_tag_is_another_image(workspace: ExpWorkspace, client: docker.DockerClient) -> None:
    """A task is reused while its tag names the same image, and runs again when that was moved."""
    busybox = client.images.get("exp-test/busybox")
    busybox.tag(TAG)
    tasks = {"one": {"inline": "true", "entrypoint": "sh", "cache": True}}
    header = {"executors": {"box": {"type": "docker", "image": TAG}}, "executor": "box"}
    assert ends(workspace.start(tasks, **header)) == [busybox.id]
    assert ends(workspace.start(tasks, **header)) == [busybox.id, "cached"]
    container = client.containers.create(busybox.id, "true")
    other = container.commit(TAG)
    container.remove()
    assert ends(workspace.start(tasks, **header)) == [other.id]


def test_an_image_that_nobody_has_has_no_identity(client: docker.DockerClient) -> None:
    """The error names the image; without the engine there is none either."""
    del client
    with pytest.raises(EngineError, match="there is no image exp-test/none, and `pull: never` forbids"):
        image("exp-test/none", pull="never")
    with pytest.raises(EngineError, match=r"the digest of the image 127\.0\.0\.1:9/none is not known"):
        image("127.0.0.1:9/none")


def test_the_digest_in_the_registry_is_that_of_the_pulled_image(
    docker_engine: Dockerd, client: docker.DockerClient
) -> None:
    """The registry is asked about an image that is not here yet, and always with `pull: always`."""
    with registry(docker_engine, client.images.get("exp-test/busybox")) as (name, digest):
        assert image(name) == image(f"{name}:latest", pull="always") == digest
        client.images.pull(name, tag="latest")
        assert image(name) == image(f"{name}@{digest}") == digest
        assert image(name, pull="never") == digest
    try:
        assert image(name) == digest
        with pytest.raises(EngineError, match="is not known"):
            image(name, pull="always")
    finally:
        client.images.remove(f"{name}:latest")
