from __future__ import annotations

from nemorun_cli.replication.remote_errors import RemoteFault
from nemorun_cli.tracking.outbox import delivery


def test_programs_know_the_errors_of_senders() -> None:
    """The codes by which programs distinguish a sender's errors are those of the sender."""
    assert {str(fault) for fault in RemoteFault} >= delivery._FINAL | delivery._AWAY | delivery._WITHOUT_TOKEN
