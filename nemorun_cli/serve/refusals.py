"""The answers of the server that are errors, all of one form."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from starlette.responses import JSONResponse

from nemorun_cli.errors import ExpError, LedgerError, NotFoundError, UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping

FORMAT: Final = "exp.error/1"


def refusal(
    status: int,
    code: str,
    message: str,
    *,
    hint: str | None = None,
    headers: Mapping[str, str] | None = None,
) -> JSONResponse:
    """An answer `exp.error/1`.

    Args:
        status: of HTTP.
        code: a word for programs, such as `diverged`.
        message: what is wrong, and where.
        hint: the remedy.
        headers: more headers, such as `Retry-After`.
    """
    text = message.encode(errors="backslashreplace").decode()  # it may quote a lone surrogate
    document = {"format": FORMAT, "code": code, "message": text, "hint": hint}
    return JSONResponse(document, status_code=status, headers=headers)


def unauthorized() -> JSONResponse:
    """The same answer for a token that is missing, wrong, expired or revoked, and on every path."""
    return refusal(
        401,
        "unauthorized",
        "a valid token is needed: it is missing, wrong, expired or revoked",
        hint="exp login ADDRESS",
        headers={"WWW-Authenticate": "Bearer"},
    )


def of_error(error: ExpError) -> JSONResponse:
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
