"""What the process of fingerprints does with one: it takes an earlier result, or keeps the present one.

Both copy files, which may be large, and so have no place in the loop of a supervisor.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from nemorun_cli.model.step_cache import Fingerprint
from nemorun_cli.storage.step_cache import keeping, taking
from nemorun_cli.storage.step_cache.attempt_site import AttemptSite

if TYPE_CHECKING:
    from collections.abc import Mapping

    from nemorun_cli.storage.step_cache.entries import StepCache

TAKE: Final = "take"
KEEP: Final = "keep"
MOST_NAMED: Final = 3  # parts that a message names


def taking_of(site: AttemptSite) -> dict[str, Any]:
    """The action of taking an earlier result for an attempt that has not started."""
    return {"do": TAKE, "site": site.to_json()}


def keeping_of(
    site: AttemptSite,
    parts: Mapping[str, str],
    *,
    outputs: Mapping[str, Any],
    exit_code: int,
    replaces: bool,
) -> dict[str, Any]:
    """The action of keeping the result of an attempt that has succeeded.

    Args:
        site: its places.
        parts: of its fingerprint before it started.
        outputs: what it wrote to `$EXP_OUTPUT`.
        exit_code: of the attempt.
        replaces: whether an earlier result is replaced.
    """
    return {
        "do": KEEP,
        "site": site.to_json(),
        "before": dict(parts),
        "outputs": dict(outputs),
        "exit_code": exit_code,
        "replaces": replaces,
    }


def done(cache: StepCache, action: Mapping[str, Any], fingerprint: Fingerprint) -> dict[str, Any]:
    """Take an action; returns what the answer has in addition to the fingerprint."""
    try:
        return _done(cache, action, fingerprint)
    except OSError as error:  # such as a file in the place of the step cache
        return {"message": f"{error.filename or cache.home.step_cache}: {error.strerror or error}"}


def _done(cache: StepCache, action: Mapping[str, Any], fingerprint: Fingerprint) -> dict[str, Any]:
    site = AttemptSite.from_json(action["site"])
    if action["do"] == TAKE:
        result = taking.take(cache, site, fingerprint.id, parts=fingerprint.parts)
        if isinstance(result, taking.Miss):
            return {"message": result.message}
        return {
            "message": result.message,
            "origin": result.entry.origin,
            "outputs": dict(result.entry.outputs),
            "exit_code": result.entry.exit_code,
            "records": [list(record) for record in result.records],
        }
    before = Fingerprint.of(action["before"])
    if changes := fingerprint.changes(before):
        named = ", ".join(changes[:MOST_NAMED]) + (", …" if len(changes) > MOST_NAMED else "")
        return {"message": f"what it depends on was changed while it ran: {named}"}
    message = keeping.keep(
        cache,
        site,
        fingerprint=fingerprint.id,
        outputs=action["outputs"],
        exit_code=action["exit_code"],
        replaces=action["replaces"],
    )
    return {"message": message}
