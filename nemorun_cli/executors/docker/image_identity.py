"""What identifies the content of a Docker image: tags are moved, digests and ids are not."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from nemorun_cli.errors import EngineError
from nemorun_cli.executors.docker.client import DownError, NoSuchObjectError, RefusedError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from nemorun_cli.executors.docker.client import Engine


def of(engine: Engine, image: str, pull: str) -> str:
    """The digest of the image that a container started now would have; else the id of one without a digest.

    Raises:
        EngineError: the engine does not answer, or there is no such image.
    """
    try:
        known = None if pull == "always" else engine.describe_image(image)
        if known is not None:
            return _digest(known, image) or str(known["Id"])
        if pull == "never":
            raise EngineError(f"there is no image {image}, and `pull: never` forbids pulling it")
        return engine.registry_digest(image)
    except DownError as error:
        raise EngineError(error.message, hint=error.hint) from error
    except (RefusedError, NoSuchObjectError) as error:
        raise EngineError(f"the digest of the image {image} is not known: {error}") from error


def _digest(known: Mapping[str, Any], image: str) -> str | None:
    """The registry's digest of an image: that of the repository it is named by, else of any."""
    digests = sorted(known.get("RepoDigests") or [])
    repository = image.partition("@")[0]
    if ":" in repository.rpartition("/")[2]:
        repository = repository.rpartition(":")[0]
    own = [each for each in digests if each.partition("@")[0] == repository]
    return next((each.partition("@")[2] for each in (*own, *digests)), None)
