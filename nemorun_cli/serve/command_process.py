"""Commands of `exp` that a server runs for its users, each in a process of its own.

A process shares nothing with the server: it may load plugins, wait or fail, and continues if the server
ends.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import subprocess
import sys
import threading
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from nemorun_cli.serve.refusals import FORMAT
from nemorun_cli.serve.remembered_actions import ActionOutcome

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

MODULE: Final = "nemorun_cli.cli.on_behalf"
DROPPED: Final = ("NOTIFY_SOCKET", "_EXP_COMPLETE")  # variables that are the server's alone
MOST_PROBLEMS: Final = 5  # of a spec, in a message
SHOWN: Final = 2000  # characters of standard error in the log
log = logging.getLogger("nemorun_cli.serve")


class _Refusal(NamedTuple):
    status: int
    code: str


_REFUSALS: Final = {  # by the exit code of the command
    2: _Refusal(400, "usage"),
    3: _Refusal(404, "not_found"),
    4: _Refusal(409, "not_over"),
    6: _Refusal(409, "engine"),
    7: _Refusal(409, "unreadable"),
    8: _Refusal(409, "running"),
}


async def outcome(words: Sequence[str], *, by: str, home: Path, text: str = "") -> ActionOutcome:
    """Run a command with `--json`, and return the document that it printed, or the error as a refusal.

    Args:
        words: of the command line.
        by: the user of the server who asks; files name them as the author.
        home: `NEMORUN_HOME`.
        text: standard input.
    """
    loop = asyncio.get_running_loop()
    ended: asyncio.Future[subprocess.CompletedProcess[bytes]] = loop.create_future()
    asked = f"{json.dumps({'by': by, 'words': list(words)})}\n{text}".encode()

    def work() -> None:
        try:
            done = _run(asked, home)
        except Exception as error:  # noqa: BLE001 - raised again where it is awaited
            _tell(loop, ended.set_exception, error)
        else:
            _tell(loop, ended.set_result, done)

    # not one of a pool, for whose end the server would wait
    threading.Thread(target=work, name="command", daemon=True).start()
    done = await ended
    return _of(done, words[0])


def _tell(loop: asyncio.AbstractEventLoop, tell: Any, what: object) -> None:
    def now() -> None:
        with contextlib.suppress(asyncio.InvalidStateError):  # nobody waits any more
            tell(what)

    with contextlib.suppress(RuntimeError):  # the server has ended
        loop.call_soon_threadsafe(now)


def _run(asked: bytes, home: Path) -> subprocess.CompletedProcess[bytes]:
    environment = {name: value for name, value in os.environ.items() if name not in DROPPED}
    return subprocess.run(
        [sys.executable, "-P", "-m", MODULE],
        check=False,
        input=asked,
        capture_output=True,
        env={**environment, "NEMORUN_HOME": str(home)},
        start_new_session=True,
    )


def _of(done: subprocess.CompletedProcess[bytes], command: str) -> ActionOutcome:
    try:
        document = json.loads(done.stdout)
    except ValueError:
        document = None
    if isinstance(document, dict) and done.returncode == 0:
        return ActionOutcome(200, document)
    known = _REFUSALS.get(done.returncode)
    if isinstance(document, dict) and known is not None:
        problems = [str(each["message"]) for each in document.get("problems", ())[:MOST_PROBLEMS]]
        message = ": ".join([str(document["message"]), *(["; ".join(problems)] if problems else [])])
        return _refused(known, message, document.get("hint"))
    errors = done.stderr[-SHOWN:].decode(errors="replace")
    log.error("exp %s ended with %s: %s %s", command, done.returncode, document, errors)
    return _refused(_Refusal(500, "failed"), f"exp {command} failed", "the server's log has the reason")


def _refused(as_: _Refusal, message: str, hint: str | None) -> ActionOutcome:
    document = {"format": FORMAT, "code": as_.code, "message": message, "hint": hint}
    return ActionOutcome(as_.status, document)
