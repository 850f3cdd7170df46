"""Takes pictures of the page, in light and dark: `python docs/pictures/pages.py --out FOLDER [VIEW ...]`.

It runs the study of the README and a study with records of its own in a home of its own, and needs
Debian's chromium-headless-shell. The pictures in this folder are those of `--out docs/pictures --docs`.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote, urlsplit

from playwright.sync_api import sync_playwright

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Browser, Page

HERE: Final = Path(__file__).parent
EXP: Final = str(Path(sys.executable).with_name("exp"))
BROWSER: Final = "/usr/bin/chromium-headless-shell"
OPTIONS: Final = ("--no-sandbox", "--disable-background-networking", "--no-first-run")
WIDTHS: Final = {400: 860, 1280: 800, 2560: 1440}
THEMES: Final = ("light", "dark")
PATIENCE: Final = 20_000  # milliseconds for what a view is to show
SETTLED: Final = 1_000  # milliseconds after which all that is seen is drawn
RUNS: Final = ("study.yaml", "tracked.yaml", "running.yaml")
VIEWS: Final = {  # the address, and what is there when all of it is
    "experiments": ("/", "table.experiments"),
    "experiment": ("{study}", "h1"),
    "curves": ("{tracked}?tab=curves&smooth=0.6", ".curves-said"),
    "sweep": ("{tracked}?tab=sweep", "h1"),
    "params": ("{tracked}?tab=params", "h1"),
    "spec": ("{study}?tab=spec", "h1"),
    "events": ("{study}?tab=events", "h1"),
    "log": ("{running}?task=count", "h1"),
    "records": ("/records", "h1"),
    "record": ("{record}", "h1"),
    "files": ("{record}?tab=files&file=figures/map.png", "img"),
    "compare": ("/compare", "h1"),
}
OF_DOCS: Final = (("experiment", "light", 1280), ("curves", "dark", 1280))
TRACKED: Final = """
name: tracked
description: How fast does each learning rate get there?
tags: [demo]
tasks:
  train:
    inline: python3 tracked.py ${{ matrix.lr }} ${{ matrix.seed }}
    matrix: {lr: [0.01, 0.03, 0.1, 0.3], seed: [1, 2, 3]}
"""
RUNNING: Final = """
name: running
tags: [demo]
tasks:
  count: {inline: 'for n in $(seq 4000); do echo "batch $n"; sleep 0.05; done'}
  report: {inline: 'true', dependencies: [count]}
"""
PROGRAM: Final = """
import math
import random
import struct
import sys
import zlib

from nemorun_cli import Experiment


def picture(shade):
    rows = b"".join(b"\\0" + bytes(min(255, (x ^ y) * 4 + shade) for x in range(64)) for y in range(64))
    head = struct.pack(">IIBBBBB", 64, 64, 8, 0, 0, 0, 0)
    parts = [(b"IHDR", head), (b"IDAT", zlib.compress(rows)), (b"IEND", b"")]
    made = b"\\x89PNG\\r\\n\\x1a\\n"
    for name, data in parts:
        made += struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
    return made


lr, seed = float(sys.argv[1]), int(sys.argv[2])
random.seed(seed)
with Experiment().run as experiment:
    experiment.params.set(lr=lr, seed=seed, model="mlp", width=64)
    for epoch in range(120):
        loss = math.exp(-lr * epoch / 3) + random.gauss(0, 0.02) + 0.05
        loss = math.nan if lr == 0.3 and seed == 2 and epoch > 80 else abs(loss)
        experiment.metrics("train").log(epoch=epoch, loss=loss, accuracy=1 - loss / 1.2)
        if epoch % 40 == 0:
            experiment.files("figures").save(picture(epoch), to="map.png")
    experiment.files("configs").save({"lr": lr, "seed": seed}, to="config.json")
"""


@contextmanager
def served_runs(folder: Path) -> Iterator[str]:
    """A server over a home with these runs: the address that signs in."""
    work = shutil.copytree(HERE / "study", folder / "work")
    (work / "tracked.yaml").write_text(TRACKED, encoding="utf-8")
    (work / "tracked.py").write_text(PROGRAM, encoding="utf-8")
    (work / "running.yaml").write_text(RUNNING, encoding="utf-8")
    environment = {**os.environ, "NEMORUN_HOME": str(folder / "home"), "PAUSE": "0"}

    def exp(*words: str) -> str:
        done = subprocess.run(
            [EXP, *words], cwd=work, env=environment, check=False, stdout=subprocess.PIPE, text=True
        )
        return done.stdout.strip()

    identities = [exp("run", name, "--detach") for name in RUNS]
    for identity in identities[:2]:
        exp("wait", identity)
    server = subprocess.Popen(
        [EXP, "serve", "--port", "0", "--json"],
        cwd=work,
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        ready: dict[str, Any] = json.loads(server.stdout.readline() if server.stdout else "{}")
        yield ready["sign_in"]
    finally:
        server.terminate()
        server.wait()
        exp("cancel", identities[-1])


def addresses(page: Page, origin: str) -> dict[str, str]:
    """The paths of the experiments, and that of a record of the tracked one."""
    ask = """async path => (await fetch(path, {headers: {
        Authorization: `Bearer ${localStorage.getItem('exp.session')}`}})).json()"""
    listed = page.evaluate(ask, f"{origin}/v1/views/experiments")["experiments"]
    found = {
        entry["name"]: f"/experiments/{entry['owner']}/{entry['home']}/{entry['id']}" for entry in listed
    }
    records = page.evaluate(ask, f"{origin}/v1/views/records?text=lr%3D0.1")["records"]
    return {**found, "record": "/records/" + quote(records[0]["prefix"])}


def take(browser: Browser, sign_in: str, wanted: list[tuple[str, str, int]], out: Path) -> None:
    """Take these pictures: each a view, a theme and a width."""
    origin = "{0.scheme}://{0.netloc}".format(urlsplit(sign_in))
    context = browser.new_context()
    context.set_default_timeout(PATIENCE)
    page = context.new_page()
    page.goto(sign_in)
    page.locator("table.experiments").wait_for()
    found = addresses(page, origin)
    for view, theme, width in wanted:
        path, shown = VIEWS[view]
        page.set_viewport_size({"width": width, "height": WIDTHS[width]})
        page.emulate_media(color_scheme="dark" if theme == "dark" else "light", reduced_motion="reduce")
        page.goto(origin + path.format(**found))
        page.locator(shown).first.wait_for()
        page.wait_for_timeout(SETTLED)
        page.screenshot(path=out / f"page-{view}-{theme}-{width}.png")


def main() -> None:
    """Take the pictures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--docs", action="store_true", help="those of the documentation alone")
    parser.add_argument("view", nargs="*", help="of: " + ", ".join(VIEWS))
    options = parser.parse_args()
    if unknown := set(options.view) - set(VIEWS):
        parser.error(f"no view: {', '.join(sorted(unknown))}")
    options.out.mkdir(parents=True, exist_ok=True)
    views = options.view or list(VIEWS)
    wanted = (
        list(OF_DOCS)
        if options.docs
        else [(view, theme, width) for view in views for theme in THEMES for width in WIDTHS]
    )
    with (
        tempfile.TemporaryDirectory() as name,
        served_runs(Path(name)) as sign_in,
        sync_playwright() as player,
    ):
        browser = player.chromium.launch(executable_path=BROWSER, args=list(OPTIONS))
        take(browser, sign_in, wanted, options.out)
        browser.close()


if __name__ == "__main__":
    main()
