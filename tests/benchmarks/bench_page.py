"""How fast the page shows what it has, with the same lists of mlflow and trackio in the same run.

    python tests/benchmarks/bench_page.py [--peers PYTHON] [--records N] [--rows N] [--rounds N]

PYTHON is the interpreter of an environment with `mlflow` and `trackio` in it. A round opens a view in one
browser that has its scripts in the cache, on servers that run already. It ends with the frame in which a row
or a curve is painted, or when a text is seen. What is shown are medians; the shares are those of one round.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import math
import os
import shutil
import socket
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

    from playwright.sync_api import Browser, BrowserContext

RUNS: Final = 100  # whose curves are drawn together
LOG: Final = 200_000_000  # bytes
SPEC: Final = f"""
name: log
tasks:
  big: {{inline: '{{ seq 99999999 || true; }} | head -c {LOG}; echo; echo "the last"" line"; exit 1'}}
"""
STEPS: Final = (
    "the document",
    "scripts and styles",
    "until the list is asked for",
    "the server",
    "its answer",
    "drawn",
    "painted",
)
IDLE: Final = 5.0  # seconds
PATIENCE: Final = 90_000  # milliseconds: what was never read before may take long
ANSWERS: Final = """() => performance.getEntriesByType('resource')
    .filter(each => each.name.includes('/v1/views/'))
    .reduce((sum, each) => sum + each.responseEnd - each.requestStart, 0)"""
START: Final = 120.0  # seconds for a peer to answer
# A locator looks for a text twice a second; this looks in each frame, in shadow roots too.
SEEN: Final = """text => {
  const roots = [...document.querySelectorAll('*')].flatMap(({ shadowRoot }) => shadowRoot ?? []);
  return [document.body, ...roots].some(root => root?.textContent.includes(text)) && performance.now();
}"""
WIDTH: Final = {"width": 1440, "height": 900}
ROW: Final = "tr[data-row] a"
PAINTED: Final = """what => {
  const look = () => {
    if (document.querySelector(what) === null) return requestAnimationFrame(look);
    const begun = performance.now();
    const { port1, port2 } = new MessageChannel();
    port1.onmessage = () => { window.painted = [begun, performance.now()]; };
    port2.postMessage(null); // its turn comes after the frame that is being made
  };
  look();
}"""
REACHED: Final = """() => {
  const [page] = performance.getEntriesByType("navigation");
  const loaded = performance.getEntriesByType("resource");
  const parts = loaded.filter(each => each.name.includes("/static/")).map(each => each.responseEnd);
  const list = loaded.find(each => each.name.includes("/v1/views/"));
  return [page.responseEnd, Math.max(...parts), list.startTime, list.responseStart, list.responseEnd];
}"""
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
        first = _shown(browser, server, "/records?prefix=alice/bench", ROW, rounds=given.rounds)
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
def _context(browser: Browser, url: str, token: str | None) -> Iterator[BrowserContext]:
    """What one user of the browser has, signed in with a token."""
    storage = [{"name": "exp.session", "value": token}] if token else []
    origin = {"origin": "/".join(url.split("/", 3)[:3]), "localStorage": storage}
    context = browser.new_context(viewport=WIDTH, storage_state={"cookies": [], "origins": [origin]})
    context.set_default_timeout(PATIENCE)
    try:
        yield context
    finally:
        context.close()


def _rounds(
    browser: Browser, url: str, token: str | None, what: str, *, rounds: int
) -> list[tuple[float, list[float]]]:
    """For each round the seconds from the navigation until something is seen, and those of its steps.

    A first round, which fills the cache, does not count. A row is timed in the page, with its steps.
    """
    measured: list[tuple[float, list[float]]] = []
    is_text = what.startswith("text=")
    with _context(browser, url, token) as context:
        if not is_text:
            context.add_init_script(f"({PAINTED})({json.dumps(what)})")
        page = context.new_page()
        for _ in range(rounds + 1):
            page.goto("about:blank")
            page.goto(url, wait_until="commit")
            if is_text:
                seen = page.wait_for_function(SEEN, arg=what.removeprefix("text="))
                measured.append((seen.json_value() / 1000, []))
                continue
            page.locator(what).first.wait_for()
            while not (painted := page.evaluate("window.painted")):
                page.wait_for_timeout(20)
            steps = page.evaluate(REACHED) + painted if what == ROW else [page.evaluate(ANSWERS)]
            measured.append((painted[1] / 1000, [each / 1000 for each in steps]))
    return measured[1:]


def _shown(browser: Browser, server: Served, path: str, what: str, *, rounds: int) -> float:
    """The median for a view of ours."""
    return _median(lambda: _rounds(browser, server.url + path, server.add_token(), what, rounds=rounds))


def _median(measure: Callable[[], list[tuple[float, list[float]]]]) -> float:
    """The median, whose steps are printed; infinite for what is never seen."""
    try:
        measured = sorted(measure())
    except Error as error:
        print(f"{'':4}{error.message.splitlines()[0]}")
        return math.inf
    total, steps = measured[len(measured) // 2]
    names = STEPS if len(steps) == len(STEPS) else ["the server's answers"]
    for name, begin, end in zip(names, [0.0, *steps], steps, strict=False):
        print(f"{'':4}{name:<40} {end - begin:8.3f}")
    return total


def _idle(browser: Browser, server: Served, path: str) -> float:
    """The part of one core that a tab takes while nothing changes."""
    with _context(browser, server.url, server.add_token()) as context:
        page = context.new_page()
        page.goto(server.url + path)
        page.locator(ROW).first.wait_for()
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
            theirs = _median(
                lambda url=url, what=what: _rounds(browser, url, None, what, rounds=given.rounds)
            )
            _figure(f"{name}: its list of {given.records:,} runs", theirs)
            print(f"{'':4}ours takes {ours / theirs:.2f} of that", flush=True)
        except Exception as error:  # noqa: BLE001 - a peer that fails is a line, the others are measured
            print(f"{name}: {str(error).splitlines()[0]}", flush=True)
        finally:
            process.terminate()
            process.wait()


def _await(url: str) -> None:
    """Wait until a server answers."""
    end = time.monotonic() + START
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
