"""What is wrong with a Docker engine, and how it is mended."""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING, Any, Final

from nemorun_cli.executors import Diagnosis
from nemorun_cli.executors.docker.client import DownError, Engine, GoneError, RefusedError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

NVIDIA_HOOK: Final = "nvidia-container-runtime-hook"  # what Docker looks for when GPUs are asked for


def diagnose(engine: Engine, options: Mapping[str, Any]) -> Iterator[Diagnosis]:
    """Everything that stands between a task and its container, as far as it can be seen."""
    try:
        yield _answer(engine)
        if image := options.get("image"):  # the doctor asks without any options
            yield _image(engine, image, options.get("pull", "missing"))
        if "gpus" in options:
            yield _gpus(engine)
        if runtime := options.get("runtime"):
            yield _runtime(engine, runtime)
    except DownError as error:
        yield Diagnosis(engine="docker", is_ok=False, message=error.message, remedy=_remedy(engine, error))
    except (RefusedError, GoneError) as error:
        yield Diagnosis(
            engine="docker",
            is_ok=False,
            message=f"the Docker engine at {engine.address} refuses: {error}",
            remedy="see what it says about that: journalctl -u docker",
        )
    finally:
        engine.close()


def _answer(engine: Engine) -> Diagnosis:
    path = engine.socket_path  # refuses engines of other machines
    return Diagnosis(engine="docker", is_ok=True, message=f"{engine.ask_version()} at {path}")


def _remedy(engine: Engine, error: DownError) -> str:
    if error.hint:
        return error.hint
    path = engine.socket_path
    if os.path.exists(path):  # noqa: PTH110 - a path that may not be looked into is an answer, too
        if not os.access(path, os.R_OK | os.W_OK):
            return (
                f"you may not use {path}: become a member of its group with "
                "`sudo usermod -aG docker $USER` and log in again"
            )
        return "it is not running: start it with `sudo systemctl start docker`"
    if shutil.which("dockerd") is None:
        return "install it (Debian: apt-get install docker.io), or point DOCKER_HOST to the socket of another"
    return "start it with `sudo systemctl start docker`, or point DOCKER_HOST to the socket of another"


def _image(engine: Engine, image: str, pull: str) -> Diagnosis:
    if pull != "always" and engine.has_image(image):
        return Diagnosis(engine="docker", is_ok=True, message=f"the image {image} is there")
    if pull == "never":
        return Diagnosis(
            engine="docker",
            is_ok=False,
            message=f"there is no image {image}, and `pull: never` forbids to fetch it",
            remedy=f"docker pull {image}, or build it",
        )
    try:
        engine.can_pull(image)
    except (RefusedError, GoneError) as error:
        return Diagnosis(
            engine="docker",
            is_ok=False,
            message=f"the image {image} cannot be pulled: {error}",
            remedy=f"check its name, `docker login` to its registry, or build it: docker build -t {image} .",
        )
    return Diagnosis(engine="docker", is_ok=True, message=f"the image {image} can be pulled")


def _gpus(engine: Engine) -> Diagnosis:
    is_ok = "nvidia" in engine.runtimes() or shutil.which(NVIDIA_HOOK) is not None
    return Diagnosis(
        engine="docker",
        is_ok=is_ok,
        message="the engine can give GPUs" if is_ok else "the engine has no way to give GPUs to a container",
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
        message=f"the runtime {runtime} is there" if is_ok else f"there is no runtime {runtime!r}",
        remedy=None if is_ok else f"the engine knows: {', '.join(known)}; add others to its daemon.json",
    )
