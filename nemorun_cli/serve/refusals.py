"""The answers of the server that are errors, all of one form."""

from __future__ import annotations

import json
import logging
from typing import TYPE_CHECKING, Final

from starlette.responses import Response

from nemorun_cli.errors import ExpError, LedgerError, NotFoundError, UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping

FORMAT: Final = "exp.error/1"
log = logging.getLogger("nemorun_cli.serve")


def refusal(
    status: int,
    code: str,
    message: str,
    *,
    hint: str | None = None,
    headers: Mapping[str, str] | None = None,
) -> Response:
    """An answer `exp.error/1`.

    Args:
        status: of HTTP.
        code: a word for programs, such as `diverged`.
        message: what is wrong, and where.
        hint: the remedy.
        headers: more headers, such as `Retry-After`.
    """
    document = {"format": FORMAT, "code": code, "message": message, "hint": hint}
    body = json.dumps(document, separators=(",", ":")).encode("ascii")  # names of files may be no UTF-8
    return Response(body, status_code=status, headers=headers, media_type="application/json")


def unauthorized() -> Response:
    """The same answer for a token that is missing, wrong, expired or revoked, and on every path."""
    return refusal(
        401,
        "unauthorized",
        "a valid token is needed: it is missing, wrong, expired or revoked",
        hint="exp login ADDRESS",
        headers={"WWW-Authenticate": "Bearer"},
    )


def out_of_order(error: ExpError) -> Response:
    """The answer if the server's own files cannot be used: only its log names them."""
    log.error("%s%s", error.message, f" ({error.hint})" if error.hint else "")
    return refusal(
        503,
        "out_of_order",
        "the server cannot use its own files",
        hint="its log has the reason",
        headers={"Retry-After": "60"},
    )


def of_error(error: ExpError) -> Response:
    """The answer for an error that the commands would report with an exit code."""
    if isinstance(error, NotFoundError):
        status, code = 404, "not_found"
    elif isinstance(error, UsageError):
        status, code = 400, "usage"
    elif isinstance(error, LedgerError):
        status, code = 422, "unreadable"
    else:
        status, code = 500, "failed"
    return refusal(status, code, error.message, hint=error.hint)
