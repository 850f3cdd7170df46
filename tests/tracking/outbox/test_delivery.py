from __future__ import annotations

import pytest

from nemorun_cli.replication.remote_errors import RemoteFault
from nemorun_cli.tracking.outbox import delivery


@pytest.mark.parametrize(("code", "is_final"), [("quota", True), ("forbidden", True), ("full", False)])
def test_a_program_does_not_wait_for_what_somebody_must_do(code: str, *, is_final: bool) -> None:
    """An error that ends only when somebody acts is not waited for at the end of a record."""
    assert delivery.SenderState(error="no", code=code).is_final is is_final


def test_programs_know_the_errors_of_senders() -> None:
    """The codes by which programs distinguish a sender's errors are those of the sender."""
    assert {str(fault) for fault in RemoteFault} >= delivery._FINAL | delivery._AWAY | delivery._WITHOUT_TOKEN
