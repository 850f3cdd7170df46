"""No text of a spec, a record, a log or a stored file rewrites the terminal of whoever reads it."""

from __future__ import annotations

import json
import random
import re
from typing import TYPE_CHECKING, Any

import pytest
from support.extent import amount
from support.terminals import Terminal

from nemorun_cli.cli import app
from nemorun_cli.storage import ledger
from nemorun_cli.storage.ledger import LedgerReader

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from support.workspace import Exp, Result

BLINK = "\x1b[5m"
HOSTILE = f"{BLINK}\x1b]0;P\x07\x1b[2J\x9b2J\u202e\u2066\x7f\u2028\x08[/red][bold][link=http://e.x]&<b>`"
BRACKETS = ("loss[val]", "x[/y]", "[link=http://e.x]n", "=sum(A1)", f"m{HOSTILE}")
SPEC: dict[str, Any] = {
    "name": "hostile",
    "description": HOSTILE,
    "tags": [HOSTILE, "nightly"],
    "params": {"p": {"type": "string", "default": HOSTILE, "help": HOSTILE, "enum": [HOSTILE, "q"]}},
    "env": {"VALUE": HOSTILE},
    "tasks": {
        "prints": {
            "inline": 'python3 record.py; echo "a=$VALUE" >> $EXP_OUTPUT; echo "error: $VALUE"; false',
            "description": HOSTILE,
            "tail_logs": True,
        },
        "sweep": {"command": ["true", HOSTILE], "matrix": {"v": [HOSTILE, 2]}},
        "waits": {"command": ["true"], "dependencies": ["prints"]},
    },
}
RECORD = f"""
from nemorun_cli import Experiment
with Experiment(tags=[{HOSTILE!r}], description={HOSTILE!r}).run as record:
    record.params.set(**dict.fromkeys({BRACKETS!r}, {HOSTILE!r}))
    for step in range(3):
        record.metrics("train").log(step=step, **dict.fromkeys({BRACKETS!r}, step * 0.5))
    record.log({HOSTILE!r}, level="warn", metadata={{{HOSTILE!r}: 1}})
    record.files("models", tags=[{HOSTILE!r}]).save(b"x", to="best.bin")
"""
SGR = re.compile(r"\x1b\[[0-9;]*m")
DRAWN = re.compile(r"\x1b\[(?:\d*[AKGJ]|\?25[hl])|\r")  # what rich itself needs to redraw a picture
UNSAFE = re.compile(
    r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff\ud800-\udfff"
    r"\U000e0000-\U000e007f]"
)
READING = """
list | list -q | status | status E prints | status E sweep | status --watch | attach | wait
logs | logs -f | logs E prints -n 5 | logs --grep error | why E | why E prints | why E sweep | show | events E
graph E | graph E --format mermaid | graph E --format dot | graph SPEC | validate SPEC | run SPEC --dry-run
rerun E --dry-run | resume E --dry-run | resume E --dry-run -p p=q | diff E E | fsck E | gc --dry-run
doctor E | params | files | records | records -q | metrics | metrics -n 2 | metrics -f | metrics --plot
metrics --format csv | compare | compare --format csv | compare --format markdown
tag E | note E | report E -f -o report.html | rm E --dry-run | rm E --dry-run --records | rm --restore
"""
STORED = (
    "list | status | show | why E | graph E | graph E --format dot | events E | logs | resume E --dry-run"
)
FAILING = """
files --name H | compare --sort H | schema H | schema tasks.H | init H | cancel E H | cancel E --signal H
status H | status E H | logs E H | logs --grep H( | logs -n H | why E H | list --status H | list --since H
list --limit H | run H | run SPEC -p p=H --dry-run | run SPEC -p H=1 --dry-run | run SPEC --set H=1 --dry-run
run SPEC --only H --dry-run | run SPEC --set tasks.waits.command=H --dry-run | run SPEC --if-running H
validate SPEC H | validate SPEC --H | compare --where H | compare --best H | compare --format H | metrics -k H
records --status H | H | gc --older H | diff E H | rerun H | resume H | attach H | wait --timeout H
events H | show H | fsck H | graph H | doctor H | report H | report E -o missing/H
tag E H | tag E +H | tag E -H | note H x | close a/H | close H | rm H | rm a/H | rm --restore H | gc --trash H
login H | login http://H | login http://example.org/H | logout H | logout http://localhost/H | whoami H
serve H | serve --port H | serve --host H | serve --tls-cert H | serve --quota H | serve token add H/H
serve token add a --scope H | serve token add a --expires H | serve token revoke H | serve check --root H
sync H | sync --url H
close a/b --as H --dash-root H | tag a/b --dash-root H
"""


def on_pipe(exp: Exp, words: list[str]) -> Result:
    """What a command prints into pipes."""
    return exp(*words, code=None)


def on_terminal(exp: Exp, words: list[str]) -> Result:
    """What it prints and draws on a terminal with colours."""
    return exp.on_terminal(*words, columns=100, code=None, NO_COLOR="")


@pytest.fixture(scope="module")
def seen(shared: Exp) -> str:
    """What `exp run` draws on a real terminal for an experiment with such texts wherever there can be any."""
    spec = shared.folder / "spec.yaml"
    spec.write_text(json.dumps(SPEC), encoding="utf-8")
    (shared.folder / "record.py").write_text(RECORD, encoding="utf-8")
    terminal = Terminal([*shared.argv, "run", spec.name], env=shared.env, cwd=shared.folder)
    assert terminal.end() == 1
    return terminal.seen


@pytest.fixture(scope="module")
def hostile(seen: str, shared: Exp) -> Exp:
    """The same experiment, with such texts in its stored files, too."""
    del seen
    poison(shared, shared.status()["id"])
    return shared


def poison(exp: Exp, run_id: str) -> None:
    """Put such texts into the stored files, too, as if the folder came from elsewhere."""
    folder = exp.home / "experiments" / "hostile" / run_id
    events = [_poisoned(event) for event in LedgerReader(folder / "ledger.jsonl").read()]
    label = {"time": events[0]["time"], "by": HOSTILE}
    events += [
        {**label, "event": "tagged", "added": [HOSTILE], "removed": []},
        {**label, "event": "noted", "text": f"{HOSTILE}\n{HOSTILE}"},
    ]
    (folder / "ledger.jsonl").write_bytes(ledger.encode(events))
    resolved = json.loads((folder / "resolved.json").read_text(encoding="utf-8"))
    for task in resolved["tasks"]:
        task["description"] = HOSTILE
    (folder / "resolved.json").write_text(json.dumps(resolved), encoding="utf-8")


def _poisoned(event: dict[str, Any]) -> dict[str, Any]:
    texts = {"message", "by", "version", "host"}
    changed = {name: f"{value}{HOSTILE}" for name, value in event.items() if name in texts and value}
    environment = event.get("environment")
    if isinstance(environment, dict):
        changed["environment"] = {**environment, "python": HOSTILE, HOSTILE: HOSTILE}
    return {**event, **changed}


def commands(text: str) -> list[str]:
    """The command lines, with E for the experiment, SPEC for the spec and H for hostile text."""
    return [line.strip() for line in text.replace("\n", "|").split("|") if line.strip()]


def words_of(line: str) -> list[str]:
    """A command line as its words."""
    given = {"E": "hostile", "SPEC": "spec.yaml"}
    return [given.get(word) or re.sub(r"\bH\b", lambda _: HOSTILE, word) for word in line.split()]


@pytest.mark.parametrize(("output", "lines"), [(on_pipe, READING), (on_terminal, READING + FAILING)])
def test_no_command_prints_what_rewrites_a_terminal(
    hostile: Exp, output: Callable[[Exp, list[str]], Result], lines: str
) -> None:
    """On all commands, with all outputs and errors, texts are text, and none is a fault of `exp`."""
    for line in commands(lines):
        done = output(hostile, words_of(line))
        assert done.code != app.FAULT, f"{line}: {done.stderr}"
        if output is on_pipe and line.startswith("logs"):
            continue  # a pipe gets the bytes of logs
        for text in (done.stdout, done.stderr):
            assert BLINK not in text or line.startswith("logs"), line
            shown = DRAWN.sub("", SGR.sub("", text)) if output is on_terminal else text
            found = UNSAFE.search(shown)
            assert found is None, f"{line}: {shown[max(0, found.start() - 60) : found.end() + 60]!r}"
    assert {line.split()[0] for line in commands(READING + FAILING)} >= set(app.COMMANDS)


def test_names_in_brackets_are_not_markup(hostile: Exp) -> None:
    """A title such as `loss[val]` is shown whole, on a terminal as on a pipe."""
    for arguments in (["compare"], ["compare", "--format", "markdown"], ["metrics"], ["metrics", "--plot"]):
        shown = hostile.on_terminal(*arguments, columns=700, NO_COLOR="").stdout
        whole = shown.replace("\\", "")
        assert "loss[val]" in whole
        assert "x[/y]" in whole
        assert "[link=http://e.x]n" in whole


def test_a_live_display_shows_text(seen: str) -> None:
    """The display of `exp run` and the tailed logs have no sequences but those of rich."""
    assert "[/red][bold][link=http://e.x]" in seen.partition("prints | ")[2]
    assert UNSAFE.search(DRAWN.sub("", SGR.sub("", seen))) is None


def texts(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The paths of all texts in a document."""
    entries = (
        value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    )
    for key, item in entries:
        yield from texts(item, (*path, key))
    if isinstance(value, str):
        yield path


def changed(document: Any, path: tuple[Any, ...]) -> Any:
    """A copy of a document in which the text at a path is hostile."""
    copy = json.loads(json.dumps(document))
    place = copy
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] += HOSTILE
    return copy


def test_no_stored_text_rewrites_a_terminal(hostile: Exp) -> None:
    """Whatever text of the ledger or the resolved spec is hostile, it is shown escaped, or refused so."""
    folder = hostile.directory()
    resolved = json.loads((folder / "resolved.json").read_text(encoding="utf-8"))
    stored = {"resolved.json": resolved, "ledger.jsonl": LedgerReader(folder / "ledger.jsonl").read()}
    cases = [(name, path) for name, document in stored.items() for path in texts(document)]
    chosen = random.Random(8).sample(cases, amount(6, long=len(cases)))  # noqa: S311 - not for secrecy
    for name, path in chosen:
        before = (folder / name).read_bytes()
        document = changed(stored[name], path)
        is_ledger = name == "ledger.jsonl"
        (folder / name).write_bytes(ledger.encode(document) if is_ledger else json.dumps(document).encode())
        for line in commands(STORED):
            done = on_terminal(hostile, words_of(line))
            for text in (done.stdout, done.stderr):
                found = UNSAFE.search(DRAWN.sub("", SGR.sub("", text)))
                assert found is None, f"{name} {path}: {line}: {text!r}"
                assert BLINK not in text or line.startswith("logs"), f"{name} {path}: {line}"
        (folder / name).write_bytes(before)
