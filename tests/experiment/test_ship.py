"""What packagers ship is what tasks run, however the working tree changes; and each thing is kept once."""

from __future__ import annotations

import hashlib
import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from support import repositories
from support.workspace import events, kill_supervisor, log, statuses, until

from nemorun_cli.experiment.run import find

if TYPE_CHECKING:
    from support.repositories import Repo
    from support.workspace import Exp, ExpWorkspace

    from nemorun_cli.model.code_package import Package

GATE = until("$GATE")


@pytest.fixture
def repo(exp: Exp) -> Repo:
    """A repository with code; specs are written into its root."""
    return repositories.make(exp.folder, {"code.txt": "first\n", "experiments/keep": ""})


def package(workspace: ExpWorkspace) -> Package:
    """The one package of the latest experiment."""
    (found,) = find(home=workspace.home).spec().packages
    return found


def test_a_task_runs_on_what_was_there(workspace: ExpWorkspace, repo: Repo) -> None:
    """What is edited after the start reaches no task, not even one that starts later or after a resume."""
    env = {"GATE": str(workspace.folder.parent / "gate")}
    run = workspace.start(
        {"first": GATE, "second": {"inline": "cat code.txt", "dependencies": ["first"]}},
        packager="git",
        env=env,
    )
    repo.write("code.txt", "second\n")
    kill_supervisor(run)
    (workspace.folder.parent / "gate").touch()
    run.resume()
    assert statuses(run.wait(timeout=60)) == {"first": "SUCCEEDED", "second": "SUCCEEDED"}
    assert log(run, "second") == "first\n"


def test_the_spec_s_folder_keeps_its_place(exp: Exp, repo: Repo) -> None:
    """A spec in a folder of the repository runs in that folder of the copy; workdir is relative to it."""
    tasks = {"here": {"inline": "pwd"}, "there": {"inline": "pwd; cat code.txt", "workdir": ".."}}
    tasks["away"] = {"inline": "pwd", "workdir": "/"}
    exp.spec(json.dumps({"packager": "git", "name": "placed", "tasks": tasks}), "experiments/placed.yaml")
    exp("run", repo.folder / "experiments/placed.yaml")
    folder = exp("show", "--json").json["packages"][0]["folder"]
    assert Path(folder).is_relative_to(exp.directory())
    assert exp("logs", "latest", "here").stdout == f"{folder}/experiments\n"
    assert exp("logs", "latest", "there").stdout == f"{folder}\nfirst\n"
    assert exp("logs", "latest", "away").stdout == "/\n"


def test_what_was_shipped_is_recorded(workspace: ExpWorkspace, repo: Repo) -> None:
    """The hash, the commit, the list of files and the changes are kept with the experiment."""
    repo.write("code.txt", "changed\n")
    run = workspace.start({"look": "true"}, packager="git")
    run.wait(timeout=60)
    made = package(workspace)
    files = Path(f"{made.folder}.files").read_bytes()
    assert made.hash == hashlib.sha256(files).hexdigest()
    entries = {entry["path"]: entry for entry in map(json.loads, files.splitlines())}
    assert entries["code.txt"]["sha256"] == hashlib.sha256(b"changed\n").hexdigest()
    assert "+changed" in Path(f"{made.folder}.diff").read_text(encoding="utf-8")
    assert made.facts["commit"] == repo.git("rev-parse", "HEAD")
    created = events(run)[0]
    assert [entry["hash"] for entry in created["packages"]] == [made.hash]


def test_the_same_content_is_kept_once(workspace: ExpWorkspace, repo: Repo) -> None:
    """Two experiments on the same files share what is kept, and neither sees what the other writes."""
    for _ in range(2):
        snapshot = workspace.run({"write": "test ! -e made && touch made"}, packager="git")
        assert statuses(snapshot) == {"write": "SUCCEEDED"}
    kept = [path.name for path in workspace.home.code.iterdir() if path.is_dir()]
    assert kept == [package(workspace).hash[:16]]
    assert not (workspace.home.code / kept[0] / "made").exists()
    assert not (repo.folder / "made").exists()


def test_what_nobody_refers_to_is_collected(exp: Exp, workspace: ExpWorkspace, repo: Repo) -> None:
    """Gc keeps what an experiment refers to and removes the rest, also what was broken off."""
    workspace.run({"one": "true"}, packager="git")
    (workspace.home.code / ".part-abandoned").mkdir()
    stored = Path(package(workspace).store)
    removed = [item for item in exp("gc", "--json").json["removed"] if item["kind"] == "code"]
    assert [Path(item["path"]).name for item in removed] == [".part-abandoned"]
    assert stored.is_dir()
    exp("gc", "--older", "0s")
    assert not stored.exists()
    assert repo.git("status", "--porcelain") == "?? spec.yaml"


def test_the_dry_run_tells_and_ships_nothing(exp: Exp, repo: Repo) -> None:
    """--dry-run names files, bytes, commit and what is left out, and writes nothing."""
    spec = exp.spec("{packager: git, tasks: {look: {command: ls}}}")
    before = repo.everything()
    document = exp("run", spec, "--dry-run", "--json").json
    (found,) = document["packages"]
    assert found["files"] == 3
    assert document["tasks"][0]["workdir"] == found["folder"]
    assert f"commit {repo.git('rev-parse', 'HEAD')[:12]}, 1 new" in exp("run", spec, "--dry-run").stdout
    assert not exp.home.exists()
    assert repo.everything() == before


@pytest.mark.parametrize(
    ("packager", "path", "message"),
    [
        ("gti", "packager", "no packager is called 'gti'"),
        ({"type": "git", "dirt": "refuse"}, "packager.dirt", "unknown key 'dirt'"),
        ({"type": "git", "dirty": "maybe"}, "packager.dirty", "must be one of include, refuse, ignore"),
        ({"type": "git", "subpath": "../up"}, "packager.subpath", "must be a folder"),
        ({"type": "git", "max_size": "much"}, "packager.max_size", "not a size"),
        ({"type": "git", "max_size": "1K"}, "packager", "would be shipped"),
        ({"type": "git", "dirty": "refuse"}, "packager", "changes that are not committed"),
        ({"type": "pattern", "include": ["/etc/passwd"]}, "packager.include.0", "must be a glob"),
        ({"type": "pattern"}, "packager", "needs the key 'include'"),
        ({"type": "pattern", "include": ["*.md"]}, "packager", "nothing in"),
        ({"type": "hybrid", "parts": {"../x": "git"}}, "packager.parts.../x", "is not a folder"),
        ({"type": "hybrid", "parts": {"x": "gti"}}, "packager.parts.x", "no packager is called 'gti'"),
        ({"type": "hybrid", "parts": {"x": ["git", "gti"]}}, "packager.parts.x.1", "is called 'gti'"),
        ({"type": "hybrid", "parts": {"x": []}}, "packager.parts.x", "must"),
    ],
)
def test_what_cannot_be_shipped_is_told(exp: Exp, repo: Repo, packager: Any, path: str, message: str) -> None:
    """What is wrong with a packager, or with what it finds, is a problem at its place; nothing is created."""
    repo.write("large", "x" * 2000)
    spec = exp.spec(json.dumps({"packager": packager, "tasks": {"look": {"command": "ls"}}}))
    (problem,) = exp("run", spec, "--json", code=2).json["problems"]
    assert exp("validate", spec, "--engines", "--json", code=2).json["problems"] == [problem]
    assert problem["path"] == path
    assert message in problem["message"]
    assert problem["line"] == 1
    assert not (exp.home / "experiments").exists()


def test_the_nearest_packager_counts(exp: Exp, repo: Repo) -> None:
    """A task's own packager wins over that of defaults, of the spec and of its executor."""
    spec = exp.spec(
        """
        executors: {box: {type: local, packager: git}}
        executor: box
        defaults: {packager: {type: pattern, include: [code.txt]}}
        tasks:
          own: {command: pwd, packager: none}
          defaults: {command: pwd}
        """
    )
    packages = exp("run", spec, "--dry-run", "--json").json
    assert [one["packager"]["type"] for one in packages["packages"]] == ["pattern"]
    assert packages["tasks"][0]["workdir"] == str(repo.folder)
    document = exp("run", spec, "--dry-run", "--json", "--set", "defaults={}").json
    assert [one["packager"]["type"] for one in document["packages"]] == ["git"]


def test_the_home_is_never_shipped(exp: Exp, repo: Repo) -> None:
    """A home inside of the repository does not end up in itself."""
    spec = exp.spec("{packager: git, tasks: {look: {command: ls -a}}}")
    env = {"NEMORUN_HOME": str(repo.folder / ".home")}
    for _ in range(2):
        exp("run", spec, env=env)
    document = exp("show", "--json", env=env).json
    assert document["packages"][0]["files"] == 3
    assert any("the home of exp" in text for text in document["packages"][0]["left_out"])
    assert exp("logs", "latest", "look", env=env).stdout.split() == [
        ".",
        "..",
        "code.txt",
        "experiments",
        "spec.yaml",
    ]
    assert os.listdir(repo.folder / ".home" / "code")  # noqa: PTH208 - is anything in it


def test_a_rerun_ships_the_same_again(exp: Exp, repo: Repo) -> None:
    """What is run again is the old experiment's own code, not that of now; another packager looks anew."""
    spec = exp.spec("{packager: git, tasks: {look: {command: cat code.txt}}}")
    which = exp("run", spec, "--quiet").stdout.strip()
    old = exp("show", which, "--json").json["packages"][0]
    repo.write("code.txt", "second\n")
    exp("rerun", which)
    new = exp("show", "--json").json["packages"][0]
    assert exp("logs", "latest", "look").stdout == "first\n"
    assert (new["hash"], new["facts"]) == (old["hash"], old["facts"])
    assert new["folder"] != old["folder"]
    exp("rerun", which, "--set", "packager={type: git, exclude: [spec.yaml]}")
    assert exp("logs", "latest", "look").stdout == "second\n"


def test_run_tells_what_it_ships(exp: Exp, repo: Repo) -> None:
    """The command that starts says what is shipped and what is left out, as talk."""
    repo.write(".gitignore", "data/\n")
    repo.write("data/large", "")
    started = exp("run", exp.spec("{packager: git, tasks: {look: {command: ls}}}"), "--detach")
    assert "git: 4 file(s)" in started.stderr
    assert "left out: data/ (ignored)" in started.stderr
    exp("wait", started.stdout.strip())


def test_a_record_knows_the_commit_of_shipped_code(workspace: ExpWorkspace, repo: Repo) -> None:
    """What tracks in the copy is told the commit, for no repository is around it."""
    code = "import json; from nemorun_cli.tracking.process import process_info as facts; import os; "
    code += "print(json.dumps(facts.of_process(os.environ)['git']))"
    run = workspace.start({"one": {"command": [sys.executable, "-c", code]}}, packager="git")
    assert statuses(run.wait(timeout=60)) == {"one": "SUCCEEDED"}
    commit = repo.git("rev-parse", "HEAD")
    assert json.loads(log(run, "one")) == {"folder": None, "commit": commit, "branch": None}


def test_diff_tells_which_files_changed(exp: Exp, repo: Repo) -> None:
    """The code of two experiments is compared file by file, with the commit; the same is no difference."""
    spec = exp.spec("{packager: git, tasks: {look: {command: cat code.txt}}}")
    ids = [exp("run", spec, "--quiet").stdout.strip() for _ in range(2)]
    assert exp("diff", *ids, "--json").json["code"] == []
    repo.write("code.txt", "second\n")
    (repo.folder / "experiments/keep").unlink()
    repo.commit()
    ids.append(exp("run", spec, "--quiet").stdout.strip())
    document = exp("diff", *ids[1:], "--json").json
    changes = {entry["path"]: entry["change"] for entry in document["code"]}
    assert changes == {"commit": "changed", "code.txt": "changed", "experiments/keep": "removed"}
    assert document["spec"] == []
    assert "code.txt" in exp("diff", *ids[1:]).stdout


@pytest.mark.parametrize(("dirty", "said"), [("include", "changed"), ("ignore", "committed")])
def test_a_script_runs_as_it_was_shipped(workspace: ExpWorkspace, repo: Repo, dirty: str, said: str) -> None:
    """A script runs in its place in the copy, finds what lies beside it, and is the commit's where asked."""
    repo.write("src/beside.py", "WORD = 'beside'\n")
    repo.write("src/main.py", "import beside\nprint('committed', beside.WORD)\n")
    repo.commit()
    repo.write("src/main.py", "import beside\nprint('changed', beside.WORD)\n")
    repo.write("src/alone.sh", "echo alone\n")
    tasks = {
        "shipped": {"script": "src/main.py", "entrypoint": "python3"},
        "alone": {"script": "src/alone.sh"},
        "bare": {"script": "src/main.py", "entrypoint": "cat", "packager": "none"},
    }
    run = workspace.start(tasks, packager={"type": "git", "dirty": dirty})
    assert set(statuses(run.wait(timeout=60)).values()) == {"SUCCEEDED"}
    assert log(run, "shipped") == f"{said} beside\n"
    assert log(run, "alone") == "alone\n"
    assert "changed" in log(run, "bare")


def test_a_changed_spec_runs_its_new_script(workspace: ExpWorkspace, repo: Repo) -> None:
    """A resume with a changed script runs that one; any other still finds what was shipped beside it."""
    repo.write("word.txt", "shipped\n")
    repo.write("broken.sh", "exit 1\n")
    repo.write("kept.sh", 'cat "$(dirname "$0")/word.txt"\n')
    tasks = {"mended": {"script": "broken.sh"}, "kept": {"script": "kept.sh", "dependencies": ["mended"]}}
    run = workspace.start(tasks, packager="git")
    assert statuses(run.wait(timeout=60)) == {"mended": "FAILED", "kept": "SKIPPED"}
    repo.write("broken.sh", "echo mended\n")
    repo.write("word.txt", "later\n")
    workspace.exp("resume", run.id, "--spec", repo.folder / "spec.yaml", "--accept-changes")
    assert (log(run, "mended", 2), log(run, "kept")) == ("mended\n", "shipped\n")


def test_each_of_several_repositories_has_its_commit(exp: Exp, repo: Repo) -> None:
    """What is shipped of a second repository, at a commit of it, is in its folder; both commits are shown."""
    library = repositories.make(exp.folder.parent / "lib", {"lib.txt": "old\n"})
    library.git("tag", "v1")
    library.write("lib.txt", "new\n")
    library.commit()
    parts = {"mine": "git", "lib": {"type": "git", "root": "../lib", "ref": "v1"}}
    spec = {
        "name": "two",
        "packager": {"type": "hybrid", "parts": parts},
        "tasks": {
            "t": {"inline": "cat code.txt ../lib/lib.txt"},
            "u": {
                "inline": "cat mine/code.txt lib/lib.txt",
                "packager": {"type": "hybrid", "parts": parts, "start": "."},
            },
        },
    }
    exp("run", exp.spec(json.dumps(spec)))
    for task in ("t", "u"):  # they run in the part with the spec, or where `start` says
        assert exp("logs", "latest", task).stdout == "first\nold\n"
    commits = [repo.git("rev-parse", "HEAD"), library.git("rev-parse", "v1")]
    facts = exp("show", "--json").json["packages"][0]["facts"]["parts"]
    assert [facts[part]["commit"] for part in parts] == commits
    assert all(commit[:12] in exp("show").stdout for commit in commits)
    spec["packager"]["parts"]["lib"]["ref"] = "v9"  # type: ignore[index]
    wrong = exp("run", exp.spec(json.dumps(spec)), "--dry-run", code=2)
    assert "packager" in wrong.stderr
    assert "no commit 'v9'" in wrong.stderr
