"""Checks whether a Docker engine can run tasks, with a remedy for each problem."""

from __future__ import annotations

import os
import shlex
import shutil
from typing import TYPE_CHECKING, Any, Final

from nemorun_cli.executors import Diagnosis
from nemorun_cli.executors.docker.client import DownError, Engine, NoSuchObjectError, RefusedError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

NVIDIA_HOOK: Final = "nvidia-container-runtime-hook"  # the program that Docker needs for GPUs


def diagnose(engine: Engine, options: Mapping[str, Any]) -> Iterator[Diagnosis]:
    """Check everything that a container of a task needs, as far as it can be checked in advance."""
    try:
        version = _version(engine)
        yield version
        if not version.is_ok:
            return
        if image := options.get("image"):  # `doctor` passes no options
            yield _image(engine, image, options.get("pull", "missing"))
        if "gpus" in options:
            yield _gpus(engine)
        if runtime := options.get("runtime"):
            yield _runtime(engine, runtime)
    except DownError as error:
        yield Diagnosis(engine="docker", is_ok=False, message=error.message, remedy=_remedy(engine, error))
    except (RefusedError, NoSuchObjectError) as error:
        yield Diagnosis(
            engine="docker",
            is_ok=False,
            message=f"the Docker engine at {engine.address} refused a request: {error}",
            remedy="read its log: journalctl -u docker",
        )
    finally:
        engine.close()


def _version(engine: Engine) -> Diagnosis:
    path = engine.socket_path  # raises for an engine on another machine
    try:
        engine.require_docker()
    except RefusedError as refusal:
        remedy = "set DOCKER_HOST to the socket of a Docker engine; Podman is not supported"
        return Diagnosis(engine="docker", is_ok=False, message=str(refusal), remedy=remedy)
    return Diagnosis(engine="docker", is_ok=True, message=f"{engine.ask_version()} at {path}")


def _remedy(engine: Engine, error: DownError) -> str:
    if error.hint:
        return error.hint
    path = engine.socket_path
    if os.path.exists(path):  # noqa: PTH110 - for a path that is not accessible False is a valid answer
        if not os.access(path, os.R_OK | os.W_OK):
            return (
                f"you have no permission to use {path}: join its group with "
                "`sudo usermod -aG docker $USER` and log in again"
            )
        return "it is not running: start it with `sudo systemctl start docker`"
    if shutil.which("dockerd") is None:
        return "install it (Debian: apt-get install docker.io), or set DOCKER_HOST to another engine's socket"
    return "start it with `sudo systemctl start docker`, or set DOCKER_HOST to another engine's socket"


def _image(engine: Engine, image: str, pull: str) -> Diagnosis:
    if pull != "always" and engine.has_image(image):
        return Diagnosis(engine="docker", is_ok=True, message=f"the image {image} exists")
    if pull == "never":
        return Diagnosis(
            engine="docker",
            is_ok=False,
            message=f"there is no image {image}, and `pull: never` forbids pulling it",
            remedy=f"docker pull {shlex.quote(image)}, or build it",
        )
    try:
        engine.check_pull(image)
    except (RefusedError, NoSuchObjectError) as error:
        return Diagnosis(
            engine="docker",
            is_ok=False,
            message=f"the image {image} cannot be pulled: {error}",
            remedy="check its name, `docker login` to its registry, or build it:"
            f" docker build -t {shlex.quote(image)} .",
        )
    return Diagnosis(engine="docker", is_ok=True, message=f"the image {image} can be pulled")


def _gpus(engine: Engine) -> Diagnosis:
    is_ok = "nvidia" in engine.runtimes() or shutil.which(NVIDIA_HOOK) is not None
    return Diagnosis(
        engine="docker",
        is_ok=is_ok,
        message="the engine supports GPUs" if is_ok else "the engine does not support GPUs",
        remedy=None
        if is_ok
        else "install nvidia-container-toolkit, then: sudo nvidia-ctk runtime configure --runtime=docker "
        "and sudo systemctl restart docker",
    )


def _runtime(engine: Engine, runtime: str) -> Diagnosis:
    known = engine.runtimes()
    is_ok = runtime in known
    return Diagnosis(
        engine="docker",
        is_ok=is_ok,
        message=f"the runtime {runtime} exists" if is_ok else f"there is no runtime {runtime!r}",
        remedy=None if is_ok else f"the engine has: {', '.join(known)}; add others to its daemon.json",
    )
