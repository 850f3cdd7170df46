from __future__ import annotations

from nemorun_cli.replication.remote_errors import OF_ALL, RemoteFault
from nemorun_cli.tracking.outbox import delivery


def test_programs_know_the_errors_of_senders() -> None:
    """The codes by which programs distinguish a sender's errors are those of the sender."""
    assert {str(fault) for fault in OF_ALL} == delivery._OF_ALL
    assert {str(fault) for fault in RemoteFault} >= delivery._FINAL | delivery._AWAY
