"""A home that NeMo-Run uses too: each tool finds its own, and neither changes the other's."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING

from nemorun_cli.experiment import create
from nemorun_cli.model.spec import Identity
from nemorun_cli.spec import load
from nemorun_cli.storage.paths import Home

if TYPE_CHECKING:
    from pathlib import Path

    from support.workspace import Exp, ExpWorkspace

SPEC = "name: study\ntasks: {t: {command: ['true']}}\n"


def nemo_run(home: Path, title: str, number: int, tasks: list[str] | None = None) -> Path:
    """The folder of a run as NeMo-Run leaves it."""
    folder = home / "experiments" / title / f"{title}_{number}"
    folder.mkdir(parents=True)
    (folder / "_CONFIG").write_text("eJyrVspIzcnJBwAGLAIV")
    if tasks is not None:
        (folder / "_TASKS").write_text(json.dumps([[task, task] for task in tasks]))
    return folder


def content(folder: Path) -> dict[str, tuple[float, bytes]]:
    return {
        str(path): (path.stat().st_mtime, path.read_bytes() if path.is_file() else b"")
        for path in sorted((folder, *folder.rglob("*")))
    }


def test_both_tools_find_their_own(exp: Exp) -> None:
    """Experiments go to `exp/` once NeMo-Run has runs; all of them are listed, found, resumed and removed."""
    before = exp("run", exp.spec(SPEC), "-q").stdout.strip()
    assert (exp.home / "experiments" / "study" / before / "ledger.jsonl").is_file()
    theirs = nemo_run(exp.home, "study", 1730761155, ["echo.sh", "add"])
    nemo_run(exp.home, "My Experiment", 1730761156123456789)
    as_it_was = content(exp.home / "experiments" / "My Experiment") | content(theirs)
    after = exp("run", exp.spec(SPEC), "-q").stdout.strip()
    assert (exp.home / "exp" / "study" / after / "ledger.jsonl").is_file()
    assert not (exp.home / "experiments" / "study" / after).exists()
    plan = exp("run", exp.spec(SPEC), "--dry-run", "--json").json
    assert str(exp.home / "exp" / "study") in json.dumps(plan)

    listed = exp("list", "--json").json
    assert [each["id"] for each in listed["experiments"]] == [after, before]
    assert "foreign" not in listed
    for which in ("study", "latest", after):
        assert exp("status", which, "--json").json["id"] == after
    assert exp("status", before, "--json").json["status"] == "COMPLETED"
    assert "nothing to" in exp("resume", after).stderr
    assert exp("fsck", after).code == 0
    assert exp("rerun", before, "-q").stdout.startswith("study_")

    kept = exp("gc", "--older", "0", "--json").json
    assert {after, before} <= {item["id"] for item in kept["removed"]}
    assert exp("list", "-q").stdout == ""
    assert content(exp.home / "experiments" / "My Experiment") | content(theirs) == as_it_was


def test_runs_of_nemo_run_are_listed(exp: Exp) -> None:
    """`--foreign`: id, time and tasks of NeMo-Run's runs, with the filters that they can have."""
    assert exp("list", "--foreign", "--json").json["foreign"] == []
    assert "no runs" in exp("list", "--foreign").stderr
    older = nemo_run(exp.home, "dag", 1730761155, ["a", "b"])
    newer = nemo_run(exp.home, "My Experiment", 1830761156123456789)
    (newer / "_TASKS").write_text("[" * 100_000)
    (exp.home / "experiments" / "dag" / "unrelated_17").mkdir()
    runs = exp("list", "--foreign", "--json").json
    assert runs["experiments"] == []
    assert runs["foreign"] == [
        {
            "id": newer.name,
            "title": "My Experiment",
            "created": "2028-01-06T08:45:56.123Z",
            "tasks": None,
            "directory": str(newer),
        },
        {
            "id": older.name,
            "title": "dag",
            "created": "2024-11-04T22:59:15.000Z",
            "tasks": 2,
            "directory": str(older),
        },
    ]
    table = exp("list", "--foreign").stdout
    assert older.name in table
    assert str(newer) in table
    assert exp("list", "--foreign", "-q", "--name", "d*").stdout == f"{older.name}\n"
    assert exp("list", "--foreign", "-q", "--since", "2026-01-01").stdout == f"{newer.name}\n"
    assert exp("list", "--foreign", "-q", "--limit", "1").stdout == f"{newer.name}\n"
    assert "no status" in exp("list", "--foreign", "--status", "failed", code=2).stderr
    assert exp("list", "-q").stdout == ""
    assert exp("status", older.name, code=3).stdout == ""


def test_ids_are_unique_in_both_folders(workspace: ExpWorkspace) -> None:
    """An id that the other folder has, whoever made it, is not given again."""
    home = Home(workspace.folder / "other")
    second = int(time.time())
    nemo_run(home.directory, "study", second)
    identity = Identity(
        id=f"study_{second}", name="study", directory=str(home.root_of_new() / "study" / f"study_{second}")
    )
    document = load.read({"name": "study", "tasks": {"one": {"command": ["true"]}}})
    spec = create.resolve(document, identity)
    files = create._make_folder(identity, spec, home)
    assert files.directory == home.apart / "study" / f"study_{second}-2"
    old = Identity(id=files.id, name="study", directory=str(home.experiments / "study" / files.id))
    assert create._make_folder(old, spec, home).id == f"study_{second}-3"
    assert [path.name for path in files.directory.parent.iterdir()] == [files.id]
