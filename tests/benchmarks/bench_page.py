"""How fast the page shows what it has, with the same lists of mlflow and trackio in the same run.

    python tests/benchmarks/bench_page.py [--peers PYTHON] [--records N] [--rows N] [--rounds N]

PYTHON is the interpreter of an environment with `mlflow` and `trackio` in it. A round opens each view in
a new context of one browser, without its cache, on servers that run already; what is shown are medians.
"""

from __future__ import annotations

import argparse
import contextlib
import math
import os
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING, Final

sys.path.insert(0, str(Path(__file__).parents[1]))

from playwright.sync_api import Error, sync_playwright
from support import browsers
from support.served import EXP, Served, served
from support.view_sites import replica

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from playwright.sync_api import Browser, Page

RUNS: Final = 100  # whose curves are drawn together
LOG: Final = 200_000_000  # bytes
SPEC: Final = f"""
name: log
tasks:
  big: {{inline: '{{ seq 99999999 || true; }} | head -c {LOG}; echo; echo "the last"" line"; exit 1'}}
"""
IDLE: Final = 5.0  # seconds
PATIENCE: Final = 20_000  # milliseconds
SEEN: Final = """what => {
  const text = what.startsWith('text=') ? what.slice(5) : null;
  const seen = root => text === null
    ? [...root.querySelectorAll(what)].some(element => element.getClientRects().length)
    : (root.body ?? root).textContent.includes(text);
  const all = [...document.querySelectorAll('*')];
  const isSeen = seen(document) || all.some(({shadowRoot}) => shadowRoot && seen(shadowRoot));
  return isSeen && performance.now();
}"""
WIDTH: Final = {"width": 1440, "height": 900}
MLFLOW: Final = """\
import sys, mlflow
mlflow.set_tracking_uri(sys.argv[1])
mlflow.set_experiment("bench")
for number in range(int(sys.argv[2])):
    with mlflow.start_run(run_name=f"run-{number}"):
        mlflow.log_param("lr", number)
        mlflow.log_metric("loss", 1 / (number + 1))
"""
TRACKIO: Final = """\
import sys, trackio
for number in range(int(sys.argv[1])):
    trackio.init(project="bench", name=f"run-{number}", config={"lr": number}, embed=False)
    trackio.log({"loss": 1 / (number + 1)})
    trackio.finish()
"""


def main() -> None:
    """Measure, and print a line for each figure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--peers", help="the interpreter with mlflow and trackio")
    parser.add_argument("--records", type=int, default=1000)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=5)
    given = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="bench-page-"))
    try:
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(
                executable_path=browsers.PROGRAM, args=list(browsers.OPTIONS)
            )
            ours = _ours(browser, folder, given)
            if given.peers:
                _peers(browser, folder, given, ours)
            browser.close()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _ours(browser: Browser, folder: Path, given: argparse.Namespace) -> float:
    """Our views; returns the seconds until the list of records is seen."""
    collected = folder / "collected"
    for number in range(given.records):
        loss = [{"step": 0, "loss": 1 / (number + 1)}]
        replica(collected / "root", f"alice/bench/r{number}", rows={"train": loss}, tags=["bench"])
    for number in range(RUNS):
        rows = [{"step": row, "loss": 1 / (row + number + 1)} for row in range(given.rows)]
        replica(collected / "root", f"alice/curves/r{number}", rows={"train": rows})
    with served(collected) as server:
        row = "tr[data-row] a"
        first = _shown(browser, server, "/records?prefix=alice/bench", row, rounds=given.rounds)
        _figure(f"first view of {given.records:,} records", first, goal=0.3)
        _figure("an idle tab, of one core", _idle(browser, server, "/records?prefix=alice/bench"), goal=0.01)
        curves = "/compare?prefix=alice/curves&tab=curves"
        drawn = _shown(browser, server, curves, "canvas", rounds=given.rounds)
        _figure(f"{RUNS} runs of {given.rows:,} rows, warm", drawn, goal=1.0)
    home = folder / "logged"
    (folder / "log.yaml").write_text(SPEC)
    environment = {**os.environ, "NEMORUN_HOME": str(home)}
    subprocess.run([EXP, "run", "log.yaml", "-q"], cwd=folder, env=environment, check=False)
    with served(folder, home=home) as server:
        listed = server.ask("GET", "/v1/views/experiments", token=server.add_token()).json["experiments"][0]
        path = f"/experiments/{listed['owner']}/{listed['home']}/{listed['id']}?task=big"
        logged = _shown(browser, server, path, "text=the last line", rounds=given.rounds)
        _figure("a log of 200 MB", logged, goal=0.5)
    return first


@contextlib.contextmanager
def _opened(browser: Browser, url: str, token: str | None) -> Iterator[Page]:
    """A view in a context of its own."""
    storage = [{"name": "exp.session", "value": token}] if token else []
    origin = {"origin": "/".join(url.split("/", 3)[:3]), "localStorage": storage}
    context = browser.new_context(viewport=WIDTH, storage_state={"cookies": [], "origins": [origin]})
    try:
        page = context.new_page()
        page.goto(url, wait_until="commit")
        yield page
    finally:
        context.close()


def _until(browser: Browser, url: str, token: str | None, what: str) -> float:
    """Seconds from the navigation until something can be seen."""
    with _opened(browser, url, token) as page:
        seen = page.wait_for_function(SEEN, arg=what, timeout=PATIENCE)  # a locator looks twice a second
        return float(seen.json_value()) / 1000


def _shown(browser: Browser, server: Served, path: str, what: str, *, rounds: int) -> float:
    token = server.add_token()
    return _median(lambda: _until(browser, server.url + path, token, what), rounds)


def _median(measure: Callable[[], float], rounds: int) -> float:
    """The median after a first round, which only warms up; infinite for what is never seen."""
    try:
        return statistics.median([measure() for _ in range(rounds + 1)][1:])
    except Error:
        return math.inf


def _idle(browser: Browser, server: Served, path: str) -> float:
    """The part of one core that a tab takes while nothing changes."""
    with _opened(browser, server.url + path, server.add_token()) as page:
        page.locator("tr[data-row]").first.wait_for()
        page.wait_for_timeout(2000)
        session = page.context.new_cdp_session(page)
        session.send("Performance.enable")

        def busy() -> float:
            metrics = session.send("Performance.getMetrics")["metrics"]
            return float(next(each["value"] for each in metrics if each["name"] == "TaskDuration"))

        before = busy()
        page.wait_for_timeout(IDLE * 1000)
        return (busy() - before) / IDLE


def _peers(browser: Browser, folder: Path, given: argparse.Namespace, ours: float) -> None:
    """The lists of as many runs in mlflow and trackio."""
    environment = {**os.environ, "HOME": str(folder), "TRACKIO_DIR": str(folder / "trackio")}
    store = f"sqlite:///{folder}/mlflow.db"
    port = str(_free_port())
    made: dict[str, tuple[list[str], list[str], str, str]] = {
        "mlflow": (
            [given.peers, "-c", MLFLOW, store, str(given.records)],
            [given.peers, "-m", "mlflow", "ui", "--backend-store-uri", store, "--port", port],
            f"http://127.0.0.1:{port}/#/experiments/1/runs",
            f"text=run-{given.records - 1}",
        ),
        "trackio": (
            [given.peers, "-c", TRACKIO, str(given.records)],
            [str(Path(given.peers).with_name("trackio")), "show", "--project", "bench"],
            "http://127.0.0.1:7860/runs?project=bench",
            f"text=run-{given.records - 1}",
        ),
    }
    for name, (fill, serve, url, what) in made.items():
        log = (folder / f"{name}.log").open("w")
        if subprocess.run(fill, env=environment, stdout=log, stderr=log, check=False).returncode:
            print(f"{name} could not be filled: {(folder / f'{name}.log').read_text()[-400:]}")
            continue
        process = subprocess.Popen(serve, env=environment, stdout=log, stderr=log, start_new_session=True)
        try:
            _await(url)
            theirs = _median(lambda url=url, what=what: _until(browser, url, None, what), given.rounds)
            _figure(f"{name}: its list of {given.records:,} runs", theirs)
            print(f"{'':4}ours takes {ours / theirs:.2f} of that", flush=True)
        except Exception as error:  # noqa: BLE001 - a peer that fails is a line, the others are measured
            print(f"{name}: {str(error).splitlines()[0]}", flush=True)
        finally:
            process.terminate()
            process.wait()


def _await(url: str) -> None:
    """Wait until a server answers."""
    end = time.monotonic() + PATIENCE / 1000
    while True:
        try:
            with urllib.request.urlopen(url.partition("#")[0], timeout=5):  # noqa: S310 - of this machine
                return
        except OSError:
            if time.monotonic() > end:
                raise
            time.sleep(0.5)


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def _figure(name: str, value: float, *, goal: float | None = None) -> None:
    verdict = "" if goal is None else f"   at most {goal:g}: {'reached' if value <= goal else 'MISSED'}"
    print(f"{name:<44} {value:8.3f}{verdict}", flush=True)


if __name__ == "__main__":
    main()
