"""How a block or a program ended, as the status of its record, with the details of an exception."""

from __future__ import annotations

import sys
from typing import Any, Final

from nemorun_cli.model.bounded_text import bounded
from nemorun_cli.model.status import ExperimentStatus as Status

MAX_TRACEBACK: Final = 65_536  # characters of a traceback that are kept
EXIT_CODE_OF_OTHERS: Final = 255  # Python's, of a number that does not fit

_LARGEST_CODE: Final = 2**31


def verdict_of(error: BaseException | None) -> tuple[Status, dict[str, Any]]:
    """The status of a record, with details, whose block was left by this exception or by none."""
    if error is None or isinstance(error, GeneratorExit):  # the consumer closed the generator early
        return Status.COMPLETED, {"exit_code": 0}
    if isinstance(error, SystemExit):
        return _exit(error)
    if isinstance(error, KeyboardInterrupt):
        return Status.CANCELLED, {"signal": "SIGINT", "message": "interrupted"}
    asyncio = sys.modules.get("asyncio")
    if asyncio is not None and isinstance(error, asyncio.CancelledError):
        return Status.CANCELLED, {"message": "the asyncio task was cancelled"}
    return Status.FAILED, details_of(error)


def _exit(error: SystemExit) -> tuple[Status, dict[str, Any]]:
    """The status after `sys.exit(…)`; an error code while Ctrl-C is handled, as by Lightning, is a cancel."""
    given: object = error.code
    code = int(given) if isinstance(given, int) else int(given is not None)
    if not -_LARGEST_CODE <= code < _LARGEST_CODE:
        code = EXIT_CODE_OF_OTHERS
    if not code:
        return Status.COMPLETED, {"exit_code": 0}
    if isinstance(error.__context__, KeyboardInterrupt):
        return Status.CANCELLED, {"exit_code": code, "signal": "SIGINT", "message": "interrupted"}
    message = bounded(given) if isinstance(given, str) else f"sys.exit({code})"
    return Status.FAILED, {"exit_code": code, "message": message}


def details_of(error: BaseException) -> dict[str, Any]:
    """The details of a record that an exception ended: exit code, message, and type and traceback as `error`.

    Their sizes are bounded, and an exception that cannot be shown is still named.
    """
    kind = type(error)
    name = kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"
    message = _message(error)
    return {
        "exit_code": 1,
        "message": bounded(f"{name}: {message}" if message else name).strip(),
        "error": {
            "type": bounded(name),
            "message": bounded(message).strip(),
            "traceback": bounded(_traceback(error), MAX_TRACEBACK),
        },
    }


def _message(error: BaseException) -> str:
    try:
        return str(error.msg if isinstance(error, SyntaxError) else error)
    except Exception as failure:  # noqa: BLE001 - its __str__ is the program's, and its record must still end
        return f"<its text raised {type(failure).__qualname__}>"


def _traceback(error: BaseException) -> str:
    import traceback  # noqa: PLC0415 - only needed after a failure

    try:
        return "".join(traceback.format_exception(error))
    except Exception as failure:  # noqa: BLE001 - the same
        frames = "".join(traceback.format_tb(error.__traceback__))
        return f"{frames}{type(error).__qualname__}: <its text raised {type(failure).__qualname__}>\n"
