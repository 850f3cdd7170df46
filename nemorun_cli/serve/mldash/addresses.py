"""The addresses below an experiment in ML-Dash's API, read from their raw form.

The clients do not quote the names of metrics: one may contain what separates the parts of an address.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, NamedTuple
from urllib.parse import unquote_to_bytes

from nemorun_cli.errors import InvalidValueError
from nemorun_cli.serve.mldash import node_ids
from nemorun_cli.serve.mldash.node_ids import NodeKind

if TYPE_CHECKING:
    from nemorun_cli.tracking.store.record_paths import Place

UNNAMED: Final = "None"  # the unnamed metric in the addresses of the clients

_METRIC: Final = re.compile(
    r"metrics/(?P<name>.+?)(?:/(?P<call>append-batch|append|stats|data|rows|chunks/\d+))?", re.DOTALL
)
_TRACK: Final = re.compile(r"tracks/(?P<name>[^/?]+)/(?P<call>append_batch|append|data)")


class Address(NamedTuple):
    """One address: `kind` is parameters, logs, metrics or tracks, or something unknown.

    `name` is that of the metric or track, None for the list of all, and `call` what is to be done with it.
    """

    kind: str
    name: str | None = None
    call: str | None = None

    def folder(self, place: Place) -> str | None:
        """The folder of the stream; None if its name cannot be one."""
        if self.kind == "logs":
            return place.logs
        try:
            if self.kind == "metrics":
                return place.metric(None if self.name == UNNAMED else self.name)
            return place.track(self.name or "")
        except InvalidValueError:
            return None

    @property
    def title(self) -> str:
        """The stream in messages."""
        return "the log" if self.kind == "logs" else f"{self.kind[:-1]} {self.name!r:.80}"


def parsed(rest: str) -> Address:
    """What an address means.

    Args:
        rest: what follows the id of the experiment in the raw path, and the query behind a `?`.
    """
    path = rest.partition("?")[0]
    if match := _TRACK.fullmatch(path):
        return Address("tracks", _text(match["name"]), match["call"])
    match = _METRIC.fullmatch(rest)
    if match is None or match["call"] is None:  # without a `?` in its name, or with the query of a request
        match = _METRIC.fullmatch(path)
    if match:
        return Address("metrics", _text(match["name"]), match["call"])
    return Address(path)


def _text(quoted: str) -> str:
    return unquote_to_bytes(quoted).decode(errors="replace")


def experiment_id(prefix: str) -> str:
    """The id of a record."""
    return str(node_ids.NodeId(NodeKind.EXPERIMENT, prefix))
