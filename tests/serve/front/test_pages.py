"""The pages in a real browser: signing in, approving a login, and what they never do."""

from __future__ import annotations

import contextlib
import hashlib
import http.server
import json
import os
import re
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
import pytest
from conftest import eventually
from support.served import served

from nemorun_cli.serve.access import Access
from nemorun_cli.serve.site import Site
from nemorun_cli.tracking import Experiment

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import BrowserContext, Locator, Page
    from support.served import Served

SESSION = "localStorage.getItem('exp.session')"
HOSTILE = (
    "<img src=x onerror=stolen()>",
    "<script>stolen()</script>",
    "</pre><script>stolen()</script>",
    "javascript:stolen()",
    "\u2028stolen()",
    "\u202etxt.exe",
)
HOSTILE_NAMES = {f"mallory/{number}/{text.replace('/', '+')}": text for number, text in enumerate(HOSTILE)}
PAGE_SIZE = 50
MANY = 46  # records, which with these are more than a part of the list


def visible(text: str) -> str:
    """The text as the page shows it: what would be hidden is named."""
    return "".join(f"\\u{ord(letter):04x}" if letter in "\u2028\u202e" else letter for letter in text)


def signed_in(server: Served, page: Page) -> Page:
    """The page of somebody who pasted a token."""
    page.goto(f"{server.url}/")
    page.get_by_label("Token").fill(server.add_token())
    page.get_by_role("button", name="Sign in").click()
    menu(page, "alice").wait_for()
    return page


def menu(page: Page, user: str) -> Locator:
    """The button of the menu of a user who is signed in."""
    return page.get_by_role("button", name=f"Menu of {user}")


@contextlib.contextmanager
def elsewhere(text: str) -> Iterator[tuple[str, list[str]]]:
    """A page of another site, and the `Referer` of each request that it gets."""
    referrers: list[str] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            referrers.append(self.headers.get("Referer", ""))
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            self.wfile.write(text.encode())

        def log_message(self, *_: object) -> None:
            """Nothing."""

    site = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=site.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield f"http://127.0.0.1:{site.server_port}/", referrers
    finally:
        site.shutdown()
        thread.join()
        site.server_close()


def test_the_printed_address_signs_in_once(tmp_path: Path, context: BrowserContext) -> None:
    """The printed address becomes a session; its token works once, leaves the bar, and no log has it."""
    with served(tmp_path) as server:
        page = context.new_page()
        page.goto(server.ready["sign_in"])
        page.get_by_role("button", name="Menu of").wait_for()
        assert page.url == f"{server.url}/"
        session = page.evaluate(SESSION)
        once = server.ready["sign_in"].partition("#t=")[2]
        assert session.startswith("exps_")
        assert context.cookies() == []
        assert page.evaluate("history.length") == 2  # a new tab, and this page: no entry with the token
        page.evaluate("localStorage.clear()")
        page.goto(server.ready["sign_in"])
        page.get_by_text("missing, wrong or expired").wait_for()
        assert page.evaluate(SESSION) is None
        server.ask("GET", f"/v1/records/alice/a?token={once}", headers={"Referer": f"{server.url}/#t={once}"})
        shown = [*psutil.Process(server.process.pid).cmdline(), page.content()]
        log = server.log.read_text(encoding="utf-8")
        stored = [path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()]
    assert "POST /v1/session 200" in log
    for secret in (once, session):
        assert secret not in log + "".join(shown)
        assert not any(secret.encode() in content for content in stored)
        assert any(hashlib.sha256(secret.encode()).hexdigest().encode() in data for data in stored) is (
            secret == session
        )


def test_a_token_signs_in_and_out(server: Served, page: Page) -> None:
    """A pasted token becomes a session and is not kept; signing out ends the session on the server."""
    token = server.add_token("carol")
    page.goto(f"{server.url}/")
    page.get_by_label("Token").fill("wrong")
    page.get_by_role("button", name="Sign in").click()
    page.get_by_text("missing, wrong or expired").wait_for()
    page.get_by_label("Token").fill(token)
    page.get_by_role("button", name="Sign in").click()
    menu(page, "carol").wait_for()
    session = page.evaluate(SESSION)
    assert token not in page.content() + str(page.evaluate("JSON.stringify(localStorage)"))
    assert server.ask("GET", "/v1/whoami", token=session).json["user"] == "carol"
    page.reload()
    menu(page, "carol").click()
    page.get_by_role("button", name="Sign out").click()
    page.get_by_text("Signed out.").wait_for()
    assert page.evaluate(SESSION) is None
    assert server.ask("GET", "/v1/whoami", token=session).status == 401
    assert server.ask("GET", "/v1/whoami", token=token).status == 200


@pytest.mark.parametrize("choice", ["Stay alice", "Sign in as mallory instead"])
def test_another_user_replaces_no_session_unasked(server: Served, page: Page, choice: str) -> None:
    """An address that signs in another user asks first, whoever sent it; a used one signs nobody out."""
    signed_in(server, page)
    mine = page.evaluate(SESSION)
    access = Access(Site(root=server.own.parent, home=server.own, dash_roots=(), own=server.own))
    address = f"{server.url}/#t={access.printed_token('mallory')}"
    page.goto(address)
    page.get_by_text("You are signed in as alice. This address signs in as mallory.").wait_for()
    menu(page, "alice").wait_for()
    assert page.evaluate(SESSION) == mine
    page.get_by_role("button", name=choice).click()
    page.get_by_text("This address signs in as").wait_for(state="hidden")
    user = "alice" if choice == "Stay alice" else "mallory"
    menu(page, user).wait_for()
    assert (page.evaluate(SESSION) == mine) is (user == "alice")
    page.goto(address)
    page.get_by_text("does not sign in any more").wait_for()
    menu(page, user).wait_for()


@pytest.mark.parametrize("decision", ["Allow", "Deny"])
def test_a_login_is_decided_on_the_page(server: Served, page: Page, decision: str) -> None:
    """The page shows who asks with a code, and the program gets its token only if somebody approves."""
    signed_in(server, page)
    secret = hashlib.sha256(os.urandom(8)).hexdigest()
    start = {"client_id": "exp", "device_secret_hash": secret, "name": HOSTILE[0]}
    started = server.ask("POST", "/api/device/start", body=_json(start)).json
    poll = {"client_id": "exp", "device_secret_hash": secret, "device_code": started["device_code"]}
    page.goto(started["verification_uri_complete"])
    page.get_by_text(HOSTILE[0]).wait_for()
    assert "code" not in page.url
    page.get_by_role("button", name=decision).click()
    page.get_by_text("You can close this page").wait_for()
    answer = server.ask("POST", "/api/device/poll", body=_json(poll)).json
    assert ("access_token" in answer) is (decision == "Allow")
    if decision == "Deny":
        assert answer["error"] == "access_denied"


def _json(value: object) -> bytes:
    return json.dumps(value).encode()


@pytest.fixture(scope="module")
def listed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A server with many records, the newest of which have names and texts that look like a page."""
    folder = tmp_path_factory.mktemp("listed")
    root = str(folder / "root")
    for number in range(MANY):
        with Experiment(prefix=f"alice/many/{number:02}", dash_root=root).run:
            pass
    for name, text in HOSTILE_NAMES.items():
        with Experiment(prefix=name, dash_root=root, description=text, tags=[text]).run:
            pass
    (folder / "root").chmod(0o700)
    with served(folder) as running:
        yield running


def test_the_list_shows_what_others_wrote_as_text(listed: Served, page: Page) -> None:
    """Names, descriptions and tags that look like a page are shown as text, and nothing in them runs."""
    page.add_init_script("window.stolen = () => { window.wasStolen = true }")
    faults: list[str] = []
    page.on("console", lambda message: faults.append(message.text) if message.type == "error" else None)
    page.on("dialog", lambda dialog: faults.append(dialog.message))
    signed_in(listed, page)
    page.goto(f"{listed.url}/records")
    rows = page.get_by_role("row").filter(has_text="COMPLETED")
    eventually(lambda: rows.count() == PAGE_SIZE)
    texts = rows.all_text_contents()
    for name, text in HOSTILE_NAMES.items():
        shown, seen = visible(name), visible(text)
        row = next(row for row in texts if shown in row)
        assert row.replace(shown, "").count(seen) >= 2  # the description and the tag
    assert page.locator("main img, main script, main a[href^=javascript]").count() == 0
    assert page.evaluate("window.wasStolen") is None
    assert faults == []


def test_a_long_list_comes_in_parts(listed: Served, page: Page) -> None:
    """The list shows the newest 50 records, and the others when they are asked for."""
    signed_in(listed, page)
    page.goto(f"{listed.url}/records")
    rows = page.get_by_role("row").filter(has_text="COMPLETED")
    eventually(lambda: rows.count() == PAGE_SIZE)
    page.get_by_role("link", name="Older").click()
    eventually(lambda: rows.count() == MANY + len(HOSTILE) - PAGE_SIZE)
    assert "alice/many/00" in (rows.last.text_content() or "")


def test_the_page_works_without_a_network_and_alone(server: Served, page: Page) -> None:
    """The page loads nothing from elsewhere, has no inline script, and nothing violates its policy."""
    asked: list[str] = []
    faults: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.on("console", lambda message: faults.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: faults.append(str(error)))
    signed_in(server, page)
    assert all(url.startswith(f"{server.url}/") for url in asked)
    kinds = {Path(url.partition("?")[0]).suffix for url in asked if "/static/" in url}
    assert {".js", ".css"} <= kinds
    assert faults == []
    sources = [server.ask("GET", path).body.decode() for path in ("/", "/device")]
    for source in sources:
        assert not re.search(r"<script(?![^>]*\ssrc=\"/static/)|\son\w+=|javascript:|<style|\sstyle=", source)
        assert not re.search(r"(?:src|href)=\"(?!/)", source)


def test_another_site_can_neither_frame_nor_ask(server: Served, context: BrowserContext) -> None:
    """In a frame of another site the page is empty, and a form or a fetch of that site changes nothing."""
    target = f"{server.url}/v1/records/alice/forged/.record"
    text = f"""<iframe src="{server.url}/"></iframe>
        <form method="post" enctype="text/plain" action="{target}"><input name="a" value="b"></form>
        <a id="link" href="{server.url}/">a link</a>"""
    signed_in(server, context.new_page()).close()
    with elsewhere(text) as (url, _):
        page = context.new_page()
        page.goto(url)
        framed = page.frames[1]
        assert not framed.url.startswith(server.url) or framed.content().count("/static/") == 0
        for method in ("POST", "DELETE", "PATCH"):
            request = f"fetch({target!r}, {{method: {method!r}, body: '{{}}'}})"
            assert page.evaluate(f"{request}.then(() => 'read', () => 'barred')") == "barred"
        no_cors = f"fetch({target!r}, {{method: 'POST', mode: 'no-cors', body: 'x'}})"
        assert page.evaluate(f"{no_cors}.then(a => a.type, () => 'barred')") in {"barred", "opaque"}
        read = f"fetch('{server.url}/v1/hello').then(() => 'read', () => 'barred')"
        assert page.evaluate(read) == "barred"
        page.evaluate("document.forms[0].submit()")
        page.wait_for_url(target)
        assert '"foreign_origin"' in page.content()
    assert not (server.own.parent / "alice" / "forged").exists()


def test_a_rebound_name_reads_nothing(server: Served, context: BrowserContext) -> None:
    """A page of another site whose name was made to lead to this machine gets no answer but a refusal."""
    page = context.new_page()
    rebound = f"http://rebound.example:{server.port}"
    answer = page.goto(f"{rebound}/")
    assert answer is not None
    assert answer.status == 421
    assert page.evaluate("fetch('/v1/hello').then(answer => answer.status, () => 0)") in {0, 421}
    assert "protocols" not in page.content()


def test_the_page_leaves_no_referrer(server: Served, context: BrowserContext) -> None:
    """A link that somebody follows from an address with a token does not tell that address."""
    with elsewhere("<p>there</p>") as (url, referrers):
        page = context.new_page()
        page.goto(server.ready["sign_in"])
        page.evaluate(f"location.assign({url!r})")
        page.get_by_text("there").wait_for()
    assert referrers[0] == ""


@pytest.mark.parametrize("kind", ["html", "svg", "xml", "js"])
def test_a_saved_file_never_runs(server: Served, context: BrowserContext, kind: str) -> None:
    """A saved file with a script is a download, and what is answered is sandboxed, whatever is in it."""
    script = "<script>document.title = 'stolen'</script>"
    text = {
        "html": f"<!doctype html><title>kept</title>{script}",
        "svg": f'<svg xmlns="http://www.w3.org/2000/svg">{script}</svg>',
        "xml": f'<html xmlns="http://www.w3.org/1999/xhtml">{script}</html>',
        "js": "document.title = 'stolen'",
    }[kind].encode()
    checksum = hashlib.sha256(text).hexdigest()
    path = f"/v1/records/alice/saved/.record/blobs/{checksum[:2]}/{checksum}"
    headers = {"Upload-Offset": "0", "Upload-Length": str(len(text))}
    token = server.add_token()
    assert server.ask("PATCH", path, token=token, headers=headers, body=text).status == 200
    answer = server.ask("GET", path, token=token)
    assert answer.body == text
    assert answer.headers["content-disposition"].startswith("attachment")
    assert "sandbox" in answer.headers["content-security-policy"]
    assert answer.headers["content-type"] == "application/octet-stream"
    link = server.ask("POST", "/v1/link", token=token, body=_json({"path": path})).json["href"]
    page = context.new_page()
    with page.expect_download() as download, contextlib.suppress(Exception):
        page.goto(server.url + link)
    assert Path(download.value.path()).read_bytes() == text
    assert page.title() != "stolen"
