"""Speed of remote mode: a server with replicas, and programs that log to it, as ratios within one run.

    python tests/benchmarks/bench_remote.py [--trackio PYTHON] [--ml-dash PYTHON] [--only PART …]

PYTHON is the interpreter of an environment with `trackio` 0.43, or with `ml-dash` 0.11. Each side is a
program of its own; what is shown are medians of the rounds.
The parts are ingest, programs, list, curve, file and peers.
"""

from __future__ import annotations

import argparse
import contextlib
import gzip
import hashlib
import json
import os
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from http.client import HTTPConnection
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

EXP: Final = str(Path(sys.executable).with_name("exp"))
PARTS: Final = ("ingest", "programs", "list", "curve", "file", "peers")
USER: Final = "bench"
MIB: Final = 1 << 20
BATCH_ROWS: Final = 1000
LOOP_ROWS: Final = 400_000  # two seconds: the start of the sender takes a core for the first fifth of one

# A program that logs to a server, or to none: the time of its loop, of all, and of each call.
OURS: Final = """\
import json, os, sys, time
from nemorun_cli import Experiment
root, url, rows = sys.argv[1], sys.argv[2] or None, int(sys.argv[3])
where = {"dash_url": url} if url else {}
e = Experiment(prefix=f"bench/p/{os.getpid()}", dash_root=root, **where).run.start()
train = e.metrics("train")
train.log(loss=0.1, epoch=0, accuracy=0.2)
clock, calls = time.perf_counter, []
begin = clock()
for i in range(rows):
    before = clock()
    train.log(loss=1 / (i + 1), epoch=i, accuracy=0.1 * i)
    calls.append(clock() - before)
loop = clock() - begin
e.run.complete()
calls.sort()
print(json.dumps({"loop": loop, "whole": clock() - begin, "p99": calls[len(calls) * 99 // 100]}))
"""

ML_DASH: Final = """\
import json, os, sys, time
from ml_dash import Experiment
url, rows = sys.argv[1], int(sys.argv[2])
e = Experiment(prefix=f"bench/p/{os.getpid()}", dash_url=url, dash_root=None)
e.run.start()
train = e.metrics("train")
begin = time.perf_counter()
for i in range(rows):
    train.log(loss=1 / (i + 1), epoch=i, accuracy=0.1 * i)
loop = time.perf_counter() - begin
e.run.complete()
print(json.dumps({"loop": loop, "whole": time.perf_counter() - begin}))
"""

TRACKIO: Final = """\
import json, os, sys, time
import trackio
url, rows = sys.argv[1], int(sys.argv[2])
trackio.init(project="p", name=str(os.getpid()), server_url=url, embed=False)
begin = time.perf_counter()
for i in range(rows):
    trackio.log({"loss": 1 / (i + 1), "epoch": i, "accuracy": 0.1 * i})
loop = time.perf_counter() - begin
trackio.finish()
print(json.dumps({"loop": loop, "whole": time.perf_counter() - begin}))
"""

TRACKIO_SERVER: Final = """\
import time, trackio
*_, url = trackio.show(block_thread=False, open_browser=False)
print("URL", url, flush=True)
time.sleep(3600)
"""


class Server:
    """A collecting server with a token."""

    def __init__(self, folder: Path) -> None:
        self.root = folder / "replicas"
        self.environment = {**os.environ, "NEMORUN_HOME": str(folder / "home"), "HOME": str(folder)}
        argv = [EXP, "serve", "--root", str(self.root), "--port", "0", "--json", "--quiet"]
        self.log = (folder / "server.log").open("a")
        self.process = subprocess.Popen(
            argv, env=self.environment, stdout=subprocess.PIPE, stderr=self.log, text=True
        )
        assert self.process.stdout is not None
        ready = json.loads(self.process.stdout.readline())
        self.url, self.port = str(ready["url"]), int(ready["port"])
        made = subprocess.run(
            [EXP, "serve", "token", "add", USER, "--root", str(self.root), "--quiet"],
            env=self.environment, check=True, capture_output=True, text=True,
        )  # fmt: skip
        self.token = made.stdout.strip()

    def end(self) -> None:
        """Stop it."""
        self.process.kill()
        self.process.communicate()
        self.log.close()

    def connection(self) -> HTTPConnection:
        """A new connection."""
        return HTTPConnection("127.0.0.1", self.port, timeout=120)

    def ask(
        self, connection: HTTPConnection, method: str, path: str, body: Any = b"", **headers: str
    ) -> bytes:
        """The body of the answer, which is no error."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        connection.request(method, path, body, {"Authorization": f"Bearer {self.token}", **named})
        answer = connection.getresponse()
        text = answer.read()
        if answer.status >= 300:
            sys.exit(f"{method} {path}: {answer.status} {text[:300]!r}")
        return text

    def cpu(self) -> float:
        """The seconds of CPU that it has used: on a busy machine, a steadier figure than the time."""
        fields = (
            Path(f"/proc/{self.process.pid}/stat").read_text(encoding="ascii").rpartition(") ")[2].split()
        )
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def memory(self) -> int:
        """The most memory that it has had, in bytes."""
        text = Path(f"/proc/{self.process.pid}/status").read_text(encoding="ascii")
        return int(text.partition("VmHWM:")[2].split()[0]) * 1024


def main() -> None:
    """Run the parts, each with a server of its own."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--trackio", type=Path, metavar="PYTHON", help="an interpreter that has trackio")
    parser.add_argument("--ml-dash", type=Path, metavar="PYTHON", help="an interpreter that has ml-dash")
    parser.add_argument("--folder", type=Path, help="a folder that does not exist yet")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", nargs="+", choices=PARTS, default=PARTS)
    options = parser.parse_args()
    folder = options.folder or Path(tempfile.mkdtemp(prefix="bench-remote-"))
    folder.mkdir(parents=True, exist_ok=options.folder is None)
    parts: dict[str, Callable[[Path], None]] = {
        "ingest": lambda at: ingest(at, options.rounds),
        "programs": lambda at: programs(at, options.rounds),
        "list": lists,
        "curve": curve,
        "file": file,
        "peers": lambda at: peers(at, options.rounds, trackio=options.trackio, ml_dash=options.ml_dash),
    }
    try:
        for name in options.only:
            (folder / name).mkdir()
            parts[name](folder / name)
    finally:
        if options.folder is None:
            shutil.rmtree(folder)


@contextlib.contextmanager
def serving(folder: Path) -> Iterator[Server]:
    """A server for a part."""
    server = Server(folder)
    try:
        yield server
    finally:
        server.end()


def figure(name: str, value: str, *, is_met: bool | None = None) -> None:
    """Print a figure, and whether its goal is met."""
    verdict = "" if is_met is None else ("met" if is_met else "MISSED")
    print(f"{name:<64} {value:>22}  {verdict}", flush=True)


def rows_of(begin: int, count: int) -> bytes:
    """Rows of a metric as a program writes them."""
    lines = (
        json.dumps({"_ts": 1.7e9 + step, "loss": 1 / (step + 1), "epoch": step, "accuracy": 0.1 * step})
        for step in range(begin, begin + count)
    )
    return "".join(f"{line}\n" for line in lines).encode()


def ingest(folder: Path, rounds: int) -> None:
    """Rows per second that are on disk before the answer, by one sender and by four."""
    with serving(folder) as server:
        batches = [rows_of(number * BATCH_ROWS, BATCH_ROWS) for number in range(100)]
        for name, packed in (
            ("as they are", None),
            ("as gzip", [gzip.compress(batch, 1) for batch in batches]),
        ):
            speeds, before = [], server.cpu()
            for turn in range(rounds):
                path = f"/v1/records/{USER}/p/x/.record/metrics/{name.replace(' ', '_')}/{turn:04}-a.jsonl"
                connection, offset = server.connection(), 0
                begin = time.perf_counter()
                for number, batch in enumerate(batches):
                    headers = {"Upload_Offset": str(offset)}
                    if packed is not None:
                        headers["Content_Encoding"] = "gzip"
                    server.ask(connection, "PATCH", path, packed[number] if packed else batch, **headers)
                    offset += len(batch)
                speeds.append(len(batches) * BATCH_ROWS / (time.perf_counter() - begin))
                connection.close()
            speed = statistics.median(speeds)
            goal = 100_000
            figure(
                f"rows taken in durably, {name} (goal {goal:,}/s)",
                f"{speed:,.0f} rows/s",
                is_met=speed >= goal,
            )
            cost = (server.cpu() - before) / (rounds * len(batches) * BATCH_ROWS)
            figure(f"CPU of the server per row, {name}", f"{cost * 1e6:.2f} us")
        figure("memory of the server after that", f"{server.memory() / MIB:.0f} MB")


@contextlib.contextmanager
def hanging() -> Iterator[str]:
    """The address of a server that accepts and never answers."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(100)
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"


def programs(folder: Path, rounds: int) -> None:
    """The loop of a program without a server, with one, and with one that hangs."""
    with serving(folder) as server, hanging() as away:
        results: dict[str, list[dict[str, float]]] = {"": [], server.url: [], away: []}
        for turn in range(rounds + 1):
            for number, url in enumerate(results):
                environment = {
                    **server.environment, "EXP_TOKEN": server.token, "EXP_DASH_URL": url, "EXP_DRAIN": "0",
                }  # fmt: skip
                root = str(folder / f"local-{turn}-{number}")
                argv = [sys.executable, "-c", OURS, root, url, str(LOOP_ROWS)]
                if turn:  # the first only warms up
                    results[url].append(_program(argv, environment))
                else:
                    _program(argv, environment)
        for name, url in (("with a server", server.url), ("with a server that hangs", away)):
            loop = f"{LOOP_ROWS:,} calls of log"
            for value, shown in (("loop", loop), ("p99", "the 99th percentile of log")):
                pairs = zip(results[url], results[""], strict=True)
                ratio = statistics.median(mine[value] / local[value] for mine, local in pairs)
                figure(f"{shown}, {name}, over local mode (goal 1.1)", f"{ratio:.2f}x", is_met=ratio <= 1.1)
        local = statistics.median(each["loop"] for each in results[""]) / LOOP_ROWS
        figure("one call of log in local mode", f"{local * 1e6:.1f} us")


def _program(argv: list[str], environment: dict[str, str]) -> dict[str, float]:
    done = subprocess.run(argv, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"a program ended with {done.returncode}:\n{done.stderr[-3000:]}")
    result: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return result


def lists(folder: Path) -> None:
    """A page of the list of 10,000 records, from a server that has just started, and again."""
    count = 10_000
    environment = {**os.environ, "HOME": str(folder), "NEMORUN_HOME": str(folder / "home")}
    _program([sys.executable, "-c", OURS, str(folder / "model"), "", "10"], environment)
    (model,) = (folder / "model" / USER / "p").iterdir()
    for number in range(count):
        target = folder / f"replicas/{USER}/p{number % 100}/x{number}"
        shutil.copytree(model, target, ignore=shutil.ignore_patterns("*.part"))  # git may still run
    _private(folder / "replicas")
    path = "/v1/views/records?limit=100"
    with serving(folder) as server:
        connection = server.connection()
        cold = _seconds(lambda: server.ask(connection, "GET", path))
        figure("list of 10,000 records, index made anew", f"{cold * 1000:.0f} ms")
        warm = _asked_often(server, path, "list of 10,000 records")
        figure("list of 10,000 records (goal 300 ms)", f"{warm * 1000:.0f} ms", is_met=warm <= 0.3)


def _asked_often(server: Server, path: str, name: str) -> float:
    """The median time of an answer in seconds; shows the CPU of the server for one."""
    connection, before = server.connection(), server.cpu()
    times = [_seconds(lambda: server.ask(connection, "GET", path)) for _ in range(15)]
    figure(f"{name}: CPU of the server", f"{(server.cpu() - before) / len(times) * 1000:.0f} ms")
    return statistics.median(times)


def curve(folder: Path) -> None:
    """The curve of a metric with 1,000,000 rows: from its file, after a restart, and again.

    Cold is a server that has restarted with its cache. Without any, all rows are parsed once, which takes
    seconds, and is done in the background as they arrive.
    """
    rows = 1_000_000
    environment = {**os.environ, "HOME": str(folder), "NEMORUN_HOME": str(folder / "home")}
    argv = [sys.executable, "-c", OURS, str(folder / "replicas"), "", str(rows)]
    _program(argv, environment)
    (record,) = (folder / "replicas" / USER / "p").iterdir()
    _private(folder / "replicas")
    path = f"/v1/views/records/{USER}/p/{record.name}/.record/curve?key=train/loss&points=1000"
    with serving(folder) as server:
        connection = server.connection()
        made = _seconds(lambda: server.ask(connection, "GET", path))
        figure("curve of 1,000,000 rows, without any cache", f"{made * 1000:.0f} ms")
        figure("memory of the server after that", f"{server.memory() / MIB:.0f} MB")
    with serving(folder) as server:
        connection = server.connection()
        cold = _seconds(lambda: server.ask(connection, "GET", path))
        name = "curve of 1,000,000 rows, restarted with its cache (goal 1 s)"
        figure(name, f"{cold * 1000:.0f} ms", is_met=cold <= 1)
        warm = _asked_often(server, path, "curve of 1,000,000 rows")
        figure("curve of 1,000,000 rows, warm (goal 100 ms)", f"{warm * 1000:.0f} ms", is_met=warm <= 0.1)


def _private(folder: Path) -> None:
    folder.chmod(0o700)


def _seconds(call: Callable[[], object]) -> float:
    begin = time.perf_counter()
    call()
    return time.perf_counter() - begin


def file(folder: Path) -> None:
    """A file of a gigabyte: the time, and the memory of the server."""
    size, block = 1024, os.urandom(MIB)
    digest = hashlib.sha256()
    for _ in range(size):
        digest.update(block)
    checksum = digest.hexdigest()

    def blocks() -> Iterator[bytes]:
        for _ in range(size):
            yield block

    path = f"/v1/records/{USER}/p/x/.record/blobs/{checksum[:2]}/{checksum}"
    with serving(folder) as server:
        headers = {"Upload_Offset": "0", "Upload_Length": str(size * MIB), "Content_Length": str(size * MIB)}
        seconds = _seconds(lambda: server.ask(server.connection(), "PATCH", path, blocks(), **headers))
        figure("a file of 1 GB, checked and on disk", f"{seconds:.1f} s, {size / seconds:.0f} MB/s")
        memory = server.memory() / MIB
        figure("memory of the server (goal 100 MB)", f"{memory:.0f} MB", is_met=memory < 100)


def peers(folder: Path, rounds: int, *, trackio: Path | None, ml_dash: Path | None) -> None:
    """Rows per second from the first `log` until all are on the server, of three clients."""
    rows = 20_000
    with contextlib.ExitStack() as stack:
        server = stack.enter_context(serving(folder))
        environment = {**server.environment, "EXP_TOKEN": server.token, "EXP_DASH_URL": server.url}
        ours = [sys.executable, "-c", OURS, str(folder / "local"), server.url, str(rows)]
        sides: dict[str, tuple[list[str], dict[str, str]]] = {
            "ours": (ours, {**environment, "EXP_DRAIN": "60"})
        }
        if ml_dash is not None:
            dash = folder / ".dash"
            dash.mkdir(mode=0o700)
            (dash / "tokens.json").write_text(json.dumps({"ml-dash-token": server.token}), encoding="utf-8")
            own = {**environment, "ML_DASH_NO_VERSION_CHECK": "1", "ML_DASH_CONFIG_DIR": str(dash)}
            argv = [str(ml_dash), "-c", ML_DASH, server.url, str(rows)]
            sides["ml-dash 0.11, to the same server"] = (argv, own)
        if trackio is not None:
            url, own = stack.enter_context(_trackio(trackio, folder, environment))
            sides["trackio 0.43, to its own server"] = ([str(trackio), "-c", TRACKIO, url, str(rows)], own)
        results: dict[str, list[dict[str, float]]] = {name: [] for name in sides}
        for _ in range(rounds):
            for name, (argv, own) in sides.items():
                results[name].append(_program(argv, own))
        for name, times in results.items():
            whole = statistics.median(rows / each["whole"] for each in times)
            loop = statistics.median(each["loop"] / rows for each in times)
            pairs = zip(times, results["ours"], strict=True)
            ratio = statistics.median(each["whole"] / mine["whole"] for each, mine in pairs)
            shown = f"{whole:,.0f} rows/s, {ratio:.1f}x"
            figure(f"{name}: until {rows:,} rows are on the server", shown)
            figure(f"{name}: one call of log", f"{loop * 1e6:.1f} us")


@contextlib.contextmanager
def _trackio(python: Path, folder: Path, environment: dict[str, str]) -> Iterator[tuple[str, dict[str, str]]]:
    """The address of trackio's own server, and the environment of its programs."""
    own = {**environment, "TRACKIO_DIR": str(folder / "trackio"), "HF_HUB_OFFLINE": "1"}
    with (folder / "trackio.log").open("w") as log:
        process = subprocess.Popen(
            [str(python), "-c", TRACKIO_SERVER], env=own, stdout=subprocess.PIPE, stderr=log, text=True
        )
        try:
            assert process.stdout is not None
            address = next(line for line in process.stdout if line.startswith("URL "))
            yield address.split()[1], own
        finally:
            process.kill()
            process.communicate()


if __name__ == "__main__":
    main()
