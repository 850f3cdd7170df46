"""The checks of `exp doctor` that ask servers: whether they answer, and accept the token of this user."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Final

from nemorun_cli.errors import ExpError
from nemorun_cli.replication import credentials
from nemorun_cli.replication.sender import delivery, outbox_files
from nemorun_cli.views.reports.doctor_report import Check

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

LIMIT: Final = 3.0  # seconds for each answer
PATIENCE: Final = 8.0  # seconds for all servers, which are asked at the same time


def of_servers(roots: Iterable[str], home: str) -> Iterator[Check]:
    """Whether the servers of logins, and those for which something waits, can be used now."""
    try:
        servers = {*credentials.known(), *filter(None, [credentials.default()])}
    except (ExpError, OSError) as error:
        yield _warning("logins", error)
        servers = set()
    servers |= {outbox.url for outbox in delivery.every_outbox(roots, home) if outbox_files.markers(outbox)}
    found: dict[str, Check] = {}

    def ask(server: str) -> None:
        found[server] = _check(server)

    threads = [threading.Thread(target=ask, args=(server,), daemon=True) for server in sorted(servers)]
    for thread in threads:
        thread.start()
    end = time.monotonic() + PATIENCE
    for thread in threads:
        thread.join(max(0.0, end - time.monotonic()))
    for server in sorted(servers):
        late = f"{server} does not answer within {PATIENCE:g} s"
        yield found.get(server) or Check(
            subject=_subject(server),
            state="warning",
            message=late,
            remedy="check the address and the network",
        )


def _check(server: str) -> Check:
    from nemorun_cli.replication.login_client import LoginClient  # noqa: PLC0415 - loads urllib3

    try:
        client = LoginClient(server, limit=LIMIT)
        client.hello()
        credential = credentials.token_for(server)
        if credential is None:
            raise credentials.missing(server)
        who = client.whoami(credential.token)
    except (ExpError, OSError) as error:
        return _warning(_subject(server), error)
    until = f", until {who.expires}" if who.expires else ""
    message = f"answers, and accepts the token of {who.user} ({', '.join(who.scopes)}{until})"
    return Check(subject=_subject(server), state="well", message=message)


def _warning(subject: str, error: Exception) -> Check:
    message = error.message if isinstance(error, ExpError) else str(error)
    remedy = (error.hint if isinstance(error, ExpError) else None) or "check the address and the network"
    return Check(subject=subject, state="warning", message=message, remedy=remedy)


def _subject(server: str) -> str:
    return f"login {server}"
