"""The gate before all endpoints: who asks, from where, and whether that may be.

It checks each request before anything else runs: the host, the origin, the token, its scope and the size of
the body. What has no endpoint is refused like what needs a token, so that nothing is reachable because a rule
was forgotten.
"""

from __future__ import annotations

import asyncio
import logging
import time
from http import HTTPStatus
from typing import TYPE_CHECKING, Final
from urllib.parse import parse_qs

from anyio import CapacityLimiter, to_thread
from starlette.requests import ClientDisconnect
from starlette.routing import Match

from nemorun_cli.errors import LedgerError
from nemorun_cli.serve import browser_rules, limits
from nemorun_cli.serve.caller import Scope
from nemorun_cli.serve.refusals import out_of_order, refusal, unauthorized
from nemorun_cli.serve.refused_clients import RefusedClients, is_of_ml_dash
from nemorun_cli.serve.request_slots import RequestSlots, TooManyRequestsError
from nemorun_cli.serve.sessions import PARAMETER

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from starlette.responses import Response
    from starlette.routing import Route
    from starlette.types import ASGIApp, Message, Receive, Send
    from starlette.types import Scope as AsgiScope

    from nemorun_cli.serve.access import Access
    from nemorun_cli.serve.caller import Caller
    from nemorun_cli.serve.endpoints import Endpoint

LONGEST_SHOWN: Final = 512  # characters of a path in the log
MOST_FIELDS: Final = 100  # of a query
CLIENT_LEFT: Final = 499  # in the log: the client closed the connection
log = logging.getLogger("nemorun_cli.serve")


class NotPassedError(Exception):
    """A request does not pass the gate.

    Args:
        response: the answer.
    """

    def __init__(self, response: Response) -> None:
        super().__init__(response.status_code)
        self.response = response


class Gate:
    """Checks every request, and adds headers to every answer.

    Args:
        app: is called with the requests that pass.
        table: all endpoints.
        routes: of the endpoints, in the same order.
        access: checks tokens.
        hosts: configured names of hosts, in lower case.
        stopping: is set when the server ends.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        table: Iterable[Endpoint],
        routes: Iterable[Route],
        access: Access,
        hosts: Collection[str],
        stopping: asyncio.Event,
    ) -> None:
        self._app = app
        self._routes = tuple(zip(table, routes, strict=True))
        self._access = access
        self._hosts = hosts
        self._stopping = stopping
        self._slots = RequestSlots()
        self._notes: set[asyncio.Future[None]] = set()
        self._noting: CapacityLimiter | None = None
        self._refused = RefusedClients()

    async def __call__(self, scope: AsgiScope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
        elif scope["type"] == "http":
            await self._answer(scope, receive, Answer(scope, send))
        else:
            await send({"type": "websocket.close", "code": 1008, "reason": "there are no web sockets"})

    async def _answer(self, scope: AsgiScope, receive: Receive, answer: Answer) -> None:
        try:
            await self._pass(scope, receive, answer)
        except NotPassedError as refused:
            await refused.response(scope, receive, answer.send)
        except ClientDisconnect:
            answer.status = answer.status or CLIENT_LEFT
        except asyncio.CancelledError:
            if not self._stopping.is_set():
                raise
            if not answer.status:
                ended = refusal(503, "stopping", "the server ends", headers={"Retry-After": "5"})
                await ended(scope, receive, answer.send)
        except Exception:
            log.exception("%s %s failed", scope["method"], _shown_path(scope))
            if answer.status:
                raise
            failed = refusal(500, "failed", "the server has a fault", hint="its log has the traceback")
            await failed(scope, receive, answer.send)
        finally:
            log.info("%s", answer)

    async def _pass(self, scope: AsgiScope, receive: Receive, answer: Answer) -> None:
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        self._refuse_foreign(scope["method"], headers)
        endpoint, methods = self._found(scope)
        caller = None
        if endpoint is None or endpoint.needs is not None:
            caller = await self._known_caller(scope, headers, endpoint)
        if endpoint is None:
            raise NotPassedError(_unknown(methods))
        _refuse_beyond_rights(endpoint, caller)
        _refuse_too_large(scope, headers, endpoint)
        scope.setdefault("state", {})["caller"] = caller
        answer.user = caller.user if caller else "-"
        answer.is_page = endpoint.needs is None
        body = limits.BoundedBody(receive, largest=endpoint.largest_body, stopping=self._stopping)
        whose = caller.token_id if caller else f"@{_client(scope)}"
        try:
            async with self._slots.one(whose, waits=is_of_ml_dash(_path(scope))):
                await self._app(scope, body.receive, answer.send)
        except TooManyRequestsError:
            message = f"more than {limits.MOST_REQUESTS} requests at once"
            headers = {} if is_of_ml_dash(_path(scope)) else {"Retry-After": "5"}
            raise NotPassedError(refusal(429, "too_many_requests", message, headers=headers)) from None
        await answer.end()

    def _refuse_foreign(self, method: str, headers: Mapping[str, str]) -> None:
        """Refuse what a page of another site could have made a browser send."""
        host = headers.get("host", "")
        if not browser_rules.is_allowed(host, self._hosts):
            message = "this server does not answer for that host"
            raise NotPassedError(refusal(421, "unknown_host", message, hint="exp serve --allowed-host NAME"))
        origin, fetch_site = headers.get("origin"), headers.get("sec-fetch-site")
        if browser_rules.is_foreign(method=method, host=host, origin=origin, fetch_site=fetch_site):
            message = "a page of another origin may change nothing here"
            raise NotPassedError(refusal(403, "foreign_origin", message))

    def _found(self, scope: AsgiScope) -> tuple[Endpoint | None, set[str]]:
        """The endpoint that answers a request; without one, the methods that others at its path take."""
        methods: set[str] = set()
        for endpoint, route in self._routes:
            match, _ = route.matches(scope)
            if match is Match.FULL:
                return endpoint, set()
            if match is Match.PARTIAL:
                methods |= route.methods or set()
        return None, methods

    async def _known_caller(
        self, scope: AsgiScope, headers: Mapping[str, str], endpoint: Endpoint | None
    ) -> Caller:
        """Who asks; without a valid token, the answer may wait."""
        try:
            return self._caller(scope, headers, endpoint)
        except LedgerError as error:
            raise NotPassedError(out_of_order(error)) from None
        except NotPassedError as refused:
            if refused.response.status_code == HTTPStatus.UNAUTHORIZED:
                await self._refused.wait(_path(scope), _client(scope), self._stopping)
            raise

    def _caller(self, scope: AsgiScope, headers: Mapping[str, str], endpoint: Endpoint | None) -> Caller:
        """Who asks, by the token, or by the signature of a link where a page cannot send a token."""
        authorization = headers.get("authorization")
        if authorization is None and endpoint is not None and scope["method"] in browser_rules.SAFE_METHODS:
            signature = _signature(scope)
            if signature is not None and endpoint.needs is Scope.READ:
                caller = self._access.sessions.check(_path(scope), signature)
                if caller is None:
                    message = "the link is older than a minute, or altered"
                    raise NotPassedError(refusal(403, "link_expired", message, hint="reload the page"))
                return caller
        caller = self._access.known(authorization)
        if caller is None:
            raise NotPassedError(unauthorized())
        self._note_use(caller)
        return caller

    def _note_use(self, caller: Caller) -> None:
        """Note the use of a token in a thread: the lock of the file may be held by another process."""
        if self._access.tokens.is_use_due(caller.token_id):
            task = asyncio.ensure_future(self._noted(caller.token_id))
            self._notes.add(task)
            task.add_done_callback(self._notes.discard)

    async def _noted(self, token_id: str) -> None:
        if self._noting is None:
            self._noting = CapacityLimiter(1)  # those that wait for the lock keep no other thread
        await to_thread.run_sync(self._access.tokens.write_use, token_id, limiter=self._noting)


def _unknown(methods: Collection[str]) -> Response:
    """The answer where no endpoint takes the request.

    Args:
        methods: what is taken at its path; empty if there is nothing.
    """
    if not methods:
        return refusal(404, "not_found", "there is nothing at this path")
    allowed = ", ".join(sorted(methods))
    return refusal(405, "method_not_allowed", f"this takes {allowed}", headers={"Allow": allowed})


def _refuse_beyond_rights(endpoint: Endpoint, caller: Caller | None) -> None:
    if endpoint.needs is not None and caller is not None and endpoint.needs not in caller.scopes:
        message = f"the token lacks the scope {endpoint.needs.value}"
        raise NotPassedError(refusal(403, "forbidden", message, hint="exp whoami"))


def _refuse_too_large(scope: AsgiScope, headers: Mapping[str, str], endpoint: Endpoint) -> None:
    if len(scope["raw_path"]) > limits.LARGEST_PATH:
        message = f"the path has more than {limits.LARGEST_PATH} bytes"
        raise NotPassedError(refusal(414, "uri_too_long", message))
    size = headers.get("content-length", "")
    if size.isdigit() and int(size) > endpoint.largest_body:
        message = f"the body has more than {endpoint.largest_body} bytes"
        raise NotPassedError(refusal(413, "content_too_large", message))


class Answer:
    """What is sent for one request; its text is the line of the log."""

    def __init__(self, scope: AsgiScope, send: Send) -> None:
        self._scope = scope
        self._send = send
        self._begin = time.monotonic()
        self._size = 0
        self._is_over = False
        self.status = 0
        self.user = "-"
        self.is_page = False

    async def send(self, message: Message) -> None:
        """Send a message of ASGI, with the headers that all answers have."""
        if message["type"] == "http.response.start":
            self.status = message["status"]
            present = {name for name, _ in message.get("headers", ())}
            policy = browser_rules.PAGE_POLICY if self.is_page else browser_rules.DATA_POLICY
            wanted = {"content-security-policy": policy, **browser_rules.HEADERS}
            added = [
                (name.encode(), value.encode())
                for name, value in wanted.items()
                if name.encode() not in present
            ]
            message = {**message, "headers": [*message.get("headers", ()), *added]}
        else:
            self._size += len(message.get("body", b""))
            self._is_over = not message.get("more_body", False)
        await self._send(message)

    async def end(self) -> None:
        """End an answer that its handler left open, as that of a stream when the server ends."""
        if self.status and not self._is_over:
            await self.send({"type": "http.response.body", "body": b""})

    def __str__(self) -> str:
        """One line without the query, which may contain a code, and without headers."""
        milliseconds = (time.monotonic() - self._begin) * 1000
        return (
            f"{_client(self._scope)} {self.user} {self._scope['method']} {_shown_path(self._scope)} "
            f"{self.status} {self._size} {milliseconds:.0f}ms"
        )


def _signature(scope: AsgiScope) -> str | None:
    """The signature in a query; None without one."""
    try:
        query = parse_qs(scope["query_string"].decode("latin-1"), max_num_fields=MOST_FIELDS)
    except ValueError:  # too many fields
        return None
    return query[PARAMETER][0] if PARAMETER in query else None


def _path(scope: AsgiScope) -> str:
    """The path as it was sent, without the query; it has no control characters."""
    raw: bytes = scope["raw_path"]
    return raw.partition(b"?")[0].decode("ascii", "backslashreplace")


def _shown_path(scope: AsgiScope) -> str:
    return _path(scope)[:LONGEST_SHOWN]


def _client(scope: AsgiScope) -> str:
    """The address of the client; a unix socket has no address."""
    return str((scope.get("client") or ("-",))[0])
