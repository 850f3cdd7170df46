"""The table of all endpoints, each with the scope that it needs.

A module of endpoints has a function `endpoints(site) -> list[Endpoint]`; `app.py` puts them together, so that
one place checks tokens, hosts and limits before any of them runs.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

    from nemorun_cli.serve.caller import Scope

Handler = Callable[["Request"], Awaitable["Response"]]


class Endpoint(NamedTuple):
    """One path with its methods.

    Attributes:
        path: Starlette's pattern; a handler with `{rest:path}` takes it from the raw path (`raw_path.py`).
        methods: such as `("GET", "HEAD")`.
        handler: is called with a request whose `state.caller` is a `Caller`, if `needs` is not None.
        needs: the scope of the token; None for what anybody may ask.
        largest_body: bytes.
    """

    path: str
    methods: tuple[str, ...]
    handler: Handler
    needs: Scope | None
    largest_body: int = 1 << 20
