"""Messages about the server of a spec: what goes there, and why nothing does yet."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, NamedTuple

from nemorun_cli.errors import ExpError
from nemorun_cli.executors import planning
from nemorun_cli.model.problems import Finding
from nemorun_cli.replication import credentials
from nemorun_cli.replication.experiment_files import SentParts
from nemorun_cli.system.files import write_new
from nemorun_cli.tracking.outbox import markers

if TYPE_CHECKING:
    from nemorun_cli.model.problems import Problem
    from nemorun_cli.model.spec import Spec
    from nemorun_cli.spec.document import Document
    from nemorun_cli.storage.paths import ExperimentFiles

ANNOUNCED = "announced"  # a file in an outbox of a home: the line about what goes there was printed


class _Obstacle(NamedTuple):
    """Why the server does not get all; `is_of_prefix` is whether the prefix is the reason."""

    message: str
    hint: str | None = None
    is_of_prefix: bool = False


def warnings(spec: Spec, document: Document) -> list[Problem]:
    """The warnings about the server of a spec: nothing is sent before somebody acts."""
    if spec.server is None:
        return []
    found = _obstacle(spec.server, spec, "")
    if found is None:
        return []
    place = ("prefix",) if found.is_of_prefix and spec.prefix else ("tracking", "dash_url")
    finding = Finding(place=place, message=found.message, hint=found.hint)
    return document.sources.in_order([document.attributed(finding)])


def line(files: ExperimentFiles, spec: Spec) -> str | None:
    """What goes to the server of an experiment that has started; None if there is nothing new to say.

    What is sent is reported once for a home, a server and a setting; why nothing is sent, each time.
    """
    if spec.server is None:
        return None
    found = _obstacle(spec.server, spec, files.id)
    reason = None if found is None else f"{found.message} ({found.hint})" if found.hint else found.message
    parts = SentParts.of(spec.tracking)
    if not _is_first(files, spec.server, parts):
        return None if reason is None else f"{spec.server}: {reason}"
    sent = ["the records", "ledger", "graph", "ends", "outputs"]
    kept: list[str] = []
    keys: list[str] = []
    for key, name, is_sent in (
        ("logs", "logs", parts.logs),
        ("spec", "env values", parts.spec),
        ("code", "code", parts.code),
    ):
        (sent if is_sent else kept).append(name)
        if not is_sent:
            keys.append(f"{key}: true")
    pronoun = "it" if kept == ["code"] else "them"
    without = f"; not {_joined(kept, 'or')} (tracking: {{{', '.join(keys)}}} adds {pronoun})" if kept else ""
    obstacle = "" if reason is None else f"; {reason}"
    return f"{spec.server} gets {_joined(sent, 'and')}{without}{obstacle}"


def _joined(names: list[str], word: str) -> str:
    """Names as a part of a sentence."""
    return f" {word} ".join(filter(None, [", ".join(names[:-1]), names[-1]]))


def _obstacle(server: str, spec: Spec, experiment_id: str) -> _Obstacle | None:
    """Why the server gets nothing now, or no records, as far as is known here."""
    try:
        credential = credentials.token_for(server)
        if credential is None:
            missing = credentials.missing(server)
            return _Obstacle(f"nothing is sent yet: {missing.message}", missing.hint)
    except (ExpError, OSError) as error:
        return _Obstacle(f"nothing is sent yet: {error}")
    user = credential.user
    owner, _, rest = planning.prefix(spec, experiment_id).partition("/")
    if user is None or user == owner:
        return None
    which = "prefix" if spec.prefix else "the default prefix"
    return _Obstacle(
        f"the server refuses the records, unless your token allows more: {which} begins with {owner}/,"
        f" and you are logged in as {user}",
        f"write prefix: {user}/{rest if spec.prefix else spec.name}",
        is_of_prefix=True,
    )


def _is_first(files: ExperimentFiles, server: str, parts: SentParts) -> bool:
    """Whether this was not reported before; from now on it counts as reported."""
    settings = "".join(str(int(flag)) for flag in (parts.logs, parts.spec, parts.code))
    outbox = markers.of_home(str(files.home), server)
    try:
        markers.prepare(outbox)
        write_new(os.path.join(outbox.folder, f"{ANNOUNCED}-{settings}"), b"")  # noqa: PTH118 - a text
    except FileExistsError:
        return False
    except OSError:
        return True
    return True
