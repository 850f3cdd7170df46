"""What `exp why` reports about reuse: which part changed since the last success, or whence the result is."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from support.formats import checked

if TYPE_CHECKING:
    from pathlib import Path

    from support.workspace import Exp


def spec(exp: Exp, lr: float) -> Path:
    """A spec whose second task depends on files, an argument, a variable and the first task."""
    prepare = {"inline": "cat raw; echo n:=3 >>$EXP_OUTPUT", "cache": {"inputs": ["raw"]}}
    train = {
        "command": ["echo", "--lr", lr],
        "env": {"MODE": "never shown"},
        "dependencies": ["prepare"],
        "cache": {"inputs": ["data/*"]},
    }
    return exp.spec(json.dumps({"name": "n", "tasks": {"prepare": prepare, "train": train}}))


def why(exp: Exp, task: str) -> tuple[list[str], Any]:
    """The lines and the field `reuse` about a task of the latest experiment."""
    lines = exp("why", "latest", task).stdout.splitlines()
    document = checked(exp("why", "latest", task, "--json").json)
    return [line.strip() for line in lines], document["tasks"][0]["reuse"]


def test_why_names_the_part_that_changed(exp: Exp) -> None:
    """Compared is the newest earlier success of the task in an experiment of the same name."""
    (exp.folder / "data").mkdir()
    for name in ("raw", "data/a.csv", "data/b.csv"):
        (exp.folder / name).write_text("1")
    exp("run", spec(exp, 0.1))
    first = exp.status()["id"]
    lines, reuse = why(exp, "train")
    assert "it ran because no earlier experiment called n has a success of it" in lines
    assert (reuse["compared_with"], reuse["changed"], reuse["kept"]) == (None, [], True)

    exp("run", spec(exp, 0.1))
    second = exp.status()["id"]
    lines, reuse = why(exp, "train")
    assert lines[1] == f"it has the result of train of {first}"
    assert lines[2] == "it did not run: nothing that it depends on has changed since then"
    assert reuse["changed"] == []

    (exp.folder / "data/b.csv").unlink()
    (exp.folder / "data/c.csv").write_text("2")
    exp("run", spec(exp, 0.2))
    lines, reuse = why(exp, "train")
    changed = "what runs (echo --lr 0.1 before), the file data/b.csv (removed) and the file data/c.csv (new)"
    assert f"it ran because {changed} changed since train of {second}" in lines
    assert reuse["compared_with"] == {"experiment": second, "task": "train", "attempt": 1}
    assert [part["part"] for part in reuse["changed"]] == ["run", "input:data/b.csv", "input:data/c.csv"]
    assert reuse["changed"][0]["before"] == '{"command":["echo","--lr","0.1"]}'
    assert reuse["changed"][1]["after"] is None

    (exp.folder / "raw").write_text("2")
    exp("run", spec(exp, 0.2))
    assert "it ran because the file raw changed since" in why(exp, "prepare")[0][2]
    assert "it ran because the result of prepare changed since" in why(exp, "train")[0][2]
    assert "never shown" not in exp.directory().joinpath("ledger.jsonl").read_text()
