"""A supervisor outlives its own package: what it may need later is imported while it has nothing to do."""

from __future__ import annotations

import ast
import errno
import importlib.util
import select
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from support.copied_packages import copied_package
from support.patience import eventually
from support.workspace import events, shim_pid

import nemorun_cli
from nemorun_cli.errors import UsageError
from nemorun_cli.executors import launchers
from nemorun_cli.experiment import create
from nemorun_cli.experiment.run import find
from nemorun_cli.model.best import BestRule, Goal
from nemorun_cli.model.resources import Resources
from nemorun_cli.model.spec import Group
from nemorun_cli.model.status import ExperimentStatus
from nemorun_cli.model.step_cache import CacheRule
from nemorun_cli.scheduler.evaluations import Evaluations
from nemorun_cli.spec import load
from nemorun_cli.supervisor import late_imports
from nemorun_cli.supervisor.late_imports import LateImports
from nemorun_cli.system.environment import SUPERVISOR_VARIABLE
from nemorun_cli.system.registry import Registry

if TYPE_CHECKING:
    from collections.abc import Iterator

    from support.workspace import ExpWorkspace

PACKAGE = Path(nemorun_cli.__file__).parent

AT_THE_START = {
    "ctypes",
    "getpass",
    "nemorun_cli.storage.spec_copies",
    "nemorun_cli.storage.spec_revisions",
    "nemorun_cli.supervisor.environments",
    "nemorun_cli.supervisor.externals",
    "nemorun_cli.supervisor.metric_watch",
    "nemorun_cli.supervisor.reuse",
    "nemorun_cli.supervisor.searches",
    "nemorun_cli.scheduler.metric_judges",
}
"""What a supervisor needs before `started`, when its package exists."""

NEVER = {
    "nemorun_cli.tracking.experiment",
    "nemorun_cli.tracking.process.copies",
    "nemorun_cli.executors.remote_hosts.reachability",
}
"""What only programs that track import, or a check in the foreground."""

OPTIONAL = {"orjson"}
"""What a step of its own imports where it is installed."""

LAUNCHERS = tuple(path.partition(":")[0] for path in launchers.REGISTRY.built_in.values())

PROGRAM = """
import importlib, sys
from nemorun_cli.supervisor import late_imports, listeners, process
for name in sys.argv[1:]:
    importlib.import_module(name)
print(*sys.modules)
"""

EARS = """
class Ears:
    def on_event(self, event, run):
        with open("heard", "a") as stream:
            print(event["event"], run.status(observe=False).supervisor, file=stream)
"""

BROKEN = f"""
import os
if {SUPERVISOR_VARIABLE!r} in os.environ:
    raise ImportError("of another version")
"""

SPEC = """
name: tried
plugins: [{uses: "ears:Ears"}]
tasks:
  first:
    inline: |
      echo "loss 7"; echo "x=41" >>"$EXP_OUTPUT"
      until [ -e go ]; do sleep 0.02; done
    metrics: {patterns: ['loss (?P<loss>\\\\d+)']}
  flaky:
    inline: 'echo "attempt $EXP_ATTEMPT: NCCL timeout"; [ "$EXP_ATTEMPT" = 2 ]'
    retry: {limit: 1, on: [{log: "NCCL"}]}
    dependencies: [first]
  late:
    inline: 'echo "${{ [tasks.first.outputs.x | int, 1] | sum }}" >>ran'
    when: ${{ tasks.first.outputs.x | int > 40 }}
    dependencies: [flaky]
  stopped: {inline: "sleep 600", allow_failure: true}
on_exit: {tidy: {inline: "echo tidy >>ran"}}
"""


@pytest.fixture
def copy(workspace: ExpWorkspace, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the package, from which a supervisor of its own process imports."""
    package = copied_package(workspace.folder.parent / "installed")
    monkeypatch.setenv("PYTHONPATH", str(package.parent))
    return package


def test_a_supervisor_outlives_its_package(workspace: ExpWorkspace, copy: Path) -> None:
    """Retries, expressions, metrics, handlers, a cancel and plugins work after its files are gone.

    That `sum` could take long, so its process was started before.
    """
    (workspace.folder / "ears.py").write_text(EARS)
    workspace.exp.spec(SPEC)
    run = find(workspace.exp.process("run", "spec.yaml", "-d", "-q").stdout.strip(), home=workspace.home)
    shim_pid(run, "first")
    holder = run.status(observe=False).holder
    assert holder is not None
    maps = Path(f"/proc/{holder.pid}/maps")
    eventually(lambda: "_psutil_linux" in maps.read_text())  # imported last
    assert (copy / "supervisor" / "__pycache__").exists()  # it was imported from there
    copy.rename(copy.with_name("renamed"))
    workspace.touch("go")
    eventually(lambda: run.status().history.tasks["late"].is_over)
    run.cancel(["stopped"], grace=0.1)
    snapshot = run.wait(timeout=60)
    statuses = {name: str(state.status) for name, state in snapshot.history.tasks.items()}
    assert statuses == {
        "first": "SUCCEEDED",
        "flaky": "SUCCEEDED",
        "late": "SUCCEEDED",
        "stopped": "CANCELLED",
        "on_exit/tidy": "SUCCEEDED",
    }
    assert snapshot.history.tasks["flaky"].attempt == 2
    assert workspace.lines() == ["42", "tidy"]
    eventually(lambda: "supervisor_ended" in "".join(workspace.lines("heard")[-1:]))
    log = run.files.supervisor_log.read_text()
    assert "Traceback" not in log
    assert "cannot be imported" not in log


def test_a_supervisor_that_misses_a_module_ends_with_the_reason(
    workspace: ExpWorkspace, copy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Log and ledger have it, plugins are notified, and a resume with an intact package continues."""
    with (copy / "system" / "log_search.py").open("a") as stream:
        stream.write(BROKEN)
    (workspace.folder / "ears.py").write_text(EARS)
    workspace.exp.spec(SPEC)
    run = find(workspace.exp.process("run", "spec.yaml", "-d", "-q").stdout.strip(), home=workspace.home)
    eventually(lambda: "cannot be imported" in run.files.supervisor_log.read_text())
    workspace.touch("go")
    eventually(lambda: run.status(observe=False).supervisor == "gone")
    ended = [event for event in events(run) if event["event"] == "supervisor_ended"]
    assert "failed: ImportError: of another version; running tasks continue" in ended[-1]["message"]
    assert "Traceback" in run.files.supervisor_log.read_text()
    eventually(lambda: "supervisor_gone" in "".join(workspace.lines("heard")[-1:]))
    monkeypatch.delenv("PYTHONPATH")
    assert run.resume()
    eventually(lambda: run.status().history.tasks["late"].is_over)
    run.cancel(["stopped"], grace=0.1)
    assert run.wait(timeout=60).status is ExperimentStatus.COMPLETED


def test_imports_wait_for_a_moment_without_events(workspace: ExpWorkspace) -> None:
    """An event postpones them, and one for which descriptors were lacking is repeated."""
    imports = LateImports(
        workspace.run({"a": ":"}).spec, pytest.fail, process=Evaluations(select.poll(), pytest.fail)
    )
    first = imports.due
    assert first is not None
    imports.notice(is_idle=True)
    assert imports.due == first
    imports.notice(is_idle=False)
    assert imports.due > first
    tried = []

    def step() -> None:
        tried.append(len(tried))
        if len(tried) == 1:
            raise OSError(errno.EMFILE, "too many open files")

    imports._steps = iter([step])
    for _ in range(3):
        imports.due = 0.0
        imports.notice(is_idle=True)
    assert tried == [0, 1]
    assert imports.due is None


def test_a_pinned_class_needs_no_metadata(monkeypatch: pytest.MonkeyPatch) -> None:
    """What an installed package registered is found after its metadata was removed, if it was kept."""
    registries = [Registry(kind="command", group="console_scripts", built_in={}) for _ in range(2)]
    command = registries[0].find("exp")
    registries[0].pin("exp")
    monkeypatch.setattr(sys, "path", [])
    assert registries[0].has("exp")
    assert registries[0].find("exp") is command
    with pytest.raises(UsageError, match="there is no command 'exp'"):
        registries[1].find("exp")


def test_every_late_import_is_known(workspace: ExpWorkspace) -> None:
    """No function of a loaded module imports anything else, except for what belongs to the start."""
    (workspace.folder / "ears.py").write_text(EARS)
    workspace.exp.spec(SPEC)
    document = load.read(workspace.folder / "spec.yaml")
    spec = create.resolve(document, create.tentative(document, workspace.home))
    first, late = (next(task for task in spec.tasks if task.id == name) for name in ("first", "late"))
    other = [replace(first, executor=kind, resources=Resources(gpus=1)) for kind in ("docker", "slurm")]
    best = Group(id="best", members=("first",), best=BestRule(metric="loss", goal=Goal.MINIMIZE))
    tracking = {"system": 30.0, "dash_url": "https://a"}
    late = replace(late, cache=CacheRule())
    spec = replace(spec, tasks=(first, late, *other), groups=(best,), tracking=tracking)
    names = [*late_imports.needed(spec), "psutil", "filelock", "nemorun_cli.executors.local", *LAUNCHERS]
    program = [sys.executable, "-P", "-c", PROGRAM, *names]
    loaded = subprocess.run(program, capture_output=True, text=True, check=True, timeout=60).stdout.split()
    missing = {
        name
        for module in loaded
        if module.startswith("nemorun_cli")
        for name in _imported_in_functions(module)
        if name not in loaded
    }
    assert missing <= AT_THE_START | NEVER | OPTIONAL, missing


def _imported_in_functions(module: str) -> Iterator[str]:
    spec = importlib.util.find_spec(module)
    assert spec is not None
    assert spec.origin is not None
    for function in ast.walk(ast.parse(Path(spec.origin).read_text(encoding="utf-8"))):
        if isinstance(function, ast.FunctionDef):
            for node in ast.walk(function):
                yield from _named(node)


def _named(node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom) and node.module:
        for alias in node.names:
            name = f"{node.module}.{alias.name}"
            yield name if _is_module(node.module, name) else node.module


def _is_module(package: str, name: str) -> bool:
    found = importlib.util.find_spec(package)
    return bool(found and found.submodule_search_locations and importlib.util.find_spec(name))
