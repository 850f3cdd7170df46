"""Others build on exp without touching it: a package that brings an executor, and a shell script."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from support.documents import ROOT, blocks
from support.installed_packages import install_package

if TYPE_CHECKING:
    from support.workspace import Exp

HERE = Path(__file__).parents[1] / "third_party"
PROGRAMS = Path(sys.executable).parent
NICE = """
executors:
  background: {type: nice, niceness: 3}
executor: background
tasks:
  look:
    inline: |
      echo "niceness:=$(nice)" >> "$EXP_OUTPUT"
      echo "$1"
    args: ["a 'b' $c"]
"""
FLAKY = """
name: night
tasks:
  well: {inline: echo once >> "$EXP_DIR/well"}
  flaky: {inline: test "$EXP_ATTEMPT" = 2, dependencies: [well]}
"""
EXTEND = ROOT / "docs" / "extend"
GUIDE = EXTEND / "packagers.md"
KEY = "nightly-2026-11-22"


@pytest.fixture(scope="session")
def installed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The environment in which the package is installed, in a folder of its own."""
    target = tmp_path_factory.mktemp("site")
    options = ("--quiet", "--no-deps", "--no-build-isolation", "--no-index", "--target", str(target))
    package = HERE / "exp_nice_executor"
    subprocess.run([sys.executable, "-m", "pip", "install", *options, str(package)], check=True, timeout=120)
    return {"PYTHONPATH": str(target)}


def test_an_installed_executor_runs_tasks(exp: Exp, installed: dict[str, str]) -> None:
    """A spec names the executor of an installed package by its type, and gets all that ours give."""
    exp("run", exp.spec(NICE), env=installed)
    task = exp("status", "latest", "--json", env=installed).json["tasks"][0]
    assert (task["executor"], task["type"], task["status"]) == ("background", "nice", "SUCCEEDED")
    assert task["outputs"] == {"niceness": min(19, os.nice(0) + 3)}
    assert exp("logs", "latest", "look", env=installed).stdout == "a 'b' $c\n"


def test_the_page_builds_this_package(exp: Exp, installed: dict[str, str]) -> None:
    """The page on an executor shows the files of the package, and its spec runs at the niceness it shows."""
    page = {block.mark: block.text for block in blocks(EXTEND / "executor-example.md") if block.mark}
    for name in ("exp_nice_executor.py", "pyproject.toml"):
        assert page[f"package: {name}"] == (HERE / "exp_nice_executor" / name).read_text(encoding="utf-8")
    exp("run", exp.spec(page["package: spec.yaml"]), env=installed)
    assert exp("logs", "latest", "train", env=installed).stdout == f"niceness {min(19, os.nice(0) + 15)}\n"


def test_its_options_are_checked_with_ours(exp: Exp, installed: dict[str, str]) -> None:
    """What its schema refuses is a problem of the spec, told with its place."""
    spec = exp.spec(NICE.replace("niceness: 3", "niceness: 40, nicenes: 1"))
    document = exp("validate", spec, "--json", env=installed, code=2).json
    assert {problem["path"] for problem in document["problems"]} == {
        "executors.background.niceness",
        "executors.background.nicenes",
    }


def test_the_dry_run_shows_its_plan(exp: Exp, installed: dict[str, str]) -> None:
    """What it adds to a command is seen before anything runs."""
    shown = exp("run", exp.spec(NICE), "--dry-run", env=installed).stdout
    assert "nice -n 3" in shown


def test_doctor_asks_it(exp: Exp, installed: dict[str, str]) -> None:
    """Its own check is among those of the engines."""
    exp("run", exp.spec(NICE), env=installed)
    assert "from niceness" in exp("doctor", "latest", env=installed, code=None).stdout


def test_cancel_reaches_what_it_runs(exp: Exp, installed: dict[str, str]) -> None:
    """A task on it is cancelled as on any other executor."""
    spec = exp.spec(NICE.replace('echo "$1"', "sleep 300"))
    which = exp("run", spec, "--detach", env=installed).stdout.strip()
    exp("cancel", which, env=installed)
    assert exp.status(which)["status"] == "CANCELLED"


def test_a_type_that_is_not_installed_is_a_problem(exp: Exp) -> None:
    """Without the package the spec is refused, and the types there are are listed."""
    refused = exp("validate", exp.spec(NICE), code=2)
    assert "executors.background.type" in refused.stderr
    assert "local" in refused.stderr


def test_a_package_brings_packagers_and_launchers(exp: Exp, tmp_path: Path) -> None:
    """What an installed package names is known beside what is built in; its faults are told as its own."""
    groups = (
        "[nemorun_cli.packagers]\none = extra:One\n",
        "[nemorun_cli.launchers]\nnice = extra:Nice\n",
    )
    guide = GUIDE.read_text(encoding="utf-8")
    (section,) = re.findall(r"# Writing a packager or a launcher.*?```python\n(.*?)```", guide, re.DOTALL)
    site = install_package(tmp_path / "site", name="extra", entry_points="".join(groups), module=section)
    (exp.folder / "one.txt").write_text("one\n")
    (exp.folder / "two.txt").write_text("two\n")
    text = "tasks: {look: {command: 'ls', packager: {type: one, file: one.txt}, launcher: {nice: {by: 5}}}}"
    env = {"PYTHONPATH": str(site)}
    exp("run", exp.spec(text), env=env)
    assert exp("logs", "latest", "look").stdout == "one.txt\n"
    assert "nice -n 5 ls" in exp("run", "--dry-run", exp.spec(text), env=env).stdout
    refused = exp("validate", exp.spec(text.replace("by: 5", "by: x")), env=env, code=2)
    assert "tasks.look.launcher.nice.by" in refused.stderr
    refused = exp("run", exp.spec(text.replace("one.txt", "none.txt")), env=env, code=2)
    assert "the packager 'one' is at fault" in refused.stderr
    # Its size must change: Python takes bytecode for current if size and second of the source are the same.
    (site / "extra.py").write_text(section.replace('"-n"', "undefined"))
    exp("run", exp.spec(text), env=env, code=1)
    task = exp.task("look")
    assert task["reason"] == "launch"
    assert task["message"] == "the launcher 'nice' is at fault: NameError: name 'undefined' is not defined"


def test_a_package_that_cannot_be_loaded_is_named(exp: Exp, tmp_path: Path) -> None:
    """An executor whose package is broken is an error that names it, and only for specs that use it."""
    points = "[nemorun_cli.executors]\nnice = broken_package:Nice\n"
    env = {"PYTHONPATH": str(install_package(tmp_path / "site", name="broken", entry_points=points))}
    refused = exp("validate", exp.spec(NICE), env=env, code=2)
    assert "broken_package" in refused.stderr
    exp("run", exp.spec("tasks: {well: {command: 'true'}}"), env=env)


def nightly(exp: Exp, spec: Path) -> subprocess.CompletedProcess[str]:
    """Run the script as cron would."""
    env = {**exp.env, "PATH": f"{PROGRAMS}{os.pathsep}{os.environ['PATH']}"}
    argv = [str(HERE / "nightly.sh"), str(spec), KEY]
    return subprocess.run(
        argv, env=env, cwd=exp.folder, capture_output=True, text=True, timeout=60, check=False
    )


def test_a_shell_script_sees_a_run_complete(exp: Exp) -> None:
    """The id is all of standard output, and the exit code of wait says that it is completed."""
    done = nightly(exp, exp.spec("name: night\ntasks: {well: {command: 'true'}}"))
    assert (done.returncode, done.stdout) == (0, f"{KEY}: {exp.status()['id']} completed\n")


def test_a_shell_script_resumes_what_failed(exp: Exp) -> None:
    """After exit code 1 the script resumes the experiment by its id; what succeeded is not run again."""
    done = nightly(exp, exp.spec(FLAKY))
    assert (done.returncode, done.stdout) == (0, f"{KEY}: {exp.status()['id']} completed\n")
    assert (exp.directory() / "well").read_text() == "once\n"


def test_a_shell_script_tells_what_failed(exp: Exp) -> None:
    """The failed tasks and their exit codes are read from the status document."""
    done = nightly(exp, exp.spec(FLAKY.replace('test "$EXP_ATTEMPT" = 2', "exit 3")))
    lines = [f"{KEY}: {exp.status()['id']} failed", "flaky: exit (3)"]
    assert (done.returncode, done.stdout.splitlines()) == (1, lines)


def test_a_shell_script_leaves_a_running_one_alone(exp: Exp) -> None:
    """Exit code 8 says that a run with the same key is not over."""
    held = f"until [ -e {exp.folder}/go ]; do sleep 0.05; done"
    spec = exp.spec(f"name: night\ntasks: {{long: {{inline: '{held}'}}}}")
    exp("run", spec, "--detach", "--key", KEY)
    done = nightly(exp, spec)
    assert (done.returncode, done.stdout) == (0, f"{KEY}: already running\n")
    (exp.folder / "go").touch()
    exp("wait", "night")


def test_a_shell_script_hears_of_a_bad_spec(exp: Exp) -> None:
    """Exit code 2 says that nothing was started, and the problem is on standard error."""
    done = nightly(exp, exp.spec("name: night\ntasks: {odd: {comand: 'true'}}"))
    assert (done.returncode, done.stdout) == (2, f"{KEY}: not started, exit code 2\n")
    assert "did you mean command" in done.stderr
