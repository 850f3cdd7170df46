"""Every spec of examples/specs is valid, runs through the installed command, and does what its head says."""

from __future__ import annotations

import os
import shutil
import sys
from dataclasses import replace
from pathlib import Path
from statistics import geometric_mean
from typing import TYPE_CHECKING, Any

import pytest
from engines.ssh_hosts import JOBS
from support import repositories, sampled_searches
from support.extent import IS_LONG
from support.patience import eventually

from nemorun_cli.model.search import SearchRule

if TYPE_CHECKING:
    from engines.far import Far
    from engines.ssh_hosts import SshHosts
    from support.workspace import Exp

ROOT = Path(__file__).parents[2]
SPECS = ROOT / "examples" / "specs"
SCHEMA_LINE = "# yaml-language-server: $schema=../../schemas/experiment.schema.json"
GIVEN = "the true token"  # what secrets.yaml is given
PROGRAMS = Path(sys.executable).parent
LONGEST = 600.0  # seconds of a search with sixty trials
TRIALS = [f"tune/trial-{number:04d}" for number in range(1, 7)]
BETTER = 0.95  # of the loss of random search, at most; measured: 0.85
PATH = {"PATH": f"{PROGRAMS}{os.pathsep}{os.environ['PATH']}"}  # as in an active venv


def outputs(exp: Exp, task: str) -> dict[str, Any]:
    """The outputs of a task of the latest experiment."""
    found: dict[str, Any] = exp.task(task)["outputs"]
    return found


def log(exp: Exp, task: str) -> str:
    """What a task of the latest experiment wrote, as the command shows it."""
    return exp("logs", "latest", task).stdout


def statuses(exp: Exp) -> dict[str, str]:
    """The tasks of the latest experiment and how they ended."""
    return {task["id"]: task["status"] for task in exp.status()["tasks"]}


@pytest.mark.parametrize("path", sorted(SPECS.glob("*.yaml")), ids=lambda path: path.stem)
def test_every_spec_is_valid(exp: Exp, path: Path) -> None:
    """A spec among the examples has no problem."""
    exp("validate", path, env={"DEMO_TOKEN": GIVEN})


@pytest.mark.parametrize("path", sorted(SPECS.glob("*.yaml")), ids=lambda path: path.stem)
def test_every_spec_says_what_it_shows(path: Path) -> None:
    """A spec among the examples names its schema for editors, what it shows and how it is run."""
    lines = path.read_text(encoding="utf-8").splitlines()
    assert lines[0] == SCHEMA_LINE
    assert (path.parent / "../../schemas/experiment.schema.json").is_file()
    head = [line for line in lines if line.startswith("#")]
    assert any(line.startswith("# Shows: ") for line in head)
    assert any(line.startswith("# Run: ") and f"examples/specs/{path.name}" in line for line in head)


def test_every_spec_is_run_by_a_test() -> None:
    """No example is added without a test that looks at its effects."""
    text = Path(__file__).read_text(encoding="utf-8")
    assert [path.stem for path in SPECS.glob("*.yaml") if f"def test_{path.stem}_" not in text] == []


def test_hello_greets(exp: Exp) -> None:
    """A command is split as a shell would and runs without one."""
    exp("run", SPECS / "hello.yaml")
    assert log(exp, "greet") == "hello, world\n"


def test_reuse_lies_over_its_base(exp: Exp) -> None:
    """A spec takes tasks, params and executors of other files, and its own values win."""
    exp("run", SPECS / "reuse.yaml")
    assert log(exp, "greet") == "good evening, reader!\n"
    assert log(exp, "report") == "greeted in quick pace\n"
    assert [(task["executor"], task["type"]) for task in exp.status()["tasks"]] == [
        ("quick", "local"),
        ("local", "local"),
    ]


def test_early_stopping_saves_and_tries_again(exp: Exp) -> None:
    """A task without an improvement is SUCCEEDED with what it saved, and a divergence is retried."""
    exp("run", SPECS / "early_stopping.yaml")
    assert log(exp, "report") == "saved: true, rate 1\n"
    train, unstable = exp.task("train"), exp.task("unstable")
    assert (train["status"], train["reason"], train["exit_code"]) == ("SUCCEEDED", "target", 0)
    assert (unstable["status"], unstable["attempt"]) == ("SUCCEEDED", 2)


def test_dag_runs_in_order_and_skips_the_alarm(exp: Exp) -> None:
    """Tasks follow their dependencies; afternotok is skipped where nothing failed, afterany runs."""
    exp("run", SPECS / "dag.yaml")
    folder = exp.directory() / "shared"
    assert (folder / "merged.txt").read_text() == "a 1\nb 2\nb 3\n3\n"
    assert not (folder / "raw.txt").exists()
    found = statuses(exp)
    assert found.pop("alarm") == "SKIPPED"
    assert set(found.values()) == {"SUCCEEDED"}


def test_environment_is_that_of_its_tasks(exp: Exp) -> None:
    """Tasks run in the environment that is made for them, but for the one that wants none."""
    exp("run", SPECS / "environment.yaml")
    (environment,) = exp("show", "--json").json["python_environments"]
    assert log(exp, "inside") == f"{environment['folder']}\n"
    assert log(exp, "outside") == f"{sys.prefix}\n"
    assert log(exp, "version") == f"Python {environment['version']}\n"
    assert statuses(exp) == dict.fromkeys(("inside", "version", "outside"), "SUCCEEDED")


def test_group_hands_on_what_its_members_put_out(exp: Exp) -> None:
    """Members take the group's keys, their own win, each has its executor, and all are waited for."""
    exp("run", SPECS / "group.yaml")
    assert log(exp, "collect") == "4 6 homeless\n"
    assert [task["executor"] for task in exp.status()["tasks"]] == ["local", "local", "bare", "local"]


def test_outputs_arrive_unharmed(exp: Exp) -> None:
    """Text with quotes and newlines, lists and numbers reach the tasks that use them."""
    exp("run", SPECS / "outputs.yaml")
    assert outputs(exp, "measure") == {
        "place": 'under the "old" tree',
        "sizes": [3, 5, 8],
        "notes": "first line\nsecond line",
    }
    assert log(exp, "argument") == 'under the "old" tree|first line\nsecond line|\n'
    assert log(exp, "environment") == 'under the "old" tree|8|\n'
    assert log(exp, "number") == "4\n"


def test_best_hands_on_the_best_member(exp: Exp) -> None:
    """A task gets the folder and the outputs of the member with the smallest loss, also of a swept param."""
    spec = SPECS / "best.yaml"
    exp("run", spec)
    assert log(exp, "test").startswith("testing a model for 0.01, which had the loss ")
    exp("run", spec, "--sweep", "momentum=0,0.9")
    assert exp.status()["best"][0]["winner"] == "train/lr=0.01,momentum=0.9"
    assert len(exp.status()["tasks"]) == 11


def test_retry_succeeds_in_its_third_attempt(exp: Exp) -> None:
    """A task is tried again after the exit codes that it names; each attempt keeps its log."""
    exp("run", SPECS / "retry.yaml")
    task = exp.task("flaky")
    assert (task["attempt"], task["outputs"]) == (3, {"attempts": 3})
    for attempt in ("1", "2", "3"):
        assert exp("logs", "retry", "flaky", "--attempt", attempt).stdout == f"attempt {attempt}\n"
    told = exp("why", "retry", "fetch").stdout
    assert "attempt 2 is a retry by retry.on (log: ^Connection(Reset|Refused)Error), after exit" in told


def test_params_are_typed(exp: Exp) -> None:
    """-p gives values, text stays text, and what does not fit is refused before anything starts."""
    spec = SPECS / "params.yaml"
    exp("run", spec, "-p", "lr=1e-3", "-p", "optimizer=adam", "-p", "title=3.10")
    written = log(exp, "train")
    assert written == "--epochs=10 --lr=1e-3 --optimizer=adam --decay=0.0001 --title=3.10\n"
    exp("run", spec, "--set", "tasks.train.command=echo changed")
    assert log(exp, "train") == "changed\n"
    for wrong in ("epochs=many", "lr=2", "optimizer=lbfgs", "momentum=0.9"):
        refused = exp("run", spec, "-p", wrong, code=2)
        assert wrong.partition("=")[0] in refused.stderr
    assert len(exp("list", "--json").json["experiments"]) == 2


def test_cron_starts_one_run_a_key(exp: Exp) -> None:
    """A second start with the key of a run that is not over finds that run."""
    gate = exp.folder / "gate"
    gate.mkdir()
    held = "tasks.nightly.inline=until [ -e ../gate/open ]; do sleep 0.05; done"
    start = ("run", SPECS / "cron.yaml", "--set", f"tasks.nightly.workdir={gate}", "--set", held)
    options = ("--key", "nightly-2026-11-22", "--detach")
    first = exp(*start, *options, "--if-running", "skip").stdout.strip()
    assert exp(*start, *options, "--if-running", "skip").stdout.strip() == first
    exp(*start, *options, "--if-running", "fail", code=8)
    (gate / "open").touch()
    exp("wait", "cron", "--timeout", "20s")
    assert exp.status()["key"] == "nightly-2026-11-22"
    exp("run", SPECS / "cron.yaml")
    assert log(exp, "nightly").startswith("done at ")


def test_secrets_reach_the_task_and_nothing_else(exp: Exp) -> None:
    """A secret is in the task's environment, masked where shown, and in no file but the task's own log."""
    spec = SPECS / "secrets.yaml"
    assert "DEMO_TOKEN" in exp("run", spec, code=2).stderr
    env = {"DEMO_TOKEN": GIVEN}
    shown = exp("run", spec, "--tail-logs", env=env)
    assert "a token of 14 characters" in shown.stdout
    assert "the token is ***" in shown.stdout
    assert GIVEN not in shown.stdout + shown.stderr
    assert outputs(exp, "login")["length"] == len(f"session-{os.getuid()}")
    files = [path for path in exp.home.rglob("*") if path.is_file()]
    holding = [path for path in files if GIVEN.encode() in path.read_bytes()]
    assert [path.name for path in holding] == ["log"]


def test_partial_builds_objects_and_returns_outputs(exp: Exp) -> None:
    """Nested _target_ mappings become objects, and the returned mapping becomes the outputs."""
    exp("run", SPECS / "partial.yaml", "-p", "steps=50", env=PATH)
    assert outputs(exp, "descend") == {"x": 3.0, "steps": 50}
    assert log(exp, "show") == "reached 3.0 after 50 steps\n"


def test_when_skips_without_failing(exp: Exp) -> None:
    """A false condition skips its task, and the experiment is completed."""
    spec = SPECS / "when.yaml"
    exp("run", spec)
    assert statuses(exp) == {"evaluate": "SUCCEEDED", "again": "SUCCEEDED", "publish": "SKIPPED"}
    assert exp.task("publish")["reason"] == "when"
    exp("run", spec, "-p", "publish=true", "-p", "threshold=0.5")
    assert statuses(exp) == {"evaluate": "SUCCEEDED", "again": "SKIPPED", "publish": "SUCCEEDED"}


def test_timeout_lets_the_task_save_its_work(exp: Exp) -> None:
    """At its timeout a task gets its stop signal and time to act on it; what allows failure fails nothing."""
    exp("run", SPECS / "timeout.yaml")
    endless = exp.task("endless")
    assert (endless["status"], endless["reason"]) == ("FAILED", "timeout")
    assert log(exp, "continue") == "saved\n"


def test_handlers_fit_the_outcome(exp: Exp) -> None:
    """Success is published, failure told with what failed, and what was left lying is removed either way."""
    exp("run", SPECS / "handlers.yaml")
    assert log(exp, "on_success/publish") == "published with accuracy 0.9\n"
    assert not (exp.directory() / "shared/scratch").exists()
    exp("run", SPECS / "handlers.yaml", "-p", "accuracy=0.4", code=1)
    assert log(exp, "on_failure/alarm").endswith("1 failed: check\n")
    assert not (exp.directory() / "shared/scratch").exists()


def test_notify_tells_of_the_failure_and_the_end(exp: Exp) -> None:
    """The command was told when the first task failed and when all was over."""
    exp("run", SPECS / "notify.yaml")
    told = (exp.directory() / "told").read_text()
    assert "bad failed (exit code 3)" in told
    assert "COMPLETED after" in told


def test_plugin_names_runs_and_keeps_a_diary(exp: Exp) -> None:
    """What the module beside the spec does to tasks is in their output, and what it heard in its diary."""
    exp("run", SPECS / "plugin.yaml")
    assert log(exp, "train") == f"plugin-train runs with niceness {min(19, os.nice(0) + 7)}\n"
    assert (exp.directory() / "diary").read_text() == "train is SUCCEEDED\nevaluate is SUCCEEDED\n"


def test_preemption_goes_on_from_its_checkpoint(exp: Exp) -> None:
    """The task was stopped in time, saved its work, and the next attempt went on from there."""
    exp("run", SPECS / "preemption.yaml")
    task = exp.task("train")
    assert (task["status"], task["outputs"]) == ("SUCCEEDED", {"epochs": 15})
    assert task["attempt"] > 1
    assert "saved at epoch" in exp("logs", "latest", "train", "--attempt", "1").stdout


def test_direct_uses_the_terminal(exp: Exp) -> None:
    """Tasks run in order on the command's own input and output."""
    done = exp("run", SPECS / "direct.yaml", env=PATH, stdin="Ada\n")
    assert "from 1.0 to 0.000105 in 10 steps" in done.stdout
    assert "Ada: 0.000105" in done.stdout
    assert set(statuses(exp).values()) == {"SUCCEEDED"}


def test_training_learns_and_compares(exp: Exp) -> None:
    """Networks learn from real data, epoch by epoch, and the report compares them, the best first."""
    exp("run", SPECS / "training.yaml", "-p", "epochs=2", "-p", "pause=0", env=PATH)
    lines = (exp.directory() / "shared/report.txt").read_text().splitlines()
    assert len(lines) == 5
    rows = exp("compare", "--best", "accuracy:max", "--json").json["rows"]
    assert rows[0]["task"] == lines[1].split()[0]
    assert rows[0]["metrics"]["digits/accuracy"]["count"] == 2


def test_digits_trains_and_reports_the_best_model(exp: Exp) -> None:
    """Real models learn from real data; outputs lead from the data to the report."""
    exp("run", SPECS / "digits.yaml", "-p", "trees=20", env=PATH)
    assert set(statuses(exp).values()) == {"SUCCEEDED"}
    trained = {name: outputs(exp, f"train/{name}") for name in ("logistic", "forest", "svm")}
    assert all(Path(found["model"]).is_file() for found in trained.values())
    assert all(0.9 < found["accuracy"] <= 1 for found in trained.values())
    best = outputs(exp, "evaluate")["best"]
    assert trained[best]["accuracy"] == max(found["accuracy"] for found in trained.values())
    report = (exp.directory() / "shared/report.txt").read_text()
    assert report.startswith(f"best model: {best}\ntest accuracy: {outputs(exp, 'evaluate')['accuracy']}\n")
    assert all(name in report for name in trained)


def test_search_finds_params_and_tests_the_best_network(exp: Exp, monkeypatch: pytest.MonkeyPatch) -> None:
    """Real networks learn with suggested params, hopeless ones are pruned, and the best one is tested.

    Over ten seeds, the losses that it finds are smaller than those of random search.
    """
    trials, part = (60, ()) if IS_LONG else (1, ("--only", "train"))
    exp("run", SPECS / "search.yaml", "-p", f"trials={trials}", *part, "-d", env=PATH)
    eventually(lambda: exp.status()["ended"], within=LONGEST)
    assert set(statuses(exp).values()) == {"SUCCEEDED"}
    (study,) = exp("show", "--json").json["searches"]
    counts, best = study["counts"], study["best"]
    assert counts["complete"] + counts["pruned"] == trials
    assert best["values"] == [min(entry["values"][0] for entry in study["history"] if entry["values"])]
    assert exp.status()["best"][0]["winner"] == best["task"]
    (record,) = exp("params", "latest", best["task"], "--json").json["records"]
    assert best["params"].items() <= record["params"].items()
    if IS_LONG:
        assert counts["pruned"] > 5
        assert best["values"][0] < 0.2
        assert f"momentum {best['params']['momentum']:.4g}, " in log(exp, "test")
        assert outputs(exp, "test")["accuracy"] > 0.95
        assert sum(study["importances"].values()) == pytest.approx(1)
        rule = exp("show", "--json").json["spec"]["groups"][0]["search"]
        monkeypatch.syspath_prepend(SPECS / "search")
        for name, value in (("KMP_DUPLICATE_LIB_OK", "True"), ("KMP_INIT_AT_FORK", "FALSE")):
            monkeypatch.setenv(name, value)  # as scikit-learn does where they are not set
        assert geometric_mean(_ratios(SearchRule.from_json(rule))) < BETTER


def _ratios(rule: SearchRule) -> list[float]:
    """The loss of the example's best trial by that of random search, for seeds that chose nothing of it."""
    from network import Network  # noqa: PLC0415 - it is found by the test's path alone
    from train import losses  # noqa: PLC0415 - the same

    def best(sampler: str, seed: int) -> float:
        own = replace(rule, sampler=sampler, seed=seed)
        return sampled_searches.best_value(own, lambda params: losses(Network(**params)))

    return [best("tpe", seed) / best("random", seed) for seed in range(100, 110)]


def test_sweep_trains_each_combination_and_tells_the_best(exp: Exp) -> None:
    """The matrix gives its members, each check follows its twin, and the best of all is told."""
    exp("run", SPECS / "sweep.yaml", env=PATH)
    assert set(statuses(exp).values()) == {"SUCCEEDED"}
    trained = [task["matrix"] for task in exp.status()["tasks"] if task["group"] == "train"]
    assert trained == [
        {"C": 1, "gamma": 0.001},
        {"C": 1, "gamma": 0.1},
        {"C": 10, "gamma": 0.001, "probability": True},
        {"C": 100, "gamma": 0.001},
    ]
    assert outputs(exp, "best")["best"] == "C=10,gamma=0.001"
    assert outputs(exp, "best")["accuracy"] > 0.95
    assert "train/C=1,gamma=0.001/model.joblib has" in log(exp, "check/C=1,gamma=0.001")


def test_resources_gives_each_task_gpus_of_its_own(exp: Exp) -> None:
    """Each member has one of the two GPUs that the executor names, and what merges them has both."""
    exp("run", SPECS / "resources.yaml")
    assert {outputs(exp, f"train/seed={seed}")["gpu"] for seed in (1, 2, 3, 4)} <= {0, 1, "0", "1"}
    assert "merging on GPUs 0,1" in log(exp, "merge")


def test_sweep_failures_counts_what_fails(exp: Exp) -> None:
    """What NumPy refuses fails, the others are fitted, and the table is made of all."""
    few = ["--set", "params.alphas=[1, 10]", "--set", "tasks.fit.matrix.seed=[0, 1]"]
    exp(
        "run",
        SPECS / "sweep_failures.yaml",
        *few,
        "--set",
        "tasks.fit.matrix.max_failures=2",
        env=PATH,
        code=1,
    )
    found = exp.status()["counts"]
    assert found["SUCCEEDED"] == 5
    assert found["FAILED"] >= 2
    assert found["FAILED"] + found.get("SKIPPED", 0) == 8
    assert "numpy.linalg.LinAlgError: Matrix is not positive definite" in exp("why", "latest", "fit").stdout
    assert (exp.directory() / "shared/fits.json").is_file()


@pytest.mark.usefixtures("slurm")
def test_slurm_makes_one_array_of_a_sweep(exp: Exp) -> None:
    """A sweep is one call of sbatch, and a local task gets the outputs of all members."""
    exp("run", SPECS / "slurm.yaml")
    assert log(exp, "summary").count("value") == 4
    assert len(list(exp.directory().glob("slurm/*/script"))) == 1
    assert log(exp, "square/n=2") == "on main\n"


@pytest.mark.usefixtures("slurm")
def test_slurm_pipeline_runs_to_its_end(exp: Exp) -> None:
    """Steps wait in the queue for those before them, and the two that start together are one job."""
    plans = exp("run", SPECS / "slurm_pipeline.yaml", "--dry-run", "--json").json["tasks"]
    early = {task["id"]: task["queued_early"] for task in plans}
    assert early["train/n=2"] == {"behind": ["prepare"], "after": []}
    assert early["publish"] == {"behind": ["check/server", "check/client"], "after": []}
    exp("run", SPECS / "slurm_pipeline.yaml")
    assert log(exp, "check/client") == "165\n"
    assert log(exp, "publish") == "published\n"
    assert exp.task("check/server")["job_id"] == exp.task("check/client")["job_id"]


@pytest.mark.usefixtures("slurm")
def test_slurm_checkpoint_goes_on_where_it_stopped(exp: Exp) -> None:
    """Attempts end as timeouts until the training is done, and each begins at the step that was saved."""
    exp("run", SPECS / "slurm_checkpoint.yaml")
    task = exp.task("train")
    assert task["outputs"] == {"steps": 60}
    assert task["attempt"] > 1
    first = exp("logs", "latest", "train", "--attempt", "1").stdout.split()
    second = exp("logs", "latest", "train", "--attempt", "2").stdout
    assert int(second.split()[6]) >= int(first[-1]) > 0


def test_slurm_tunnel_brings_code_there_and_outputs_back(exp: Exp, far: Far) -> None:
    """A task behind ssh finds what was shipped, and a local one gets its outputs."""
    exp("run", SPECS / "slurm_tunnel.yaml", "-p", "host=login", "-p", f"job_dir={far.jobs}")
    assert log(exp, "report") == "files there: 1\n"
    assert f"in {far.jobs}/" in log(exp, "count")


def test_ssh_runs_on_two_hosts(exp: Exp, ssh_hosts: SshHosts) -> None:
    """Tasks behind ssh find what was shipped and each other, and a local one gets their outputs."""
    names = ["-p", "first=box1", "-p", "second=box2"]
    exp("run", SPECS / "ssh.yaml", *names, "-p", f"job_dir={JOBS}")
    assert log(exp, "report") == "files there: 1\n"
    assert "counting on box" in log(exp, "count/seed=2")
    places = set(log(exp, "pair/a").removeprefix("pair/a at ").strip().split(", the other at "))
    assert places <= {ssh_hosts.address("box1"), ssh_hosts.address("box2")}


@pytest.mark.usefixtures("docker_engine", "slurm")
def test_mixed_runs_on_this_machine_in_docker_and_on_slurm(exp: Exp) -> None:
    """Files and outputs pass between three executors, and a group with a member on each ends alike on all."""
    exp("run", SPECS / "mixed.yaml", "-p", "image=exp-test/python")
    tasks = exp.status()["tasks"]
    assert {task["executor"] for task in tasks} == {"local", "box", "cluster"}
    assert {task["status"] for task in tasks} == {"SUCCEEDED"}
    assert exp.task("add")["outputs"] == {"total": 5050}
    found = {task["id"]: task["outputs"] for task in tasks if task["group"] == "check"}
    assert found == {f"check/{name}": {"ran_as": f"check/{name}"} for name in ("here", "boxed", "queued")}


@pytest.mark.usefixtures("docker_engine")
def test_docker_passes_outputs_into_containers_and_back(exp: Exp) -> None:
    """A container gets the outputs, arguments and volumes it names, and its own outputs come back."""
    exp("run", SPECS / "docker.yaml", "-p", "image=exp-test/python")
    host = outputs(exp, "here")["host"]
    first, *files = log(exp, "count").splitlines()
    assert first.endswith(f"after {host}; I said \"hello\" & 'bye'")
    assert sorted(files) == sorted(path.name for path in (SPECS / "digits").iterdir())
    assert log(exp, "bare") == f"{len(files)} files\n"


def test_packager_keeps_what_was_there(exp: Exp) -> None:
    """What is edited while the experiment runs does not reach the tasks that ship their code."""
    repo = repositories.make(exp.folder / "repo", {"readme": ""})
    folder = repo.folder / "examples" / "specs"
    shutil.copytree(SPECS / "packager", folder / "packager")
    spec = shutil.copy(SPECS / "packager.yaml", folder)
    repo.commit()
    exp("run", spec)
    assert outputs(exp, "say") == {"lines": 1}
    assert log(exp, "say") == "what was there when it was started\n"
    assert log(exp, "tables").split() == ["code/message.txt", "tables/table.csv"]
    assert repo.git("status", "--porcelain").strip() == "M examples/specs/packager/message.txt"


def test_torchrun_starts_the_processes(exp: Exp) -> None:
    """Each process has its rank, a wrapper leads, and on several nodes Slurm's variables are used."""
    spec = SPECS / "torchrun.yaml"
    standin = {"PATH": f"{ROOT / 'tests' / 'executors' / 'launchers' / 'programs'}{os.pathsep}{PATH['PATH']}"}
    exp("run", spec, "--only", "train", "--only", "timed", "-p", "processes=3", env=standin)
    assert outputs(exp, "train") == {"processes": 3}
    assert sorted(log(exp, "train").splitlines()) == [f"process {n} of 3, profile off" for n in range(3)]
    assert log(exp, "timed") == "process 0 of 1, profile on\n"
    assert "SLURM_JOB_NODELIST" in exp("run", spec, "--dry-run").stdout


if IS_LONG:

    def test_search_group_hands_on_the_model_of_its_best_trial(exp: Exp) -> None:
        """Each trial fits a model and measures that one; the best one is tested without another training."""
        exp("run", SPECS / "search_group.yaml", "-p", "trials=6", "-d", env=PATH)
        exp("wait", "--timeout", str(LONGEST))
        assert set(statuses(exp).values()) == {"SUCCEEDED"}
        measured = {name: outputs(exp, f"{name}/measure")["accuracy"] for name in TRIALS}
        best = max(measured, key=measured.__getitem__)
        assert log(exp, "test").startswith(f"{best} reads ")
        assert outputs(exp, "test")["tested"] > 0.8
        assert Path(outputs(exp, f"{best}/fit")["model"]).is_file()
