"""The checks of `exp doctor` about servers: what has not arrived there, since when, and why."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

from nemorun_cli.model.units import size_text
from nemorun_cli.replication.remote_errors import RemoteFault
from nemorun_cli.replication.sender import delivery
from nemorun_cli.views.reports.doctor_report import Check

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from nemorun_cli.replication.sender.delivery import OutboxReport


def of_outboxes(roots: Iterable[str], home: str) -> Iterator[Check]:
    """Whether what is sent from folders of records, and from a home, has arrived; no server is asked."""
    for outbox in delivery.every_outbox(roots, home):
        yield _check(delivery.report(outbox, delivery.SyncChoice()))


def _check(report: OutboxReport) -> Check:
    subject = f"server {report.outbox.url}"
    if not report.entries and report.error is None:
        last = f" (the last at {report.last})" if report.last else ""
        return Check(subject=subject, state="well", message=f"all of {report.root} has arrived{last}")
    size = size_text(sum(entry.bytes for entry in report.entries))
    count = len(report.entries)
    message = f"{size} of {count} record{'' if count == 1 else 's'} in {report.root}"
    message += f" not arrived since {report.since}" if report.since else " not arrived"
    if report.error is not None:
        message += f": {report.error['message']}"
        message += "" if report.is_sending else "; no sender is at work"
    elif not report.is_sending:
        message += ": no sender is at work"
    else:
        return Check(subject=subject, state="well", message=f"{message}: being sent")
    return Check(subject=subject, state="warning", message=message, remedy=remedy(report))


def remedy(report: OutboxReport) -> str:
    """What helps against what keeps an outbox from being delivered."""
    errors = (report.error, *(entry.error for entry in report.entries))
    code = next((error["code"] for error in errors if error), None)
    sync = f"exp sync --dash-root {shlex.quote(report.root)}"
    login = f"exp login {shlex.quote(report.outbox.url)}"
    known = {
        RemoteFault.TOKEN: login,
        RemoteFault.NO_TOKEN: login,
        RemoteFault.FORBIDDEN: f"log in as the owner of the prefix, or have it allowed there; then: {sync}",
        RemoteFault.DIVERGED: (
            f"compare the two copies: nothing is overwritten; the log is {report.outbox.log}"
        ),
        RemoteFault.FULL: f"free space on the server, or have the quota raised; then: {sync}",
        RemoteFault.QUOTA: f"free space on the server, or have the quota raised; then: {sync}",
        RemoteFault.REFUSED: f"have the server take it (exp serve --max-file for a large file), then: {sync}",
    }
    if code in known:
        return known[code]
    return f"nothing, it is tried again; at once: {sync}" if report.is_sending else sync
