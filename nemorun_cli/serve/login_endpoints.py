"""The endpoints to log in and out: the device flow with ML-Dash's paths, sessions, links, and `whoami`."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from starlette.concurrency import run_in_threadpool
from starlette.responses import JSONResponse

from nemorun_cli.errors import InvalidValueError
from nemorun_cli.serve import device_logins, sessions
from nemorun_cli.serve.access import secret_of
from nemorun_cli.serve.caller import Scope
from nemorun_cli.serve.device_logins import DeviceLogins, Guess, Login, Poll, TooManyLoginsError
from nemorun_cli.serve.endpoints import Endpoint
from nemorun_cli.serve.json_bodies import json_object
from nemorun_cli.serve.refusals import refusal, unauthorized
from nemorun_cli.serve.tokens import DEFAULT_SCOPES, LONGEST_NAME, TooManyLoginsOfUserError

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

    from nemorun_cli.serve.access import Access
    from nemorun_cli.serve.caller import Caller
    from nemorun_cli.serve.site import Site

LARGEST_BODY: Final = 16 << 10  # bytes
ML_DASH: Final = "ml-dash-client"  # its programs poll without the device code
DEVICE_PAGE: Final = "device"  # the path of the page where a code is entered
SIGNED: Final = re.compile(r"/v1/(?:views/)?(?:records|experiments)/[!-~]{1,8000}")
_HASH: Final = re.compile(r"[0-9a-f]{64}")
_NO_STORE: Final = {"Cache-Control": "no-store"}  # RFC 6749, 5.1


def endpoints(site: Site) -> list[Endpoint]:
    """The endpoints of one server; pending logins are in memory."""
    del site
    flow = _DeviceFlow()
    return [
        _post("/api/device/start", flow.start),
        _post("/api/device/poll", flow.poll),
        _post("/api/auth/exchange", flow.exchange),
        _post("/v1/device/find", flow.find, needs=Scope.READ),
        _post("/v1/device/approve", flow.approve, needs=Scope.READ),
        _post("/v1/device/deny", flow.deny, needs=Scope.READ),
        _post("/v1/session", _begin_session),
        _post("/v1/logout", _log_out),
        _post("/v1/link", _link, needs=Scope.READ),
        Endpoint("/v1/whoami", ("GET", "HEAD"), _whoami, None, LARGEST_BODY),
    ]


def _post(path: str, handler: Any, *, needs: Scope | None = None) -> Endpoint:
    return Endpoint(path, ("POST",), handler, needs, LARGEST_BODY)


class _DeviceFlow:
    """The handlers of the device flow, with its pending logins."""

    def __init__(self) -> None:
        self._logins = DeviceLogins()

    async def start(self, request: Request) -> Response:
        """Begin a login of a program."""
        body = await _body(request)
        secret_hash, client = body.get("device_secret_hash"), body.get("client_id")
        if not (isinstance(secret_hash, str) and _HASH.fullmatch(secret_hash)) or not isinstance(client, str):
            return _oauth_error("invalid_request", "client_id and device_secret_hash (SHA-256) are needed")
        try:
            started = self._logins.start(
                secret_hash,
                name=_name(body.get("name"), client),
                address=request.client.host if request.client else "-",
                needs_device_code=client != ML_DASH,
            )
        except TooManyLoginsError:
            return _oauth_error("slow_down", "too many logins are pending; try again in a minute", status=429)
        page = f"{request.base_url}{DEVICE_PAGE}"
        return JSONResponse(
            {
                "device_code": started.device_code,
                "user_code": started.user_code,
                "verification_uri": page,
                "verification_uri_complete": f"{page}#code={started.user_code.replace('-', '')}",
                "expires_in": int(device_logins.LIFE),
                "interval": int(device_logins.INTERVAL),
            },
            headers=_NO_STORE,
        )

    async def poll(self, request: Request) -> Response:
        """The access token of an approved login, or an error in the words of RFC 8628."""
        body = await _body(request)
        secret_hash, device_code = body.get("device_secret_hash"), body.get("device_code")
        if not isinstance(secret_hash, str) or not isinstance(device_code, str | None):
            return _oauth_error("invalid_request", "device_secret_hash is needed")
        result = self._logins.poll(secret_hash, device_code)
        if isinstance(result, Poll):
            return _oauth_error(result.value)
        return JSONResponse(
            {"access_token": result, "token_type": "Bearer", "expires_in": int(device_logins.LIFE)},
            headers=_NO_STORE,
        )

    async def exchange(self, request: Request) -> Response:
        """A token of this server for an access token."""
        secret = secret_of(request.headers.get("authorization"))
        tokens = _access(request).tokens
        try:
            new = await run_in_threadpool(self._logins.exchange, secret, tokens) if secret else None
        except TooManyLoginsOfUserError as error:
            return _oauth_error("too_many_logins", f"{error.message}; {error.hint}", status=429)
        if new is None:
            return _oauth_error("invalid_token", "the access token is unknown, or has expired", status=401)
        token = new.token
        return JSONResponse(
            {
                "ml_dash_token": new.secret,
                "user": token.user,
                "scopes": _words(token.scopes),
                "prefixes": token.prefixes,
                "expires": token.expires,
            },
            headers=_NO_STORE,
        )

    async def find(self, request: Request) -> Response:
        """What a code belongs to, for the page that asks whether to approve it."""
        found = self._found(await _body(request), request.state.caller)
        if not isinstance(found, Login):
            return found
        age = self._logins.age(found)
        return JSONResponse(
            {
                "format": "exp.device/1",
                "name": found.name,
                "address": found.address,
                "scopes": _words(_scopes(request.state.caller, DEFAULT_SCOPES)),
                "age": round(age, 1),
                "left": round(max(0.0, device_logins.LIFE - age), 1),
            }
        )

    async def approve(self, request: Request) -> Response:
        """Let the program with a code act as the caller, at most with the caller's rights."""
        body, caller = await _body(request), request.state.caller
        found = self._found(body, caller)
        if not isinstance(found, Login):
            return found
        try:
            wanted = frozenset(map(Scope, body.get("scopes", [scope.value for scope in DEFAULT_SCOPES])))
        except (TypeError, ValueError):
            return refusal(400, "usage", "scopes is a list of: read, write, control")
        scopes = _scopes(caller, wanted)
        if not scopes:
            return refusal(403, "forbidden", "your token has none of these scopes", hint="exp whoami")
        if not self._logins.approve(found, caller, scopes):
            return _unknown_code()
        return JSONResponse({"format": "exp.device/1", "name": found.name, "scopes": _words(scopes)})

    async def deny(self, request: Request) -> Response:
        """Refuse the program with a code."""
        found = self._found(await _body(request), request.state.caller)
        if not isinstance(found, Login):
            return found
        if not self._logins.deny(found):
            return _unknown_code()
        return JSONResponse({"format": "exp.device/1", "name": found.name})

    def _found(self, body: dict[str, Any], caller: Caller) -> Login | Response:
        code = body.get("user_code")
        if not isinstance(code, str):
            return refusal(400, "usage", "user_code is needed")
        found = self._logins.find(code, caller)
        if found is Guess.TOO_MANY:
            message = "too many wrong codes; wait ten minutes"
            return refusal(429, "too_many_guesses", message, headers={"Retry-After": "300"})
        return found if isinstance(found, Login) else _unknown_code()


async def _begin_session(request: Request) -> Response:
    """A session for a page, in exchange for the one-time token of the printed address, or for a token."""
    access, once = _access(request), (await _body(request)).get("once")
    new = await run_in_threadpool(_session, access, once, request.headers.get("authorization"))
    if new is None:
        return unauthorized()
    return JSONResponse(
        {"format": "exp.session/1", "token": new.secret, "expires": new.expires}, headers=_NO_STORE
    )


def _session(access: Access, once: object, authorization: str | None) -> sessions.NewSession | None:
    if isinstance(once, str):
        return access.sessions.exchange(once)
    caller = access.caller(authorization)
    if caller is None or caller.session_id is not None:  # else a session could be prolonged forever
        return None
    return access.sessions.begin(caller.token_id)


async def _log_out(request: Request) -> Response:
    """End the session, or the token, with which it was asked."""
    access = _access(request)
    caller = await run_in_threadpool(access.caller, request.headers.get("authorization"))
    if caller is None:
        return unauthorized()
    if caller.session_id is not None:
        await run_in_threadpool(access.sessions.end, caller.session_id)
    else:
        await run_in_threadpool(access.tokens.log_out, caller.token_id)
    return JSONResponse({"format": "exp.logout/1", "user": caller.user})


async def _whoami(request: Request) -> Response:
    """Who the caller is, and what the token allows; any valid token may ask."""
    access = _access(request)
    caller = await run_in_threadpool(access.caller, request.headers.get("authorization"))
    token = access.tokens.by_id(caller.token_id) if caller else None
    if caller is None or token is None:
        return unauthorized()
    return JSONResponse(
        {
            "format": "exp.whoami/1",
            "user": caller.user,
            "scopes": _words(caller.scopes),
            "prefixes": caller.prefixes,
            "expires": token.expires,
            "controls": request.app.state.site.acts and Scope.CONTROL in caller.scopes,
        },
        headers=_NO_STORE,
    )


async def _link(request: Request) -> Response:
    """A link to a path, which can be read for a minute without a token."""
    path = (await _body(request)).get("path")
    if not isinstance(path, str) or not SIGNED.fullmatch(path) or set("?#") & set(path):
        return refusal(400, "usage", "path is the path of a file, percent-encoded and without a query")
    link = await run_in_threadpool(_access(request).sessions.sign, path, request.state.caller)
    return JSONResponse({"schema": "exp.link/1", "href": link}, headers=_NO_STORE)


def _access(request: Request) -> Access:
    access: Access = request.app.state.access
    return access


async def _body(request: Request) -> dict[str, Any]:
    """The JSON object in the body; empty if it is something else."""
    try:
        return await json_object(request)
    except InvalidValueError:
        return {}


def _oauth_error(error: str, description: str | None = None, *, status: int = 400) -> Response:
    """An error of the device flow, as ML-Dash's client and RFC 8628 expect it."""
    body = {"error": error, **({"error_description": description} if description else {})}
    return JSONResponse(body, status_code=status, headers=_NO_STORE)


def _unknown_code() -> Response:
    message = "no login waits with this code: it is mistyped, was decided, or is older than ten minutes"
    return refusal(404, "unknown_code", message)


def _scopes(caller: Caller, wanted: frozenset[Scope]) -> frozenset[Scope]:
    return wanted & caller.scopes


def _words(scopes: frozenset[Scope]) -> list[str]:
    return sorted(scope.value for scope in scopes)


def _name(given: object, client: str) -> str:
    """What a program calls itself, as one short line."""
    text = given if isinstance(given, str) and given.strip() else client
    return "".join(filter(str.isprintable, text))[:LONGEST_NAME] or "a program"
