from __future__ import annotations

import contextlib
import os
import random
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

from support.extent import IS_LONG, amount
from support.local_records import LocalRecords
from support.patience import eventually
from support.senders import end_senders
from support.served import Served, served

from nemorun_cli.replication import shapes
from nemorun_cli.replication.sender import outbox_files
from nemorun_cli.system import locks
from nemorun_cli.tracking.access import reader
from nemorun_cli.tracking.outbox import markers, sender_process

if TYPE_CHECKING:
    import pytest

ROUNDS: Final = amount(4, long=200)
WRITERS: Final = amount(2, long=4)
SEED: Final = 7
PAUSE: Final = 0.5  # seconds between kills, at most
LONGEST_OPENING: Final = 0.05  # seconds until a program is killed that opens a record
OPENING: Final = """
import sys, time
from nemorun_cli import Experiment
prefix, root, url = sys.argv[1:]
experiment = Experiment(prefix, dash_root=root, dash_url=url)
experiment.shipping.prepare = lambda *_: {"dash_url": url}  # the server may have been killed
print("opens", flush=True)
experiment.run.start()
time.sleep(60)
"""
PROGRAM: Final = """
import itertools, os, sys, time
from nemorun_cli import Experiment
prefix, root, url = sys.argv[1:]
experiment = Experiment(prefix, dash_root=root, dash_url=url, print_logs=False)
experiment.run.start()
print("open", flush=True)
experiment.params.set(pid=os.getpid())
for step in itertools.count():
    experiment.metrics("train/loss").log(step=step, loss=1 / (step + 1))
    experiment.tracks("robot").append(x=step)
    experiment.log(f"step {step}")
    if step % 100 == 0:
        experiment.files.save_blob(os.urandom(200_000), to="b.bin")
    if os.path.exists(f"{root}/stop"):
        break
    time.sleep(0.002)
experiment.run.complete()
"""


@dataclass
class Cluster:
    """A server, a sender, and programs that write records, all of which may be killed."""

    folder: Path
    stack: contextlib.ExitStack
    random: random.Random
    server: Served
    token: str
    programs: list[subprocess.Popen[str]] = field(default_factory=list)
    killed: dict[str, int] = field(default_factory=dict)

    @property
    def root(self) -> Path:
        """The folder of the records."""
        return self.folder / "dash"

    @property
    def lock(self) -> Path:
        """The lock of the sender."""
        return Path(markers.of_records(str(self.root), self.server.url).lock)

    def start(self, index: int) -> None:
        """Start a program: two write each record."""
        program = self.program(PROGRAM, f"alice/kills/{index // 2}")
        assert program.stdout is not None
        assert program.stdout.readline() == "open\n"
        self.programs[index : index + 1] = [program]

    def program(self, text: str, prefix: str) -> subprocess.Popen[str]:
        """Start a program that writes a record."""
        argv = [sys.executable, "-c", text, prefix, str(self.root), self.server.url]
        return subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)

    def kill_opening_program(self) -> None:
        """Kill a program with a record of its own while it opens it."""
        number = self.killed.get("kill_opening_program", 0)
        program = self.program(OPENING, f"alice/opening/{number}")
        assert program.stdout is not None
        assert program.stdout.readline() == "opens\n"
        time.sleep(self.random.uniform(0, LONGEST_OPENING))
        program.kill()
        program.communicate()

    def kill_program(self) -> None:
        """Kill a program, and start it again."""
        index = self.random.randrange(len(self.programs))
        program = self.programs[index]
        program.kill()
        program.communicate()
        self.start(index)

    def kill_sender(self) -> None:
        """Kill the sender, and start the next."""
        if (pid := locks.holder_by_kernel(self.lock)) is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
            eventually(lambda: locks.holder_by_kernel(self.lock) != pid)
        sender_process._started.clear()
        sender_process.ensure(markers.of_records(str(self.root), self.server.url))

    def kill_server(self) -> None:
        """Kill the server, and start it again at the same address."""
        port = self.server.port
        self.server.end(signal.SIGKILL)
        self.server = self.stack.enter_context(served(self.folder, "--port", str(port)))

    def end(self) -> None:
        """Let the programs end, and the sender."""
        (self.root / "stop").touch()
        for program in self.programs:
            program.communicate(timeout=60)
            assert program.returncode == 0
        if (pid := locks.holder_by_kernel(self.lock)) is not None:
            os.kill(pid, signal.SIGTERM)
            eventually(lambda: not locks.is_held(self.lock))


def test_kills_of_server_sender_and_programs_lose_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever is killed in whatever order, after the last sync both sides have the same bytes, once."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NEMORUN_HOME", str(tmp_path / "home-of-programs"))
    monkeypatch.setenv("EXP_DRAIN", "0")
    (tmp_path / "dash").mkdir()
    with contextlib.ExitStack() as stack:
        server = stack.enter_context(served(tmp_path))
        token = server.add_token("alice")
        monkeypatch.setenv("EXP_DASH_URL", server.url)
        monkeypatch.setenv("EXP_TOKEN", token)
        chosen = random.Random(SEED)  # noqa: S311 - seeded
        cluster = Cluster(tmp_path, stack, chosen, server, token)
        for index in range(WRITERS):
            cluster.start(index)
        victims = [
            *(cluster.kill_server, cluster.kill_sender, cluster.kill_program),
            cluster.kill_opening_program,
        ]
        for number in range(ROUNDS):
            time.sleep(cluster.random.uniform(0, PAUSE if IS_LONG else 0.1))
            victim = victims[number] if number < len(victims) else cluster.random.choice(victims)
            victim()
            cluster.killed[victim.__name__] = cluster.killed.get(victim.__name__, 0) + 1
        cluster.end()
        exp = str(Path(sys.executable).with_name("exp"))
        done = subprocess.run(
            [exp, "sync", "--dash-root", str(cluster.root)], capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        outbox = markers.of_records(str(cluster.root), server.url)
        # a verdict on a killed program is a change: a sender takes the marker of one that `exp sync` gave
        eventually(lambda: outbox_files.markers(outbox) == {})
        end_senders(tmp_path)
        prefixes = list(reader.prefixes(cluster.root))
        assert len([prefix for prefix in prefixes if "/kills/" in prefix]) == (WRITERS + 1) // 2
        for prefix in prefixes:
            local = LocalRecords(cluster.root, outbox, tmp_path / "root", prefix)
            record = reader.record(cluster.root, prefix)
            if record is None:  # killed before the first line of its only opening was written
                assert "/opening/" in prefix
                continue
            assert (tmp_path / "root" / prefix).is_dir()
            assert all(opening.state == "ended" for opening in record.openings)
            assert [each for each in local.differences() if not _is_staged(each)] == []
        print(f"{ROUNDS} rounds, killed: {cluster.killed}")  # noqa: T201 - the figure of the long form


def _is_staged(difference: str) -> bool:
    """Whether a difference is a file that a killed program was writing, which is never sent."""
    folder, kind, name = difference.split(": ")
    above = folder.rpartition(".record/")[2]
    return kind == "only here" and shapes.of_record(f"{above}/{name}") is None
