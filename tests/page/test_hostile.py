"""What others wrote is text: on no view does it run, become markup, or make a request."""

from __future__ import annotations

import json
import os
import struct
import subprocess
import zlib
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote, urlencode

import pytest
from page.links import follow
from playwright.sync_api import expect
from support.served import EXP, Served, served

from nemorun_cli.tracking import Experiment
from nemorun_cli.tracking.process import git_state
from nemorun_cli.tracking.store import record_paths

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from playwright.sync_api import Page

IMAGE: Final = "<img src=x onerror=stolen()>"
SCRIPT: Final = "<script>stolen()</script>"
LINK: Final = "javascript:stolen()"
ODD: Final = f"{IMAGE}{SCRIPT}\u202etxt.exe\u2028\x07\x1b[31m&lt;b&gt;"
LONG: Final = f"{SCRIPT}{'x' * 100_000}"
SPEC: Final = f"""
version: 1
name: evil
title: "{SCRIPT}"
description: "<i>no()</i> \\u202etxt.exe {"x" * 100_000}"
tags: ["<b>stolen()</b>", "\\u202eexe"]
tasks:
  train:
    matrix: {{text: ["{IMAGE}", "{LINK}"]}}
    inline: |
      python3 - <<'PYTHON'
      import os
      from nemorun_cli import Experiment
      text = "{IMAGE}" "\\u202e\\x07"
      with Experiment().run as experiment:
          experiment.params.set(kind=os.environ["EXP_TASK"], **{{text: text, "text": text + "x" * 100_000}})
          experiment.metrics("<b>stolen()</b>").log(step=1, loss=0.5)
          experiment.log(text)
          experiment.files("models").save_text(text, to="stolen().html")
      print("{SCRIPT} \\x1b[31mred\\x07 \\u202etxt")
      print(text + "x" * 100_000)
      PYTHON
  broken:
    inline: |
      printf 'ValueError: {IMAGE}\\u202e\\a\\n' >&2; exit 3
"""
MEMBER: Final = "text=_img_src_x_onerror_stolen___~1c2891"  # what a task's name has of IMAGE
EXPERIMENT_TABS: Final = {
    "tasks": IMAGE,
    "curves": "<b>stolen()</b>",
    "sweep": MEMBER,
    "params": f"kindtrain/{MEMBER}",
    "files": "stolen().html",
    "resources": "CPU time",
    "spec": "name: evil",
    "events": " events",
}
"""The tabs, and what each shows of it."""
RECORD_TABS: Final = {
    "params": "all 100,025 characters",
    "metrics": "all 100,025 characters",
    "logs": "all 100,025 characters",
    "tracks": IMAGE,
    "environment": f"{SCRIPT}package",
    "diff": f"{SCRIPT}changed",
    "openings": "argv",
}
"""The tabs of a record, and what each shows of it."""
FILES: Final[dict[str, tuple[bytes, str]]] = {
    f"{IMAGE}.html": (f"<html>{SCRIPT}</html>".encode(), f"<html>{SCRIPT}"),
    "drawing.svg": (f"<svg onload='stolen()' xmlns='http://www.w3.org/2000/svg'>{SCRIPT}".encode(), SCRIPT),
    "bidi.txt": (ODD.encode(), r"\u202etxt.exe\u2028\x07\x1b[31m"),
    "wide.txt": ("\u202eÜber\n".encode("utf-16"), r"\u202eÜber"),
    "none.png": (SCRIPT.encode(), "This is no image that a browser can draw."),
    "table.csv": (f"a,b\n=cmd|' /C calc'!A0,{LONG}\n".encode(), "=cmd|' /C calc'!A0"),
    "many.csv": ((",".join(map(str, range(200))) + "\n").encode() * 60, "The first 50 of 59 rows."),
    "lines.txt": (b"\n" * 12_000, "The first 10,000 of 12,000 lines"),
    "long.json": (f'{{"a": "{LONG}"}}'.encode(), "all 100,027 characters"),
    "deep.json": (b"[" * 20_000, "This is no JSON"),
}
"""Contents that try something, and what the page says of each."""
DIFF: Final = f"""diff --git a/{IMAGE} b/{IMAGE}
--- a/{IMAGE}
+++ b/{IMAGE}
@@ -1 +1 @@ {SCRIPT}
-{ODD}
+{SCRIPT}changed{"x" * 100_000}
"""
MADE: Final = (
    "script:not([src^='/static/']), main img:not([src^='blob:']), iframe, object, a[href^=javascript]"
)
"""What a text would have become on a page that took it for markup."""
PROBLEMS: Final = """made => {
    const hidden = /[\\x00-\\x08\\x0b-\\x1f\\x7f\\u202a-\\u202e\\u2066-\\u2069\\u2028]/
    const found = [...document.querySelectorAll(made)].map(each => `made: ${each.outerHTML.slice(0, 200)}`)
    if (window.wasStolen) found.push('it ran')
    if (hidden.test(document.body.innerText)) found.push(`shown: ${hidden.exec(document.body.innerText)}`)
    if (hidden.test(document.title) || document.title.length > 300) found.push('title')
    for (const each of document.querySelectorAll('[title], [aria-label], [alt]'))
        for (const name of ['title', 'aria-label', 'alt']) {
            const text = each.getAttribute(name) ?? ''
            if (hidden.test(text) || text.length > 2_000) found.push(`${name}: ${text.slice(0, 200)}`)
        }
    for (const each of document.querySelectorAll('main :is(tr, li, p, dd)'))
        if (each.offsetHeight > 1_200) found.push(`high: ${each.outerHTML.slice(0, 200)}`)
    return found
}"""
"""What is wrong: what ran or became markup, characters that hide, labels and rows without end."""


def _bomb() -> bytes:
    """A small PNG of 400 million pixels."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", 20_000, 20_000, 1, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(b"\0" * 100))


@pytest.fixture(scope="module")
def evil(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Served, str]]:
    """A server whose texts try everything, and the path of its experiment."""
    folder = tmp_path_factory.mktemp("evil")
    home = folder / "home"
    (folder / "evil.yaml").write_text(SPEC, encoding="utf-8")
    environment = {**os.environ, "NEMORUN_HOME": str(home)}
    running = subprocess.Popen(
        [EXP, "run", "evil.yaml"], cwd=folder, env=environment, stdout=subprocess.DEVNULL
    )
    about: dict[str, Any] = {"description": f"{ODD}{LONG}", "tags": [IMAGE, SCRIPT, "x" * 10_000]}
    record = Experiment(prefix=f"mallory/{IMAGE}", dash_root=str(home / "dash"), print_logs=False, **about)
    patched = pytest.MonkeyPatch()
    patched.setattr(git_state, "take_diff", lambda *_: None)  # it works in the background for a second
    with record.run:
        patched.undo()
        record.params.set(**{IMAGE: ODD, "long": LONG, SCRIPT: {LINK: [LINK]}})
        record.metrics(SCRIPT).log(step=1, text=LONG, **{IMAGE: 1.0})
        record.tracks(IMAGE.replace("/", "+")).append(text=ODD, _ts=1.0)
        record.log(ODD)
        record.log(LONG, level="error")
        record.note(f"{ODD}{LONG}")
        for name, (content, _) in FILES.items():
            record.files.save_blob(content, to=name)
        record.files.save_blob(_bomb(), to="bomb.png")
        opening = str(record.run.opening)
    place = record_paths.Place(str(home / "dash"), record.prefix)
    Path(place.packages(opening)).write_text(json.dumps({f"{SCRIPT}package": ODD}), encoding="utf-8")
    Path(place.diff(opening)).write_text(DIFF, encoding="utf-8")
    running.wait()
    with served(folder, home=home) as server:
        listed = server.ask("GET", "/v1/views/experiments", token=server.add_token()).json["experiments"]
        yield server, f"{listed[0]['owner']}/{listed[0]['home']}/{listed[0]['id']}"


def _look(page: Page, address: str, marker: str | None) -> None:
    """Go to a view, wait until it shows what others wrote, and look for what may have become of it."""
    follow(page, address)
    if marker is not None:
        expect(page.get_by_role("main")).to_contain_text(marker)
    page.get_by_role("heading", level=1).first.wait_for()
    assert page.evaluate(PROBLEMS, MADE) == [], address


def test_what_others_wrote_is_text_on_every_view(
    evil: tuple[Served, str], visit: Callable[..., Page]
) -> None:
    """Names, params, logs, files, notes, tags and titles with script, markup and 100 kB are bounded texts."""
    server, place = evil
    page = visit(server, "/v1/hello", new=True)
    page.add_init_script("window.stolen = () => { window.wasStolen = true }")
    page.on("dialog", lambda dialog: pytest.fail(dialog.message))
    page.goto(server.url)
    _look(page, "/", SCRIPT)
    for tab, marker in EXPERIMENT_TABS.items():
        _look(page, f"/experiments/{place}?tab={tab}", marker)
    for task in ("broken", f"train/{MEMBER}"):
        _look(page, f"/experiments/{place}?task={quote(task, safe='')}", IMAGE)
    _look(page, "/records", IMAGE)
    record = f"/records/mallory/{quote(IMAGE, safe='')}"
    for tab, marker in RECORD_TABS.items():
        _look(page, f"{record}?tab={tab}", marker)
    for name, (_, said) in FILES.items():
        _look(page, f"{record}?{urlencode({'tab': 'files', 'file': name})}", said)
    _look(page, f"{record}?tab=files&file=bomb.png", "1.6 GB of memory")
    _look(page, f"/compare?record=mallory/{quote(IMAGE, safe='')}", SCRIPT)
    page.get_by_role("combobox", name="Search").fill("stolen")
    page.get_by_role("option", name=IMAGE).first.wait_for()
    assert page.evaluate(PROBLEMS, MADE) == []
