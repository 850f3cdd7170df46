"""Fields of stored files that no version of `exp` writes: every reading command ends, and nothing leaks."""

from __future__ import annotations

import json
import random
import secrets
import shutil
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import pytest
from support import hostile_values
from support.access_log import accesses
from support.elsewhere import interrupted, on_engines
from support.extent import IS_LONG
from support.home_copies import put_back
from support.hostile_values import MARK, RAW, VALUES, batch, dumped, pointers
from support.patience import eventually

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from support.workspace import Exp

SPEC: Final = """
name: stored
description: all kinds of fields
tags: [a, b]
params: {lr: 0.1, nested: {deep: [1, 2]}}
env: {COLOUR: blue}
tasks:
  one:
    inline: |
      echo loss=0.5 step=1
      echo 'kind=word' >> "$EXP_OUTPUT"
      echo 'deep:={"a": [1, {"b": 2}]}' >> "$EXP_OUTPUT"
    metrics: {train: 'loss=(?P<loss>[0-9.]+) step=(?P<step>[0-9]+)'}
    secrets: {TOKEN: {file: secret.txt}}
    timeout: 60
    resources: {cpus: 0.1}
  sweep:
    inline: 'exit ${{ matrix.code }}'
    matrix: {code: [0, 3]}
    dependencies: [one]
    allow_failure: true
    retry: {limit: 1, delay: 0s, on: [3]}
  script: {command: [python3, track.py, '${{ tasks.one.outputs.kind }}'], dependencies: [one]}
  failing: {inline: 'exit 4'}
  needing: {inline: 'true', dependencies: [failing]}
on_exit:
  last: {inline: 'true'}
"""
TRACK: Final = """
from nemorun_cli import Experiment
with Experiment(tags=["t"]).run as record:
    record.metrics("train").log(loss=0.25, step=1)
    record.params.set(lr=0.1, more={"a": [1]})
    record.logs.info("a line", extra={"b": 2})
"""
COMMANDS: Final = (
    "list",
    "list --json",
    "status stored",
    "status stored --json",
    "status stored one --exit-code",
    "show stored",
    "show stored --json",
    "logs stored",
    "logs stored --json",
    "why stored",
    "why stored failing --json",
    "graph stored",
    "graph stored --format dot",
    "events stored",
    "events stored --json",
    "metrics stored",
    "metrics stored --json",
    "params stored",
    "files stored",
    "files stored --json",
    "records",
    "records --json",
    "compare stored other",
    "compare stored other --json",
    "diff stored other",
    "diff stored other --json",
    "fsck stored",
    "fsck stored --json",
    "resume stored --dry-run",
    "resume stored --dry-run --json",
    "rerun stored --dry-run",
    "gc --dry-run",
)
FEW: Final = 20  # changes in a short run
LONG: Final = 600.0  # seconds of a long one
MOST_SHOWN: Final = 40
SLOWEST: Final = 2.0  # seconds
FAULT: Final = 70


@dataclass(frozen=True)
class Stored:
    """A home with an experiment of which fields are replaced, and the experiment as it was."""

    exp: Exp
    template: Path
    id: str

    @property
    def folder(self) -> Path:
        """The experiment's folder."""
        return self.exp.home / "experiments" / "stored" / self.id

    def renew(self) -> None:
        """Put back the home as it was."""
        put_back(self.exp.home, self.template)


@pytest.fixture(scope="module")
def stored(shared: Exp, tmp_path_factory: pytest.TempPathFactory) -> Stored:
    """A finished experiment with all kinds of fields, and a smaller one to compare it with."""
    (shared.folder / "track.py").write_text(TRACK)
    (shared.folder / "secret.txt").write_text("hunter2hunter2")
    shared("run", shared.spec("name: other\ntasks: {one: {inline: 'true'}}"), "-q")
    done = shared("run", shared.spec(SPEC), "-q", code=None)
    assert done.code == 1, done.stderr
    eventually(lambda: not list(shared.home.rglob("wake")))
    template = tmp_path_factory.mktemp("template") / "home"
    shutil.copytree(shared.home, template, symlinks=True)
    return Stored(shared, template, shared.directory("stored").name)


@dataclass(frozen=True)
class Change:
    """One value in one stored file, replaced by another."""

    file: str
    text: bytes
    about: str


def changes(stored: Stored, draw: random.Random) -> Iterator[Change]:
    """Changes of single fields, at random; without end."""
    while True:
        kind = draw.choice(("spec", "event", "file"))
        stored.renew()
        if kind == "file":
            yield of_file(stored, draw)
        else:
            yield prepared(stored, draw, kind)


def prepared(stored: Stored, draw: random.Random, kind: str) -> Change:
    """A change of the spec or of an event; half of the experiments look as if they still ran elsewhere."""
    spec = json.loads((stored.folder / "resolved.json").read_text())
    ledger = (stored.folder / "ledger.jsonl").read_text().splitlines()
    events = [event for event in map(json.loads, ledger) if "mark" not in event]
    if draw.random() < 0.5:
        spec, events = on_engines(spec, one="cluster", failing="box"), interrupted(events)
        spec["plugins"] = [{"uses": "notify", "options": {"url": {"secret": "TOKEN"}}, "hears": True}]
        (stored.folder / "resolved.json").write_text(json.dumps(spec))
        (stored.folder / "ledger.jsonl").write_bytes(batch([json.dumps(event) for event in events]))
    if kind == "spec":
        text, about = changed(spec, draw)
        return Change("resolved.json", text.encode("utf-8", "surrogatepass"), about)
    index = draw.randrange(len(events))
    text, about = changed(events[index], draw)
    lines = [json.dumps(event) for event in events]
    lines[index] = text
    return Change("ledger.jsonl", batch(lines), f"event {index} ({events[index]['event']}) {about}")


def changed(document: Any, draw: random.Random) -> tuple[str, str]:
    """The text of a document with another value, or none, at one place, and what that is."""
    place = draw.choice(list(pointers(document)))
    choice = draw.randrange(len(VALUES) + len(RAW) + 2)
    if choice < len(VALUES):
        return dumped(
            hostile_values.replaced(document, place, VALUES[choice])
        ), f"{place}: {VALUES[choice]!r:.80}"
    if choice < len(VALUES) + len(RAW):
        raw = RAW[choice - len(VALUES)]
        return dumped(hostile_values.replaced(document, place, MARK), raw), f"{place}: raw {raw:.80}"
    if not place:
        return "{}", "{}"
    return dumped(hostile_values.without(document, place)), f"{place}: missing"


def of_file(stored: Stored, draw: random.Random) -> Change:
    """A change of another file that holds JSON: of an attempt, a record, a lock or the origin of the spec."""
    paths = [
        path for path in [*stored.folder.rglob("*"), *(stored.exp.home / "dash").rglob("*")] if path.is_file()
    ]
    known = {"resolved.json", "ledger.jsonl", "spec.yaml", "script", "log", "shim"}
    path = draw.choice(sorted(path for path in paths if path.name not in known))
    name = str(path.relative_to(stored.exp.home))
    lines = path.read_bytes().splitlines()
    try:
        documents = [json.loads(line) for line in lines]
        index = draw.randrange(len(lines))
    except ValueError:
        return Change(f"/{name}", draw.choice((b"", b"\xff", b"9" * 5000, b"-1", b"\0", b"../x\n")), name)
    text, about = changed(documents[index], draw)
    lines[index] = text.encode("utf-8", "surrogatepass")
    return Change(f"/{name}", b"\n".join(lines) + b"\n", f"{name} line {index + 1} {about}")


@pytest.mark.parametrize("file", [[], -1, None, "a\0b", "\ud800"])
def test_origin_of_any_form_is_damage(stored: Stored, file: object) -> None:
    """The path of the spec in `source.json` is a text that can be a path, or its readers name the file."""
    stored.renew()
    source = stored.folder / "source.json"
    source.write_text(json.dumps({**json.loads(source.read_text()), "file": file}))
    for command in ("rerun stored --dry-run", "resume stored --dry-run"):
        done = stored.exp(*command.split(), code=None)
        assert done.code in ((7,) if command.startswith("rerun") else (0, 7)), done.stderr
        assert done.code == 0 or str(source) in done.stderr


def test_field_of_any_value_stops_no_reader(stored: Stored) -> None:
    """With any value in a stored file a command ends soon, without a fault, and opens nothing outside."""
    seed = secrets.randbelow(10**9) if IS_LONG else 7
    draw = random.Random(seed)  # noqa: S311 - a failure can be repeated
    end = time.monotonic() + LONG
    failures: list[str] = []
    for number, change in enumerate(changes(stored, draw)):
        path = stored.exp.home / change.file[1:] if change.file[0] == "/" else stored.folder / change.file
        path.write_bytes(change.text)
        commands = draw.sample(COMMANDS, 10 if IS_LONG else 3)
        found = [(command, text) for command in commands if (text := complaint(stored, command))]
        failures += [f"{change.about}: exp {command}: {text}" for command, text in found]
        if time.monotonic() > end or len(failures) > MOST_SHOWN or (number >= FEW and not IS_LONG):
            break
    stored.renew()
    assert number >= FEW, "nothing was tried"
    assert not failures, f"seed {seed}, {number} changes:\n" + "\n".join(failures)


def complaint(stored: Stored, command: str) -> str | None:
    """What is wrong with how a command deals with the home as it is now; a slow one has a second try."""
    for _ in range(2):
        begin = time.monotonic()
        with accesses() as log:
            done = stored.exp(*command.split(), code=None)
        took = time.monotonic() - begin
        if took < SLOWEST:
            break
    if done.code == FAULT:
        return done.stderr.strip()[-300:] or done.stdout[-300:]
    if took > SLOWEST:
        return f"took {took:.1f} s"
    if command.startswith("gc"):  # it asks Docker for containers of this home
        return None
    outside = log.outside(str(stored.exp.home), str(stored.exp.folder))
    if outside or log.connections or log.programs:
        return f"{outside} {log.connections} {log.programs}"
    return None
