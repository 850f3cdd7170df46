"""Who may what on a server: tokens, sessions, links."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from support import small_disks

from nemorun_cli.errors import (
    InvalidValueError,
    LedgerDamagedError,
    LedgerError,
    NotFoundError,
    UntrustedError,
)
from nemorun_cli.model import clock
from nemorun_cli.serve.access import Access
from nemorun_cli.serve.caller import Scope
from nemorun_cli.serve.site import Site
from nemorun_cli.serve.tokens import Tokens, matches

if TYPE_CHECKING:
    from pathlib import Path

    from support.other_user import OtherUser

TOKENS = """
import pathlib, sys
from nemorun_cli.serve.tokens import Tokens
tokens = Tokens(pathlib.Path(sys.argv[1]))
tokens"""


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(root=tmp_path, home=tmp_path / "home", dash_roots=(), own=tmp_path / ".server")


@pytest.fixture
def access(site: Site) -> Access:
    return Access(site)


def bearer(secret: str) -> str:
    return f"Bearer {secret}"


def test_a_token_is_stored_as_its_digest_alone(site: Site) -> None:
    """No file of a server contains a token, a session's token or a one-time token."""
    access = Access(site)
    token, secret = access.tokens.add("alice")
    texts = [secret, access.sessions.begin(token.id).secret, access.sessions.one_time(token.id)]
    assert access.caller(bearer(secret))
    stored = b"".join(path.read_bytes() for path in site.own.iterdir())
    assert not [text for text in texts if text.encode() in stored]
    assert len({text[5:] for text in texts}) == 3


def test_all_files_of_a_server_are_private_from_their_first_byte(site: Site) -> None:
    """Under the umask 0 no file with tokens is ever created with a mode that lets others read or write it."""
    script = """
import os, sys
from pathlib import Path
opened = []
def look(event, args):
    if event == "open" and isinstance(args[0], str) and args[2] & os.O_CREAT:
        opened.append(args[0])
sys.addaudithook(look)
os.umask(0)
original = os.open
def checked(path, flags, mode=0o777, **more):
    assert not flags & os.O_CREAT or mode == 0o600, (path, oct(mode))
    return original(path, flags, mode, **more)
os.open = checked
from nemorun_cli.serve.access import Access
from nemorun_cli.serve.site import Site
own = Path(sys.argv[1])
access = Access(Site(root=own, home=own, dash_roots=(), own=own))
token, secret = access.tokens.add("alice")
caller = access.caller("Bearer " + secret)
access.sessions.exchange(access.sessions.one_time(token.id))
access.sessions.sign("/v1/x", caller)
assert opened
"""
    subprocess.run([sys.executable, "-c", script, site.own], check=True)
    assert {oct(path.stat().st_mode & 0o777) for path in site.own.iterdir()} == {"0o600"}
    assert site.own.stat().st_mode & 0o777 == 0o700
    assert {path.name for path in site.own.iterdir()} >= {"tokens.json", "sessions.json", "link-key"}


def test_the_owner_of_a_prefix_writes(access: Access) -> None:
    """A token writes what its globs name, by default all of its user, and nothing else."""
    caller = access.tokens.add("alice").token.caller
    assert access.may_write(caller, "alice/a/b")
    assert not [
        prefix
        for prefix in ("bob/a", "alicea/b", "alice2/b", "x/alice/a")
        if access.may_write(caller, prefix)
    ]
    narrow = access.tokens.add("alice", prefixes=["alice/a/**", "team/*/x"]).token.caller
    allowed = ["alice/a/b", "team/y/x"]
    assert [
        prefix
        for prefix in [*allowed, "alice/b/c", "team/x", "team/y/z/x"]
        if access.may_write(narrow, prefix)
    ] == allowed


def test_each_scope_allows_itself_alone(access: Access) -> None:
    """A token that may only write does not read, and one that may only read does not write."""
    for scope in Scope:
        caller = access.tokens.add("alice", scopes=[scope]).token.caller
        assert access.may_read(caller, "alice/a") is (scope is Scope.READ)
        assert access.may_write(caller, "alice/a") is (scope is Scope.WRITE)


def test_a_private_server_shows_each_user_their_own(site: Site) -> None:
    """All users read everything, but on a private server only what is theirs."""
    caller = Access(site).tokens.add("alice").token.caller
    private = Access(
        Site(**{name: getattr(site, name) for name in ("root", "home", "dash_roots", "own")}, is_private=True)
    )
    assert Access(site).may_read(caller, "bob/a")
    assert private.may_read(caller, "alice/a")
    assert not private.may_read(caller, "bob/a")


@pytest.mark.parametrize(
    "header", [None, "", "Bearer", "Bearer ", "Basic {}", "{}", "Bearer {}x", "Bearer {} {}", "Bearer \u00fc"]
)
def test_only_a_valid_token_is_a_caller(access: Access, header: str | None) -> None:
    """Any other value of the header is nobody."""
    secret = access.tokens.add("alice").secret
    assert access.caller(bearer(secret))
    assert access.caller(header and header.format(secret, secret)) is None


def test_what_another_process_revokes_ends_at_once(site: Site, access: Access) -> None:
    """A token, its sessions and its links are refused by the next call after another process revoked it."""
    token, secret = access.tokens.add("alice")
    caller = access.caller(bearer(secret))
    assert caller
    session = access.sessions.begin(token.id).secret
    path, _, signature = access.sessions.sign("/v1/x", caller).partition("?signature=")
    assert access.caller(bearer(session))
    assert access.sessions.check(path, signature) == caller
    code = f"{TOKENS}.revoke([sys.argv[2]])"
    subprocess.run([sys.executable, "-c", code, site.own, token.id], check=True)
    assert access.caller(bearer(secret)) is None
    assert access.caller(bearer(session)) is None
    assert access.sessions.check(path, signature) is None
    assert not access.is_current(caller)


def test_a_token_ends_at_its_time(access: Access) -> None:
    """An expired token is refused, and its sessions are, too."""
    token, secret = access.tokens.add("alice", expires=clock.stamp(0))
    assert token.is_expired
    assert access.caller(bearer(secret)) is None
    assert access.caller(bearer(access.sessions.begin(token.id).secret)) is None


def test_writers_do_not_lose_each_other_s_tokens(site: Site) -> None:
    """Tokens that several processes add at the same time are all there."""
    code = f"{TOKENS}\nfor _ in range(10): tokens.add(sys.argv[2])"
    writers = [
        subprocess.Popen([sys.executable, "-c", code, site.own, user]) for user in ("alice", "bob", "carol")
    ]
    assert [writer.wait() for writer in writers] == [0, 0, 0]
    assert len({token.id for token in Tokens(site.own).all()}) == 30


def test_a_one_time_token_is_exchanged_once(access: Access) -> None:
    """The token of the printed address gives one session, which survives a restart of the server."""
    once = access.printed_token("alice")
    session = access.sessions.exchange(once)
    assert session
    assert access.sessions.exchange(once) is None
    assert access.caller(bearer(once)) is None
    restarted = Access(access._site)
    caller = restarted.caller(bearer(session.secret))
    assert caller
    assert caller.scopes == frozenset(Scope)
    access.sessions.end(caller.session_id or "")
    assert restarted.caller(bearer(session.secret)) is None


def test_a_link_is_valid_for_its_path_alone(access: Access) -> None:
    """A signature fits one path; an altered one, or one of another path, is refused."""
    caller = access.tokens.add("alice").token.caller
    path, _, signature = access.sessions.sign("/v1/a%2Fb", caller).partition("?signature=")
    assert access.sessions.check(path, signature) == caller
    assert access.sessions.check("/v1/a/b", signature) is None
    half = len(signature) - 20  # in the checksum; its last character has bits without a meaning
    other = "a" if signature[half] != "a" else "b"
    assert access.sessions.check(path, f"{signature[:half]}{other}{signature[half + 1 :]}") is None
    assert access.sessions.check(path, "") is None


def test_a_link_ends_after_a_minute(access: Access, monkeypatch: pytest.MonkeyPatch) -> None:
    """A signature of more than a minute ago is refused."""
    caller = access.tokens.add("alice").token.caller
    with monkeypatch.context() as earlier:
        import itsdangerous.timed  # noqa: PLC0415 - to change its clock

        now = itsdangerous.timed.time.time()
        earlier.setattr(itsdangerous.TimestampSigner, "get_timestamp", lambda self: int(now) - 62)  # noqa: ARG005 - a method
        path, _, signature = access.sessions.sign("/v1/x", caller).partition("?signature=")
    assert access.sessions.check(path, signature) is None


def test_a_damaged_file_lets_nobody_in(site: Site, access: Access) -> None:
    """A file of tokens that is damaged, or that others may change, is an error, never an empty list."""
    token, secret = access.tokens.add("alice")
    file = site.own / "tokens.json"
    whole = file.read_bytes()
    for content in (whole[:40], b"[]", whole.replace(b'"read"', b'"all"')):
        file.write_bytes(content)
        with pytest.raises(LedgerDamagedError, match=r"tokens\.json is not used"):
            access.caller(bearer(secret))
        assert not access.is_current(token.caller)
    file.write_bytes(whole)
    assert access.caller(bearer(secret))
    file.chmod(0o620)
    with pytest.raises(UntrustedError, match="mode 620"):
        access.caller(bearer(secret))
    file.unlink()
    os.mkfifo(file)
    with pytest.raises(LedgerError, match="regular file"):
        access.caller(bearer(secret))


@pytest.mark.parametrize("user", ["", "a/b", "*", "a?", "..", ".server", ".record", "a\nb", "x" * 101])
def test_a_user_is_a_plain_name(access: Access, user: str) -> None:
    """What cannot be the first part of a prefix cannot be a user."""
    with pytest.raises(InvalidValueError):
        access.tokens.add(user)


def test_revoke_refuses_what_it_does_not_know(site: Site, access: Access) -> None:
    """With one unknown id nothing is revoked; a user stands for all of their tokens."""
    first = access.tokens.add("alice").token
    access.tokens.add("alice")
    other = access.tokens.add("bob").token
    with pytest.raises(NotFoundError, match="'nobody'"):
        access.tokens.revoke([first.id, "nobody"])
    assert len(Tokens(site.own).all()) == 3
    access.tokens.revoke(["alice"])
    assert [token.id for token in Tokens(site.own).all()] == [other.id]


def test_a_token_is_revoked_on_a_full_disk(tmp_path: Path) -> None:
    """Tokens and the logins that they approved end at once, also where nothing can be written."""
    with small_disks.mounted(tmp_path / "disk", 256):
        access = Access(Site(root=tmp_path, home=tmp_path, dash_roots=(), own=tmp_path / "disk/.server"))
        lost, kept = access.tokens.add("alice"), access.tokens.add("bob")
        approved = access.tokens.add("alice", made_by=lost.token.id)
        session = access.sessions.begin(lost.token.id)
        assert access.caller(bearer(session.secret))  # and the files that were replaced are closed
        with small_disks.full(tmp_path / "disk"):
            with pytest.raises(LedgerError, match="No space left"):
                access.tokens.add("carol")
            ended = Tokens(tmp_path / "disk/.server").revoke([lost.token.id])
            assert [token.id for token in ended] == [lost.token.id, approved.token.id]
            for secret in (lost.secret, approved.secret, session.secret):
                assert access.caller(bearer(secret)) is None
            assert access.caller(bearer(kept.secret))
            assert [token.id for token in access.tokens.all()] == [kept.token.id]
        access.tokens.add("carol")
        assert [token.user for token in access.tokens.all()] == ["bob", "carol"]


def test_the_last_use_of_a_token_is_noted(site: Site, access: Access) -> None:
    """The file of uses names the tokens that were used, and forgets those that were revoked."""
    token, secret = access.tokens.add("alice")
    unused = access.tokens.add("bob").token
    access.caller(bearer(secret))
    assert Tokens(site.own).uses().keys() == {token.id}
    access.tokens.revoke(["alice"])
    access.tokens.note_use(unused.id)
    assert json.loads((site.own / "token-uses.json").read_text())["uses"].keys() == {unused.id}


def test_a_long_glob_takes_no_time() -> None:
    """A glob with many `**` does not fit a long prefix, and that is known at once."""
    assert not matches(["/".join(["**", "a"] * 20)], "/".join(["a"] * 400 + ["b"]))
    assert matches(["a/[x]*/**"], "a/[x]y")


def test_root_leaves_no_file_that_the_server_cannot_read(other_users: tuple[OtherUser, OtherUser]) -> None:
    """Root, who adds a token to a server of another user, is refused with the remedy, and writes nothing."""
    owner, _ = other_users
    own = owner.owns(owner.folder, 0o755) / ".server"
    with pytest.raises(UntrustedError, match="nothing is written there") as error:
        Tokens(own).add("alice")
    assert error.value.hint == f"run exp as its owner: sudo -u '#{owner.uid}' exp …"
    assert not own.exists()
