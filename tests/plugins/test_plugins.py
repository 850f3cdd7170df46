"""Plugins: code that changes tasks before launch, and code that hears of events."""

from __future__ import annotations

import json
import os
import signal
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import psutil
import pytest
from support.documents import ROOT, blocks
from support.installed_packages import install_package
from support.patience import eventually
from support.workspace import attempt, events, kill_supervisor, log, shim_pid, until

import nemorun_cli
from nemorun_cli.errors import SpecError, UsageError
from nemorun_cli.experiment import launch as experiment
from nemorun_cli.model.status import ExperimentStatus
from nemorun_cli.plugins import BUILT_IN, GivenPlugin, Launch, Plugin, discovery
from nemorun_cli.plugins.faults import faults, settle

if TYPE_CHECKING:
    from pathlib import Path

    from support.workspace import Exp, ExpWorkspace

    from nemorun_cli.experiment.run import Run

MODULE = """
import dataclasses, pathlib, time

class Greeting:
    schema = {
        "type": "object",
        "required": ["word"],
        "additionalProperties": False,
        "properties": {"word": {"type": "string"}},
    }

    def __init__(self, word):
        self.word = word

    def change(self, launch):
        return launch.with_env(WORD=self.word, WHOSE=launch.task).with_prefix("nice", "-n", "3")

class Ears:
    def __init__(self, path="heard", **rest):
        self.path, self.rest = path, rest

    def on_event(self, event, run):
        with open(self.path, "a") as stream:
            print(event["event"], event.get("task", "-"), file=stream)
        if event["event"] == self.rest.get("stumbles"):
            raise ValueError("oh no")
        if event["event"] == self.rest.get("waits"):
            while not pathlib.Path("go").exists():
                time.sleep(0.02)

class Hanging(Ears):
    limit = 0.2

class Raising:
    def change(self, launch):
        raise ValueError(f"not {launch.task}")

class Asking:
    def __init__(self, **wishes):
        self.wishes = wishes

    def change(self, launch):
        return dataclasses.replace(launch, **self.wishes)

def nothing():
    pass
"""


@pytest.fixture
def plugins(workspace: ExpWorkspace) -> Path:
    """A module of plugins beside the spec."""
    path = workspace.folder / "mine.py"
    path.write_text(MODULE, encoding="utf-8")
    return path


def use(name: str, **options: Any) -> dict[str, Any]:
    return {"uses": name, **({"with": options} if options else {})}


def settled(run: Run) -> None:
    """Wait until its plugins have heard of the end."""
    run.wait(timeout=60)
    assert settle(run.files, run.spec())


# -- before launch --------------------------------------------------------------------------------------


@pytest.mark.usefixtures("plugins")
def test_plugin_changes_tasks_as_the_dry_run_shows(workspace: ExpWorkspace) -> None:
    """Variables and a word in front of the command are there in the dry run, and when it runs."""
    spec = workspace.spec(
        {"a": "echo $WORD $WHOSE $(nice)", "b": "true"}, plugins=[use("mine:Greeting", word="hi")]
    )
    plan = workspace.exp("run", spec, "--dry-run", "--json").json["tasks"]
    assert [task["argv"][:3] for task in plan] == [["nice", "-n", "3"]] * 2
    assert [task["env"]["WHOSE"] for task in plan] == ["a", "b"]
    run = experiment.run(spec, home=workspace.home)
    run.wait(timeout=60)
    assert log(run, "a") == f"hi a {min(19, os.nice(0) + 3)}\n"


@pytest.mark.usefixtures("plugins")
def test_plugin_of_a_task_is_for_it_alone(workspace: ExpWorkspace) -> None:
    """A task's own plugins come after those of the experiment; defaults' give way to a task's."""
    tasks = {
        "a": "echo $WORD",
        "b": {"inline": "echo $WORD", "plugins": [use("mine:Greeting", word="own")]},
        "g": {
            "group": [{"inline": "echo $WORD"}],
            "plugins": [use("mine:Greeting", word="of ${{ params.g }}")],
        },
    }
    run = workspace.start(
        tasks, params={"g": "all"}, defaults={"plugins": [use("mine:Greeting", word="default")]}
    )
    run.wait(timeout=60)
    assert [log(run, name) for name in ("a", "b", "g/0")] == ["default\n", "own\n", "of all\n"]


@pytest.mark.usefixtures("plugins")
def test_plugin_wins_over_the_spec_and_exp_over_the_plugin(workspace: ExpWorkspace) -> None:
    """Its variables lie over all others but EXP_…, and a secret of that name gives way."""
    run = workspace.start(
        {"a": {"inline": "echo $WORD $EXP_TASK", "env": {"WORD": "spec"}}},
        plugins=[use("mine:Greeting", word="plugin")],
    )
    run.wait(timeout=60)
    assert log(run, "a") == "plugin a\n"


@pytest.mark.usefixtures("plugins")
def test_plugin_that_raises_stops_the_launch(workspace: ExpWorkspace) -> None:
    """It is named with its place and its line, the exit code is 2, and nothing is created."""
    spec = workspace.spec({"a": "true"}, plugins=[use("mine:Raising")])
    for more in ((), ("--dry-run",), ("-d",), ("--direct",)):
        done = workspace.exp("run", spec, *more, code=2)
        assert "the plugin mine:Raising (plugins.0) failed at a: ValueError: not a" in done.stderr
        assert "mine.py:" in done.stderr
    assert not list(workspace.home.names())


@pytest.mark.parametrize(
    ("wishes", "message"),
    [
        ({"task": "b"}, "task cannot be changed"),
        ({"env": {"EXP_ID": "x"}}, "'EXP_ID' cannot be the name of a variable"),
        ({"env": {"A": 1}}, "the variable A must be text"),
        ({"prefix": [1]}, "prefix must be words"),
        ({"timeout": "1h"}, "timeout must be seconds"),
        ({"stop_signal": "HELLO"}, "HELLO"),
        ({"options": {"partition": "x"}}, "unknown key 'partition'"),
        ({"args": {"a": 1}}, "args must be a tuple"),
        ({"retry": 3}, "retry must be a Retry"),
    ],
)
@pytest.mark.usefixtures("plugins")
def test_plugin_cannot_ask_for_what_cannot_be(
    workspace: ExpWorkspace, wishes: dict[str, Any], message: str
) -> None:
    """What would break later is refused now, with the plugin's name."""
    with pytest.raises(UsageError, match="requested a change that a does not allow") as caught:
        workspace.start({"a": "true"}, plugins=[use("mine:Asking", **wishes)])
    assert message in caught.value.message


def test_plugin_cannot_ask_for_more_than_there_is(workspace: ExpWorkspace) -> None:
    """Resources that can never be free are refused as those in a spec are; others are what the task gets."""
    (workspace.folder / "greedy.py").write_text(
        "import dataclasses\n"
        "class Greedy:\n"
        "    def __init__(self, cpus): self.cpus = cpus\n"
        "    def change(self, launch):\n"
        "        asked = dataclasses.replace(launch.resources, cpus=self.cpus)\n"
        "        return dataclasses.replace(launch, resources=asked)\n"
    )
    with pytest.raises(UsageError, match="requested a change that a does not allow: resources: "):
        workspace.start({"a": "true"}, plugins=[use("greedy:Greedy", cpus=100_000)])
    run = workspace.start({"a": "true"}, plugins=[use("greedy:Greedy", cpus=0.5)])
    assert run.wait(timeout=60).status is ExperimentStatus.COMPLETED
    assert run.spec().tasks[0].resources.cpus == 0.5


@pytest.mark.usefixtures("plugins")
def test_plugin_cannot_touch_what_waits_for_outputs(workspace: ExpWorkspace) -> None:
    """An argument that other tasks' outputs are put into has to stay where it is."""
    tasks = {
        "a": 'echo "k=v" >>"$EXP_OUTPUT"',
        "b": {"command": ["echo"], "args": ["${{ tasks.a.outputs.k }}"], "dependencies": ["a"]},
    }
    with pytest.raises(UsageError, match="/args/0 waits for the outputs"):
        workspace.start(tasks, plugins=[use("mine:Asking", args=["other"])])


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ("{uses: notifi, with: {}}", "no plugin is called 'notifi'"),
        ("{uses: notify, with: {on: endd, command: [x]}}", "must be"),
        ("{uses: notify, with: {comand: [x]}}", "unknown key 'comand'"),
        ("{uses: 'mine:Greting'}", "there is no 'Greting'"),
        ("{uses: 'yours:Greeting'}", "there is no module 'yours'"),
        ("{use: notify}", "unknown key 'use'"),
        ("{uses: notify, with: {webhook: {secret: NONE}}}", "no secret is called 'NONE'"),
        ("{uses: notify, with: {webhook: {secret: {en: HOOK}}}}", "unknown key 'en'"),
        ("{uses: notify, with: {webhook: {secret: {file: 3}}}}", "must be text"),
        ("{uses: notify, with: {webhok: {secret: {env: HOOK}}}}", "unknown key 'webhok'"),
    ],
)
@pytest.mark.usefixtures("plugins")
def test_problems_are_told_with_their_place(workspace: ExpWorkspace, entry: str, message: str) -> None:
    """Names, and what built-in plugins are given, are checked with the rest of the spec."""
    spec = workspace.exp.spec(f"tasks: {{a: {{command: 'true'}}}}\nplugins:\n  - {entry}\n")
    done = workspace.exp("validate", spec, code=2)
    assert message in done.stderr
    assert "spec.yaml:3:" in done.stderr


@pytest.mark.parametrize(
    ("entry", "message", "column"),
    [
        ("{uses: 'mine:Greeting', with: {word: 1}}", "plugins.0.with.word: must be text", 42),
        ("{uses: 'mine:Greeting', with: {word: hi, wrod: 1}}", "unknown key 'wrod'", 46),
        ("{uses: 'mine:Raising', with: {word: 1}}", "plugins.0.with: does not fit Raising", 34),
        ("{uses: 'mine:nothing'}", "is not a class", 12),
        ("{uses: 'broken:Thing'}", "cannot be loaded: ZeroDivisionError", 12),
    ],
)
@pytest.mark.usefixtures("plugins")
def test_with_is_checked_by_the_plugins_own_schema_when_it_runs(
    workspace: ExpWorkspace, entry: str, message: str, column: int
) -> None:
    """What only the plugin knows is told by `run` and the dry run, at its place in the file."""
    (workspace.folder / "broken.py").write_text("class Thing: pass\n1 / 0\n")
    spec = workspace.exp.spec(f"tasks: {{a: {{command: 'true'}}}}\nplugins:\n  - {entry}\n")
    workspace.exp("validate", spec)
    done = workspace.exp("run", spec, "--dry-run", code=2)
    assert message in done.stderr
    assert f"spec.yaml:3:{column}: " in done.stderr


def test_validate_imports_nothing(workspace: ExpWorkspace) -> None:
    """A module that is only looked up is not run, nor by drawing the graph."""
    (workspace.folder / "loud.py").write_text(
        "open('ran', 'w')\nclass Loud:\n    def change(self, launch): return launch\n"
    )
    spec = workspace.spec({"a": "true"}, plugins=[use("loud:Loud")])
    workspace.exp("validate", spec)
    workspace.exp("graph", spec)
    assert workspace.lines() == []
    workspace.exp.process("run", spec, "--dry-run")
    assert (workspace.folder / "ran").exists()


def test_run_without_plugins_imports_nothing_of_them(workspace: ExpWorkspace) -> None:
    """Neither the command nor the supervisor pays for what is not used."""
    spec = workspace.spec({"a": "true"})
    done = workspace.exp("run", spec, env={"PYTHONPROFILEIMPORTTIME": "1"})
    assert "nemorun_cli.experiment.run" in done.stderr
    assert "nemorun_cli.plugins" not in done.stderr
    assert "nemorun_cli.plugins" not in (workspace.exp.directory() / "supervisor.log").read_text()


def test_plugin_of_an_installed_package_has_a_name(workspace: ExpWorkspace, tmp_path: Path) -> None:
    """The entry-point group makes a plugin known by name; `validate` knows it without importing it."""
    points = "[nemorun_cli.plugins]\nnice-one = nice_one:Greeting\n"
    site = install_package(tmp_path / "site", name="nice_one", entry_points=points, module=MODULE)
    spec = workspace.spec({"a": "echo $WORD"}, plugins=[use("nice-one", word="hi")])
    known = {"PYTHONPATH": str(site)}
    workspace.exp("validate", spec, env=known)
    workspace.exp("run", spec, env=known)
    assert workspace.exp("logs", "latest", "a").stdout == "hi\n"


@pytest.mark.usefixtures("plugins")
def test_two_specs_have_modules_of_one_name(workspace: ExpWorkspace) -> None:
    """In one program each spec's folder gives its own module, and leaves none behind."""
    first = workspace.start({"a": "echo $WORD"}, plugins=[use("mine:Greeting", word="hi")])
    other = workspace.exp.spec(
        "tasks: {a: {inline: echo $WORD}}\nplugins: [{uses: 'mine:Greeting', with: {word: hi}}]\n",
        name="other/spec.yaml",
    )
    (other.parent / "mine.py").write_text(MODULE.replace("WORD=self.word", "WORD=self.word * 2"))
    second = experiment.run(other, home=workspace.home)
    for run, said in ((first, "hi\n"), (second, "hihi\n")):
        run.wait(timeout=60)
        assert log(run, "a") == said


# -- from Python ----------------------------------------------------------------------------------------


class Marking(Plugin):
    """Tells tasks of which experiment they are."""

    def change(self, launch: Launch) -> Launch:
        """With a variable, and a timeout."""
        return replace(launch.with_env(MARK=launch.experiment.id), timeout=7.0)


@dataclass
class Noting(Plugin):
    """Writes down what it hears."""

    path: str = "heard"

    def on_event(self, event: dict[str, Any], run: Run) -> None:
        """One line an event."""
        with open(self.path, "a", encoding="utf-8") as stream:  # noqa: PTH123 - as anybody would
            stream.write(f"{event['event']} {run.id}\n")


def test_plugins_given_in_python(workspace: ExpWorkspace, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was made in Python changes tasks; a dataclass of a module hears of events too."""
    monkeypatch.setenv("PYTHONPATH", f"{ROOT}{os.pathsep}{ROOT / 'tests'}")
    given = [Marking(), GivenPlugin(Marking(), ("b",)), Noting("told")]
    run = experiment.run(workspace.spec({"a": "echo $MARK", "b": "true"}), home=workspace.home, plugins=given)
    settled(run)
    assert log(run, "a") == f"{run.id}\n"
    assert json.loads(attempt(run, "a").plan.read_bytes())["timeout"] == 7.0
    assert f"finished {run.id}" in workspace.lines("told")


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"use": "notify"}, "is no plugin"),
        ({"uses": "notify", "with": {"webhook": {"secret": {"env": "A"}}}}, "names a secret"),
    ],
)
def test_mapping_given_in_python_is_checked(workspace: ExpWorkspace, given: Any, message: str) -> None:
    """What is no plugin, or names a secret that nobody has, is wrong usage and no fault."""
    with pytest.raises(UsageError, match=message):
        experiment.run(workspace.spec({"a": "true"}), home=workspace.home, plugins=[given])


def test_plugin_that_no_process_can_make_is_refused(workspace: ExpWorkspace) -> None:
    """A plugin that hears and cannot be made again from its fields is told what to do."""

    class Local(Plugin):
        def on_event(self, event: dict[str, Any], run: Run) -> None:
            raise NotImplementedError

    with pytest.raises(UsageError, match="could not import it"):
        experiment.run(workspace.spec({"a": "true"}), home=workspace.home, plugins=[Local()])


# -- events ---------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("plugins")
def test_plugin_hears_of_all_events_in_order(workspace: ExpWorkspace) -> None:
    """Each event of the ledger once, in its order, in a process of its own."""
    run = workspace.start({"a": "true"}, plugins=[use("mine:Ears")])
    settled(run)
    wanted = [f"{event['event']} {event.get('task', '-')}" for event in events(run)]
    assert eventually(lambda: workspace.lines("heard") == wanted)


@pytest.mark.usefixtures("plugins")
def test_plugin_of_a_task_hears_of_that_alone(workspace: ExpWorkspace) -> None:
    """Given at a task, it hears what is about it."""
    run = workspace.start({"a": "true", "b": {"inline": "true", "plugins": [use("mine:Ears")]}})
    settled(run)
    assert {line.split()[1] for line in workspace.lines("heard")} == {"b"}


@pytest.mark.usefixtures("plugins")
def test_plugin_that_raises_on_an_event_changes_nothing(workspace: ExpWorkspace) -> None:
    """It is recorded, `run` and `show` tell it, others hear on, and the experiment is as it is."""
    spec = workspace.spec(
        {"a": "true"}, plugins=[use("mine:Ears", stumbles="ended"), use("mine:Ears", path="other")]
    )
    done = workspace.exp("run", spec, code=0)
    assert "the plugin mine:Ears failed on ended a: ValueError: oh no" in done.stderr
    assert "mine:Ears failed on ended a: ValueError: oh no" in workspace.exp("show").stdout
    assert "mine:Ears failed on ended a: ValueError: oh no" in workspace.exp("why", "latest", "a").stdout
    assert workspace.exp("show", "--json").json["plugin_faults"][0]["error"] == "ValueError: oh no"
    assert workspace.lines("heard") == workspace.lines("other")
    assert workspace.lines("heard")[-1] == "supervisor_ended -"


@pytest.mark.usefixtures("plugins")
def test_plugin_that_hangs_holds_nothing_up(workspace: ExpWorkspace) -> None:
    """Tasks go on while it hangs; after its limit that is recorded, and it hears of the rest."""
    run = workspace.start({"a": "true"}, plugins=[use("mine:Hanging", waits="started")])
    assert run.wait(timeout=60).status is ExperimentStatus.COMPLETED
    settled(run)
    assert workspace.lines("heard")[-1] == "supervisor_ended -"
    assert [fault.event for fault in faults(run.files, run.spec())] == ["started"]


@pytest.mark.usefixtures("plugins")
def test_plugin_goes_on_where_it_was_after_a_crash(workspace: ExpWorkspace) -> None:
    """Killed with its supervisor, a resume lets it hear of the rest; of what it heard it hears no more."""
    run = workspace.start({"a": until("on")}, plugins=[use("mine:Ears", waits="started")])
    shim_pid(run, "a")
    eventually(lambda: "started a" in workspace.lines("heard"))
    ears = [one for one in psutil.process_iter(["cmdline"]) if _is_hearer(one, run)]
    kill_supervisor(run)
    for one in ears:
        one.send_signal(signal.SIGKILL)
        one.wait(timeout=60)
    workspace.touch("go")
    run.resume()
    workspace.touch("on")
    settled(run)
    heard = [line.split()[0] for line in workspace.lines("heard")]
    assert heard.count("started") == 2, "it was killed over this one, and hears of it again"
    assert [kind for kind in heard if kind != "started"] == [
        event["event"] for event in events(run) if event["event"] != "started"
    ]


def _is_hearer(process: psutil.Process, run: Run) -> bool:
    if "nemorun_cli.experiment.listener_process" not in (process.info["cmdline"] or ()):
        return False
    try:
        return any(file.path.startswith(str(run.directory)) for file in process.open_files())
    except psutil.Error:
        return False


@pytest.mark.usefixtures("plugins")
def test_secret_of_a_plugin_goes_to_it_alone(exp: Exp) -> None:
    """Its value is in no file of the experiment and in no task; what it raises is masked."""
    (exp.folder / "ears.py").write_text(
        "class Ears:\n"
        "    schema = {'properties': {'key': {'type': 'string', 'pattern': '^a-very'}}}\n"
        "    def __init__(self, key): self.key = key\n"
        "    def on_event(self, event, run):\n"
        "        open('length', 'w').write(str(len(self.key)))\n"
        "        raise ValueError(self.key)\n"
    )
    spec = exp.spec(
        "tasks: {a: {inline: env}}\n"
        "plugins: [{uses: 'ears:Ears', with: {key: {secret: {env: THE_KEY}}}}]\n"
        "env_inherit: none\n"
    )
    assert "THE_KEY is not set" in exp("run", spec, code=2).stderr
    exp("run", spec, env={"THE_KEY": "a-very-secret-value"})
    assert (exp.folder / "length").read_text() == "19"
    files = [path for path in exp.home.rglob("*") if path.is_file()]
    assert [path for path in files if b"a-very-secret" in path.read_bytes()] == []
    assert "***" in exp("show", env={"THE_KEY": ""}).stdout


# -- the page -------------------------------------------------------------------------------------------


def test_the_plugin_of_the_page_works(exp: Exp) -> None:
    """The example of docs/extend/plugins.md, as it stands there, changes a task and hears of the end."""
    page = {block.mark: block.text for block in blocks(ROOT / "docs" / "extend" / "plugins.md") if block.mark}
    (exp.folder / "timing.py").write_text(page["plugin: timing.py"])
    assert len(page["plugin: timing.py"].splitlines()) <= 20
    spec = exp.spec(page["plugin: spec.yaml"])
    assert "nice bash" in exp("run", spec, "--dry-run").stdout
    exp("run", spec)
    assert exp("logs", "latest", "train").stdout == "train\n"
    assert (exp.directory() / "timing").read_text().startswith("COMPLETED at ")


def test_the_page_explains_what_built_in_plugins_take() -> None:
    """Each key of each schema stands in docs/extend/plugins.md as code, in the section of the plugin."""
    text = (ROOT / "docs" / "extend" / "plugins.md").read_text(encoding="utf-8")
    for name in BUILT_IN:
        section = text.partition(f"\n## {name}\n")[2].partition("\n## ")[0]
        keys = discovery.find(name).schema["properties"]
        assert [key for key in keys if f"`{key}`" not in section] == [], name


def test_a_plugin_of_an_earlier_protocol_is_refused(workspace: ExpWorkspace) -> None:
    """A plugin that listens by the hook's earlier name is refused, and the page with the names is named."""

    class Old:
        def hear(self, event: object, run: object) -> None:
            del event, run

    with pytest.raises(UsageError, match="`hear` is now `on_event`") as refused:
        experiment.run(workspace.spec({"a": "true"}), home=workspace.home, plugins=[Old()])
    assert "docs/extend/executors.md" in str(refused.value.hint)


class Setup:
    """A plugin of NeMo-Run."""

    def setup(self, task: object, executor: object) -> None:
        """Change nothing."""
        del task, executor


@pytest.mark.parametrize(
    ("plugin", "message", "hint"),
    [
        (Setup(), "Setup has no hook", "nemorun_cli.nemo"),
        (object(), "object has no hook", "docs/extend/plugins.md"),
        (Setup, "Setup is a class", "Setup("),
        (3, "int has no hook", "docs/extend/plugins.md"),
    ],
)
def test_a_plugin_without_a_hook_is_refused(plugin: object, message: str, hint: str) -> None:
    """It would do nothing: it is a problem of the built spec, at the task that it was given to."""
    built = nemorun_cli.Builder("hooks")
    built.add(nemorun_cli.Script(inline="true"), name="t", plugins=[plugin])
    with pytest.raises(SpecError) as refused:
        built.document({})
    (problem,) = refused.value.problems
    assert problem.path == "tasks.t.plugins"
    assert problem.line is not None
    assert message in problem.message
    assert hint in str(problem.hint)


def test_a_plugin_of_a_spec_without_a_hook_is_refused(workspace: ExpWorkspace) -> None:
    """The message names its class and its place in the spec, and nothing is created."""
    (workspace.folder / "idle.py").write_text("class Idle:\n    def setup(self, task, executor): pass\n")
    spec = workspace.spec({"a": "true"}, plugins=[use("idle:Idle")])
    refused = workspace.exp("run", spec, code=2)
    assert "idle:Idle (plugins.0) has no hook" in refused.stderr
    assert "setup(task, executor) is the hook of NeMo-Run" in refused.stderr
    assert list(workspace.home.experiments.glob("*/*")) == []
