from __future__ import annotations

import json
import random
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from support.patience import eventually
from support.workspace import events, kill_supervisor, statuses, until

from nemorun_cli.errors import LedgerDamagedError
from nemorun_cli.experiment.maintenance import fsck, repair, salvage
from nemorun_cli.experiment.run import find
from nemorun_cli.storage.ledger import LedgerReader
from nemorun_cli.storage.paths import Home
from nemorun_cli.system import locks

if TYPE_CHECKING:
    from collections.abc import Callable

    from support.workspace import Exp, ExpWorkspace

    from nemorun_cli.experiment.run import Run

ENDINGS = {
    "well": 'echo "rows:=3" >> "$EXP_OUTPUT"',
    "flaky": {"inline": "exit $((2 - EXP_ATTEMPT))", "retry": {"limit": 1}},
    "bad": {"inline": "exit 3", "dependencies": ["well"]},
    "below": {"inline": "true", "dependencies": ["bad"]},
    "anyway": {"inline": "true", "dependencies": ["bad"], "dependency_type": "afterany"},
}
SEED = 20261122


def ends(run: Run) -> dict[str, tuple[str, int, int | None]]:
    """How every task ended, in which attempt."""
    tasks = run.status().history.tasks
    return {name: (str(state.status), state.attempt, state.exit_code) for name, state in tasks.items()}


def rewrite(run: Run, change: Callable[[list[bytes]], list[bytes]]) -> None:
    """Change the lines of a ledger behind everybody's back."""
    run.files.ledger.write_bytes(b"".join(change(run.files.ledger.read_bytes().splitlines(keepends=True))))


def found(exp: Exp, run: Run, *, code: int) -> dict[str, Any]:
    """What a check says."""
    document: dict[str, Any] = exp("fsck", run.id, "--json", code=code).json
    return document


def kinds(document: dict[str, Any]) -> set[str]:
    """The words for what was found."""
    return {finding["kind"] for finding in document["findings"]}


@pytest.fixture
def ended(workspace: ExpWorkspace) -> Run:
    """An experiment that is over, with every kind of end."""
    run = workspace.start(ENDINGS)
    run.wait(timeout=60)
    eventually(lambda: not locks.is_held(run.files.supervisor_lock))
    return run


def test_a_sound_ledger_stays_as_it_is(workspace: ExpWorkspace, ended: Run) -> None:
    """Where nothing is wrong nothing is changed, with --repair neither."""
    before = ended.files.ledger.read_bytes()
    assert "sound" in workspace.exp("fsck", ended.id).stdout
    workspace.exp("fsck", ended.id, "--repair")
    assert ended.files.ledger.read_bytes() == before
    assert found(workspace.exp, ended, code=0)["findings"] == []


def test_repair_keeps_the_damaged_ledger(workspace: ExpWorkspace, ended: Run) -> None:
    """The damaged ledger is set aside under a name of its own, and the new one can be read."""
    rewrite(ended, lambda lines: [*lines[:5], b"rubbish\n", *lines[6:]])
    damaged = ended.files.ledger.read_bytes()
    workspace.exp("status", ended.id, code=7)
    document = workspace.exp("fsck", ended.id, "--repair", "--json").json
    aside = Path(document["set_aside"])
    assert (aside.name, aside.read_bytes(), aside.stat().st_mode & 0o777) == (
        "ledger.damaged-1",
        damaged,
        0o600,
    )
    workspace.exp("status", ended.id)
    rewrite(ended, lambda lines: [*lines[:5], b"rubbish\n", *lines[6:]])
    assert (
        workspace.exp("fsck", ended.id, "--repair", "--json").json["set_aside"].endswith("ledger.damaged-2")
    )


def test_a_check_names_the_damaged_line(workspace: ExpWorkspace, ended: Run) -> None:
    """Damage is exit code 7, with its line, and a check alone changes nothing."""
    rewrite(ended, lambda lines: [*lines[:5], b"rubbish\n", *lines[6:]])
    before = ended.files.ledger.read_bytes()
    document = found(workspace.exp, ended, code=7)
    assert [one["line"] for one in document["findings"] if one["kind"] == "damaged_line"] == [6]
    assert ended.files.ledger.read_bytes() == before
    assert "--repair" in workspace.exp("fsck", ended.id, code=7).stderr


@pytest.mark.parametrize("damage", ["garbled", "removed", "misnumbered", "scattered"])
def test_repair_finds_the_truth_whatever_was_damaged(
    workspace: ExpWorkspace, ended: Run, tmp_path: Path, damage: str
) -> None:
    """Whichever line is lost or changed, ledger and attempts together still tell how every task ended."""
    lines = ended.files.ledger.read_bytes().splitlines(keepends=True)
    wanted, whole = ends(ended), b"".join(lines)
    chance = random.Random(SEED)  # noqa: S311 - the same damage each time

    def scattered() -> bytes:
        data = bytearray(whole)
        for _ in range(chance.choice([1, 2, 5, 20])):
            data[chance.randrange(len(lines[0]), len(data))] = chance.randrange(256)
        return bytes(data)

    for number, line in enumerate(lines):
        changed = {
            "garbled": b"x" + line,
            "removed": b"",
            "misnumbered": line.replace(b'"attempt":1', b'"attempt":9'),
        }
        head, rest = lines[:number], lines[number + 1 :]
        data = scattered() if damage == "scattered" else b"".join([*head, changed[damage], *rest])
        home = Home(tmp_path / f"{number}")
        copy = home.directory / ended.directory.relative_to(workspace.home.directory)
        shutil.copytree(ended.directory, copy, ignore=shutil.ignore_patterns("wake"))
        run = find(ended.id, home=home)
        run.files.ledger.write_bytes(data)
        repair.repair(run.files, home=home.directory)
        assert fsck.examine(run.files, run.spec()).is_sound, line
        assert ends(run) == wanted, line
        assert run.status().status == "FAILED", line


SEARCH: dict[str, Any] = {
    "train": {
        "inline": "echo loss=$1",
        "args": ["${{ search.x }}"],
        "metrics": {"train": "loss=(?P<loss>.*)"},
        "search": {
            "params": {"x": {"type": "float", "low": 0.5, "high": 1}, "y": ["a", "b"]},
            "metric": "loss",
            "goal": "minimize",
            "trials": 3,
            "sampler": "random",
            "max_parallel": 1,
        },
    }
}


def test_repair_finds_suggestions(workspace: ExpWorkspace) -> None:
    """The values of a lost suggestion are those of the trial's record; without it the loss is reported."""
    run = workspace.start(SEARCH)
    study = run.wait(timeout=60).history.studies["train"]
    eventually(lambda: not locks.is_held(run.files.supervisor_lock))

    def damage() -> None:
        lost = b'"event":"suggested"'
        rewrite(run, lambda lines: [b"rubbish\n" if lost in line else line for line in lines])

    damage()
    finding = "the ledger has no suggestion for train/trial-0001, which was started"
    assert f"{finding}; its record has the values" in workspace.exp("fsck", run.id, code=7).stdout
    workspace.exp("fsck", run.id, "--repair")
    assert found(workspace.exp, run, code=0)["findings"] == []
    history = run.status().history
    params = {number: suggestion.params for number, suggestion in study.suggestions.items()}
    repaired = history.studies["train"]
    assert {number: each.params for number, each in repaired.suggestions.items()} == params
    assert (repaired.results, history.ignored) == (study.results, [])
    damage()
    shutil.rmtree(workspace.home.dash)
    workspace.exp("fsck", run.id, "--repair")
    assert kinds(found(workspace.exp, run, code=0)) == {"lost_suggestion"}
    assert f"{finding}; later suggestions cannot use its result" in workspace.exp("fsck", run.id).stdout
    warning = "train/trial-0001 has no value for its search: its suggestion is lost"
    for command in ("status", "resume"):
        assert warning in workspace.exp(command, run.id).stderr


def test_repair_goes_on_from_the_rebuilt_ledger(workspace: ExpWorkspace, ended: Run) -> None:
    """A repaired experiment can be resumed: what succeeded is kept, what failed runs again."""
    rewrite(ended, lambda lines: [*lines[:7], b"rubbish\n", *lines[8:]])
    workspace.exp("fsck", ended.id, "--repair")
    workspace.exp("resume", ended.id, code=1)
    attempts = {task["id"]: task["attempt"] for task in workspace.exp.status(ended.id)["tasks"]}
    assert (attempts["well"], attempts["bad"]) == (1, 2)


def test_attempts_that_the_ledger_does_not_know(workspace: ExpWorkspace, ended: Run) -> None:
    """An attempt that was begun on disk and is in no event is found, and put into the rebuilt ledger."""
    rewrite(ended, lambda lines: lines[:2])
    document = found(workspace.exp, ended, code=7)
    unknown = {(one["task"], one["attempt"]) for one in document["findings"]}
    assert unknown == {("well", 1), ("flaky", 1), ("flaky", 2), ("bad", 1), ("anyway", 1)}
    document = workspace.exp("fsck", ended.id, "--repair", "--json").json
    assert document["added"] > 0
    assert statuses(ended.status()) == {
        "well": "SUCCEEDED",
        "flaky": "SUCCEEDED",
        "bad": "FAILED",
        "below": "SKIPPED",
        "anyway": "SUCCEEDED",
    }


def test_an_end_that_its_own_record_contradicts(workspace: ExpWorkspace, ended: Run) -> None:
    """What the attempt itself wrote wins over the ledger, and the end of the whole is found anew."""
    ended.files.attempt("bad", 1).exit.write_text('{"exit_code":0}\n')
    document = found(workspace.exp, ended, code=7)
    (finding,) = document["findings"]
    assert (finding["kind"], finding["task"], finding["attempt"]) == ("different_end", "bad", 1)
    assert "exit code 0 in its own record, but with exit code 3" in finding["message"]
    workspace.exp("fsck", ended.id, "--repair")
    assert workspace.exp.task("bad")["status"] == "SUCCEEDED"
    assert found(workspace.exp, ended, code=0)["findings"] == []


def test_a_second_end_is_found(workspace: ExpWorkspace, ended: Run) -> None:
    """Events that cannot follow one another are told, and left out of the rebuilt ledger."""
    from nemorun_cli.storage.ledger import encode  # noqa: PLC0415 - to write what no writer would

    (end,) = (one for one in events(ended) if one["event"] == "ended" and one["task"] == "well")
    rewrite(ended, lambda lines: [*lines, encode([{**end, "status": "FAILED", "exit_code": 1}])])
    assert "illegal_move" in kinds(found(workspace.exp, ended, code=7))
    workspace.exp("fsck", ended.id, "--repair")
    assert workspace.exp.task("well")["status"] == "SUCCEEDED"
    assert len([one for one in events(ended) if one["event"] == "ended" and one["task"] == "well"]) == 1


def test_a_torn_tail_is_no_damage(workspace: ExpWorkspace, ended: Run) -> None:
    """Bytes that were never completed are noted, and left to the next writer."""
    with ended.files.ledger.open("ab") as stream:
        stream.write(b'{"event":"ended","task":"we')
    document = found(workspace.exp, ended, code=0)
    assert (kinds(document), document["is_sound"]) == ({"torn_tail"}, True)
    assert not workspace.exp("fsck", ended.id, "--repair", "--json").json["is_repaired"]


def test_an_attempt_that_is_gone_is_no_damage(workspace: ExpWorkspace, ended: Run) -> None:
    """Who removes the folders of attempts makes no ledger wrong."""
    shutil.rmtree(ended.files.attempt("well", 1).directory)
    document = found(workspace.exp, ended, code=0)
    assert (kinds(document), document["is_sound"]) == ({"missing_attempt"}, True)


def test_repair_refuses_while_a_supervisor_lives(workspace: ExpWorkspace) -> None:
    """A living supervisor is named, and its ledger is not touched."""
    run = workspace.start({"slow": until("go")})
    eventually(lambda: workspace.exp.task("slow")["status"] == "RUNNING")
    before = run.files.ledger.read_bytes()
    told = workspace.exp("fsck", run.id, "--repair", code=7).stderr
    holder = run.status().holder
    assert holder is not None
    assert f"pid {holder.pid}" in told
    assert run.files.ledger.read_bytes() == before
    workspace.exp("fsck", run.id)
    run.cancel()


def test_repair_adopts_what_still_runs(workspace: ExpWorkspace) -> None:
    """A task that outlived both its supervisor and its ledger is known again, and its end is not lost."""
    run = workspace.start({"slow": f"{until('go')}; exit 5"})
    eventually(lambda: workspace.exp.task("slow")["status"] == "RUNNING")
    kill_supervisor(run)
    rewrite(run, lambda lines: lines[:2])
    workspace.exp("fsck", run.id, "--repair")
    assert workspace.exp.task("slow")["status"] == "RUNNING"
    workspace.touch("go")
    assert eventually(lambda: workspace.exp.task("slow")["status"] == "FAILED")
    assert workspace.exp.task("slow")["exit_code"] == 5


def test_repair_refuses_what_a_newer_version_wrote(workspace: ExpWorkspace, ended: Run) -> None:
    """A ledger of a newer version is never repaired."""
    rewrite(
        ended, lambda lines: [lines[0].replace(b"exp.ledger/1", b"exp.ledger/2"), b"rubbish\n", *lines[2:]]
    )
    before = ended.files.ledger.read_bytes()
    assert "newer version" in workspace.exp("fsck", ended.id, "--repair", code=7).stderr
    assert ended.files.ledger.read_bytes() == before


def test_repair_needs_the_resolved_spec(workspace: ExpWorkspace, ended: Run) -> None:
    """Without the spec nothing can be rebuilt, and nothing is changed."""
    rewrite(ended, lambda lines: [*lines[:5], b"rubbish\n", *lines[6:]])
    before = ended.files.ledger.read_bytes()
    ended.files.resolved.write_text("{")
    assert "resolved.json" in workspace.exp("fsck", ended.id, "--repair", code=7).stderr
    assert ended.files.ledger.read_bytes() == before


def test_repair_of_an_empty_ledger(workspace: ExpWorkspace, ended: Run) -> None:
    """Even of a ledger that lost everything the attempts tell the most."""
    ended.files.ledger.write_bytes(b"")
    assert "no_beginning" in kinds(found(workspace.exp, ended, code=7))
    wanted = {
        "well": "SUCCEEDED",
        "flaky": "SUCCEEDED",
        "bad": "FAILED",
        "below": "SKIPPED",
        "anyway": "SUCCEEDED",
    }
    workspace.exp("fsck", ended.id, "--repair")
    assert statuses(ended.status()) == wanted
    assert (
        workspace.exp("show", ended.id, "--json").json["prefix"] == ended.status().history.created["prefix"]
    )


@pytest.mark.parametrize("text", ["[]", '"x"', '{"exit_code": "x"}', "rubbish", '{"exit_code": null}', ""])
def test_rubbish_in_an_exit_record(workspace: ExpWorkspace, ended: Run, text: str) -> None:
    """An exit record that nobody can read proves nothing, and breaks nothing."""
    ended.files.attempt("well", 1).exit.write_text(f"{text}\n")
    assert found(workspace.exp, ended, code=0)["findings"] == []


def test_salvage_takes_intact_batches_as_they_are(ended: Run) -> None:
    """Of a ledger without damage, salvage gives exactly what a reader gives."""
    data = ended.files.ledger.read_bytes()
    assert list(salvage.read(data).events) == LedgerReader(ended.files.ledger).read()
    assert salvage.read(data).damaged == ()


def test_salvage_survives_any_bytes() -> None:
    """Whatever the bytes are, salvage gives what is whole, and never fails."""
    chance = random.Random(SEED)  # noqa: S311 - the same bytes each time
    words = [b'{"mark":', b"{}", b'{"void":3}', b"\n", b'"x"', b'{"event":"ended"}', b"null", b"\xff", b"[[["]
    for _ in range(300):
        salvage.read(b"".join(chance.choices(words, k=30)))


def test_a_foreign_ledger_is_not_repaired(exp: Exp) -> None:
    """A file of this name that is no ledger of ours stays as it is."""
    foreign = exp.home / "experiments" / "a" / "a_1700000000"
    foreign.mkdir(parents=True)
    (foreign / "ledger.jsonl").write_text(json.dumps({"account": "savings"}) + "\n")
    exp("fsck", "a", "--repair", code=7)
    assert (foreign / "ledger.jsonl").read_text() == '{"account": "savings"}\n'
    with pytest.raises(LedgerDamagedError):
        LedgerReader(foreign / "ledger.jsonl").read()
