"""The two other users of the tests are real ones."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from support.other_user import OTHER_UID, UID

if TYPE_CHECKING:
    from support.other_user import OtherUser


def test_users_run_exp_and_cannot_read_what_is_private(other_users: tuple[OtherUser, OtherUser]) -> None:
    """Each is another user without privileges, whose experiments and private files are its own."""
    first, second = other_users
    secret = first.write("secret", "x", 0o600)
    looks = "import os, sys; print(os.geteuid(), os.getegid(), os.access(sys.argv[1], os.R_OK))"
    assert first.python(looks, secret).split() == [str(UID), str(UID), "True"]
    assert second.python(looks, secret).split() == [str(OTHER_UID), str(OTHER_UID), "False"]
    spec = first.write("a.yaml", 'name: a\ntasks: {a: {inline: "id -u"}}\n')
    assert first.exp("run", spec, "-q").stdout.startswith("a_")
    assert first.exp("logs", "a").stdout.strip() == str(UID)
    assert {path.stat().st_uid for path in (first.home, *first.home.rglob("*"))} == {UID}
    assert os.geteuid() == 0
