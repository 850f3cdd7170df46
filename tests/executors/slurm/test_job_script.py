"""The texts that Slurm is given: options, scripts and what members run, without a cluster."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Any

import pytest

from nemorun_cli.errors import EngineError
from nemorun_cli.executors.background_commands import CommandResult
from nemorun_cli.executors.shim_call import SHIM, shim_line
from nemorun_cli.executors.slurm.check import _excess_time
from nemorun_cli.executors.slurm.job_script import (
    body_text,
    directive,
    job_name,
    job_script,
    member_text,
    output_pattern,
    secrets_text,
)
from nemorun_cli.executors.slurm.sbatch_options import OPTIONS_SCHEMA, argv, clash, request, seconds_of
from nemorun_cli.executors.slurm.squeue import (
    CAUSES,
    PHASES,
    SEPARATOR,
    QueueRow,
    ending_of,
    expand,
    is_news,
    is_of,
    parse_sacct,
    parse_squeue,
    waiting_message,
)
from nemorun_cli.model.plan import Plan
from nemorun_cli.model.resources import Resources
from nemorun_cli.model.status import Reason, TaskStatus
from nemorun_cli.spec.schema.checks import check

NASTY = "a 'b' \"c\" $HOME `id` \\ ! ; & | > # äöü %A\ttab"
FOLDER = Path("/ho me/it's/slurm/3")


def plan(**fields: Any) -> Plan:
    """A plan with what matters here."""
    default: dict[str, Any] = {
        "experiment": "tried_1",
        "task": "train",
        "attempt": 1,
        "executor": "cluster",
        "argv": ("python", "train.py"),
        "workdir": "/work",
        "kind": "command",
        "folder": "/work",
        "env": {
            "EXP_DIR": "/home/exp",
            "EXP_TASK_DIR": "/home/exp/tasks/train",
            "EXP_SHARED": "/home/exp/shared",
            "EXP_OUTPUT": "/exp/outputs",
            "EXP_DASH_ROOT": "/home/dash",
            "NEMORUN_HOME": "/home",
            "A": NASTY,
        },
        "stop_signal": "TERM",
        "stop_grace": 10.0,
    }
    return Plan(**{**default, **fields})


def options(of: dict[str, Any], **fields: Any) -> tuple[str, ...]:
    """The flags that options become."""
    return request(of, plan(**fields)).options


def test_resources_are_asked_for() -> None:
    """CPUs are rounded up, memory is told in megabytes, and GPUs are generic resources beside others."""
    wanted = Resources(cpus=1.5, memory=(3 << 30) + 1, gpus=2)
    told = set(options({"gres": "lustre:1"}, resources=wanted))
    assert told == {"--cpus-per-task=2", "--mem=3073M", "--gres=lustre:1,gpu:2"}
    assert options({}, resources=Resources(gpus=0)) == ()


@pytest.mark.parametrize(
    ("given", "wanted", "told"),
    [
        ({"mem": "4G"}, Resources(memory=1), "mem"),
        ({"mem_per_cpu": "4G"}, Resources(memory=1), "mem_per_cpu"),
        ({"cpus_per_task": 4}, Resources(cpus=1), "cpus_per_task"),
        ({"gpus_per_node": 1}, Resources(gpus=1), "gpus_per_node"),
        ({"gres": ["lustre:1", "gpu:a100:2"]}, Resources(gpus=1), "gres"),
        ({"additional_parameters": {"mem-per-gpu": "1G"}}, Resources(memory=1), "mem_per_gpu"),
        ({"tres_per_task": "cpu:4"}, Resources(cpus=1), "tres_per_task"),
        ({"tres_per_task": ["license:x", "gres/gpu:1"]}, Resources(gpus=1), "tres_per_task"),
        ({"mem": "4G", "gres": "gpus_of_old:1"}, Resources(cpus=1, gpus=1), None),
    ],
)
def test_options_that_say_what_resources_say_are_told(
    given: dict[str, Any], wanted: Resources, told: str | None
) -> None:
    """An option and a resource that mean the same are told by the option's name; others go together."""
    said = None if told is None else f"its options already request this: {told}; remove one of the two"
    assert clash(given, wanted) == said


def problems(given: dict[str, Any]) -> list[str]:
    """What is wrong with options, as a spec's problems tell it."""
    return [f"{finding.message} {finding.hint or ''}".strip() for finding in check(given, OPTIONS_SCHEMA)]


def test_fields_are_the_long_options_of_sbatch() -> None:
    """Fields become flags by their names; true is a bare flag, false is none, a list is joined."""
    given = {
        "account": "team",
        "cpus_per_task": 4,
        "exclusive": True,
        "overcommit": False,
        "partition": ["a100", "h100"],
        "mem": "16G",
        "nice": -5,
        "additional_parameters": {"wckey": "x", "container": "y", "kill-on-invalid-dep": "yes"},
    }
    assert set(options(given)) == {
        "--account=team",
        "--cpus-per-task=4",
        "--exclusive",
        "--partition=a100,h100",
        "--mem=16G",
        "--nice=-5",
        "--wckey=x",
        "--container=y",
        "--kill-on-invalid-dep=yes",
    }
    assert problems(given) == []


def test_an_unknown_field_is_told_with_the_nearest() -> None:
    """A mistyped option is refused, and the hint names what was meant."""
    (found,) = problems({"partitoin": "a100"})
    assert "unknown key 'partitoin'" in found
    assert "partition" in found


def test_a_number_for_a_time_is_refused_with_the_remedy() -> None:
    """`time: 120` could be minutes or seconds: it has to be written as Slurm writes it, in quotes."""
    (found,) = problems({"time": 7200})
    assert '"02:00:00"' in found
    assert "quotes" in found
    assert problems({"time": "02:00:00"}) == problems({"time": "1-12"}) == problems({"time": "90"}) == []
    assert problems({"time": "two hours"})


@pytest.mark.parametrize("flag", ["output", "array", "job-name", "export", "requeue", "wrap", "dependency"])
def test_flags_that_exp_gives_itself_are_refused(flag: str) -> None:
    """additional_parameters cannot undo what a job of `exp` rests on."""
    (found,) = problems({"additional_parameters": {flag: "x"}})
    assert repr(flag) in found


@pytest.mark.parametrize(
    ("time", "seconds"),
    [
        ("90", 5400),
        ("10:30", 630),
        ("02:00:00", 7200),
        ("1-12", 129_600),
        ("1-00:30", 88_200),
        ("2-00:00:10", 172_810),
        ("UNLIMITED", None),
    ],
)
def test_times_are_read_as_slurm_reads_them(time: str, seconds: int | None) -> None:
    """Minutes, minutes:seconds, hours:minutes:seconds, and days before a dash."""
    assert seconds_of(time) == seconds


def test_a_timeout_sets_the_time_limit() -> None:
    """Without `time` the limit is the timeout and its grace, in whole minutes; with `time` it is that."""
    assert options({}, timeout=100.0) == ("--time=2",)
    assert options({}, timeout=110.5) == ("--time=3",)
    assert options({}) == ()
    assert "--time=01:00" in options({"time": "01:00"}, timeout=100.0)


def test_the_stop_signal_comes_before_the_time_limit() -> None:
    """A long limit is announced `stop_grace` before it; a short one is not, for the notice may come early."""
    asked = request({"time": "02:00:00"}, plan())
    assert "--signal=B:XCPU@10" in asked.options
    assert (asked.forward, asked.ends_time) == ("TERM", True)
    assert request({"time": "00:02:00"}, plan()).forward is None


def test_a_signal_of_the_user_reaches_the_task() -> None:
    """`signal` is sent on by the job script, or by Slurm to the steps of srun."""
    asked = request({"signal": "USR1@120"}, plan())
    assert asked.options == ("--signal=B:XCPU@120",)
    assert (asked.forward, asked.ends_time) == ("USR1", False)
    steps = request({"signal": "SIGUSR1@120", "ntasks": 4}, plan())
    assert steps.options == ("--ntasks=4", "--signal=USR1@120")
    assert steps.forward is None


def test_line_breaks_in_options_are_refused() -> None:
    """No value can add a line to the script's head."""
    assert problems({"comment": "x\n#SBATCH --uid=0"})
    with pytest.raises(EngineError, match="line break"):
        request({"comment": "x\n#SBATCH --uid=0"}, plan())


def test_srun_runs_what_is_to_be_spread() -> None:
    """More than one task or node, srun_args or a container make it srun; `srun` decides otherwise."""
    assert argv({}, plan()) == ("python", "train.py")
    assert argv({"nodes": 1, "ntasks": "1"}, plan()) == ("python", "train.py")
    assert argv({"ntasks_per_node": 8}, plan()) == ("srun", "python", "train.py")
    assert argv({"srun_args": ["--mpi", "none"]}, plan()) == ("srun", "--mpi", "none", "python", "train.py")
    assert argv({"nodes": 2, "srun": False}, plan()) == ("python", "train.py")


def test_containers_are_flags_of_pyxis() -> None:
    """The experiment and the workdir are mounted where they are, and our variables win over the image's."""
    line = argv(
        {"container_image": "nvcr.io#x:1", "container_mounts": ["/data:/data:ro"]}, plan(secrets=("T",))
    )
    task = "/home/exp/tasks/train"
    mounts = [
        "/data:/data:ro",
        "/work:/work",
        "/home/dash:/home/dash",
        "/home/exp:/home/exp:ro",
        "/home/exp/shared:/home/exp/shared",
        f"{task}:{task}",
        f"{task}/attempt-1:{task}/attempt-1",
        f"{task}/attempt-1/plan.json:{task}/attempt-1/plan.json:ro",
    ]
    assert line == (
        "srun",
        "--container-image=nvcr.io#x:1",
        f"--container-mounts={','.join(mounts)}",
        "--container-workdir=/work",
        "--container-env=EXP_DIR,EXP_TASK_DIR,EXP_SHARED,EXP_OUTPUT,EXP_DASH_ROOT,NEMORUN_HOME,A,T",
        "python",
        "train.py",
    )
    member = argv({"container_image": "x"}, plan(peers={"g/a.b": "a.b"}))
    assert "NEMORUN_HOME,A,EXP_GROUP_HOSTS,EXP_HOST_A_B" in next(f for f in member if "container-env" in f)


def test_what_a_spec_mounts_does_not_open_the_experiment() -> None:
    """In a mount around the home of exp, the home is read-only, and nothing above it can be renamed."""
    env = {**plan().env, "NEMORUN_HOME": "/nfs/me/home", "EXP_DIR": "/nfs/me/home/exp"}
    env |= {"EXP_TASK_DIR": "/nfs/me/home/exp/tasks/train", "EXP_SHARED": "/nfs/me/home/exp/shared"}
    env["EXP_DASH_ROOT"] = "/nfs/me/home/dash"
    given = {"container_image": "x", "container_mounts": "/nfs:/nfs,/nfs/me:/nfs/me,/nfs/ro:/other:ro"}
    line = argv(given, plan(env=env, attempt=3, workdir="/nfs/me/work"), earlier=[1])
    flag = next(flag for flag in line if flag.startswith("--container-mounts="))
    task = "/nfs/me/home/exp/tasks/train"
    assert flag.partition("=")[2].split(",") == [
        "/nfs:/nfs",
        "/nfs/ro:/other:ro",
        "/nfs/me:/nfs/me",
        "/nfs/me/work:/nfs/me/work",
        "/nfs/me/home:/nfs/me/home:ro",
        "/nfs/me/home/dash:/nfs/me/home/dash",
        "/nfs/me/home/exp/shared:/nfs/me/home/exp/shared",
        f"{task}:{task}",
        f"{task}/attempt-3:{task}/attempt-3",
        f"{task}/attempt-1:{task}/attempt-1:ro",
        f"{task}/attempt-3/plan.json:{task}/attempt-3/plan.json:ro",
    ]


def test_a_site_s_names_are_filled_in() -> None:
    """`{name}`, `{task}` and `{id}` are replaced, also if a value has such a text; the rest is as given."""
    env = {**plan().env, "EXP_NAME": "study{id}"}

    def named(template: str, task: str = "train/lr=0.1") -> str | None:
        return request({"job_name": template}, plan(env=env, task=task)).job_name

    assert named("acct-{name}:{task}.{id}") == "acct-study_id_:train.tried_1"
    assert named("{task}", task="one") == "one"
    assert named("it's $(ä)\t`x`") == "it_s ______x_"
    assert len(named("{task}", task="y" * 300) or "") < 255
    assert request({}, plan()).job_name is None
    schema = OPTIONS_SCHEMA["properties"]["job_name"]
    for wrong in ("{user}", "{", "", "a\nb", "{name"):
        assert list(check(wrong, schema)), wrong
    assert not list(check("{name}-{task}-{id}", schema))


def test_names_are_keys_in_safe_characters() -> None:
    """A job's name tells experiment, task and attempt, and differs between two homes."""
    one = job_name("tried_1", [("train/lr=0.1,seed=1", 2)], Path("/a"))
    assert one.startswith("tried_1/train/lr=0.1_seed=1/2~")
    assert one != job_name("tried_1", [("train/lr=0.1,seed=1", 2)], Path("/b"))
    many = job_name("tried_1", [(f"t/{number}", 1) for number in range(20)], Path("/a"))
    assert many.startswith("tried_1/t/0+19/1~")
    assert len(job_name("x" * 300, [("y" * 300, 1)], Path("/a"))) < 255


def script(of: dict[str, Any] | None = None, *, members: int = 1, dependency: str = "", **fields: Any) -> str:
    """The job script of these options."""
    asked = request(of or {}, plan(**fields))
    indices = range(members) if members > 1 else ()
    news = FOLDER.parent / "news"
    return job_script(asked, name="n", folder=FOLDER, indices=indices, news=news, dependency=dependency)


def test_a_script_is_not_requeued_and_gets_no_environment() -> None:
    """Every job is named, quiet, never run twice by Slurm, and made only once what it asks for is said."""
    lines = script({"partition": "a100", "max_parallel": 3}).splitlines()
    head = [line.removeprefix("#SBATCH ") for line in lines if line.startswith("#SBATCH")]
    assert lines[0] == "#!/bin/bash"
    assert '    _exp_login=1 PATH=/usr/local/bin:/usr/bin:/bin exec /bin/bash -l "$0"' in lines
    assert head == [
        "--job-name=n",
        f'--comment="{FOLDER}"',
        f'--output="{FOLDER}/output"',
        "--open-mode=append",
        "--no-requeue",
        "--export=ALL",
        f'--chdir="{FOLDER}"',
        "--partition=a100",
    ]
    bare = script(env_inherit="none")
    assert bare.startswith("#!/bin/bash\n")
    assert "\nPATH=/usr/local/bin:/usr/bin:/bin\n" in bare
    assert "bash -l" not in bare


def test_members_are_an_array_with_a_limit() -> None:
    """Several members are one job array; max_parallel is how many of it run at once."""
    assert "#SBATCH --array=0-19\n" in script(members=20)
    assert "#SBATCH --array=0-19%4\n" in script({"max_parallel": 4}, members=20)


def test_a_directive_keeps_every_character() -> None:
    """A value is quoted as sbatch reads it, which is not as a shell does."""
    assert directive("--mem=16G") == "--mem=16G"
    assert directive("--exclusive") == "--exclusive"
    assert directive('--comment=a "b" \\c') == '--comment="a \\"b\\" \\\\c"'


@pytest.mark.parametrize("of", [{}, {"signal": "USR1@60"}, {"setup_lines": ["module load cuda"]}])
@pytest.mark.parametrize("members", [1, 20])
@pytest.mark.parametrize("dependency", ["", "afterok:7"])
def test_a_script_passes_shellcheck(of: dict[str, Any], members: int, dependency: str) -> None:
    """What is rendered is as clean as what is written by hand."""
    program = shutil.which("shellcheck", path=f"{Path(sys.executable).parent}:/usr/bin") or "shellcheck"
    argv = [program, "--shell=bash", "--exclude=SC2154,SC2329", "-"]  # set by the member; called by traps
    done = subprocess.run(
        argv,
        input=script(of, members=members, dependency=dependency),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout == ""


def test_a_job_follows_no_link_and_believes_no_secrets_of_a_container(tmp_path: Path) -> None:
    """What earlier attempts left in its place is removed, and what its task leaves is not followed."""
    precious, attempt, folder = tmp_path / "precious", tmp_path / "attempt", tmp_path / "slurm"
    precious.write_text("mine")
    attempt.mkdir()
    folder.mkdir()
    for name in ("log", "backend-output", "running", "exit.json", "outputs"):
        (attempt / name).symlink_to(precious)
    os.mkfifo(attempt / "usage")
    (attempt / "secrets").write_text(f"touch {tmp_path}/stolen\n")
    job = "$(awk '/PPid/ {print $2}' /proc/$PPID/status)"
    task = (
        f"cd {attempt}; trap 'exit 7' TERM; trap '' USR1; rm -f outputs"
        f"; for name in signalled time-limit-signal exit.json usage; do ln -s {precious} $name; done"
        f"; job={job}; kill -XCPU $job; while :; do sleep 0.1; kill -TERM $job; done"
    )
    made = plan(argv=("/bin/sh", "-c", task), workdir=str(tmp_path), env_inherit="none")
    made = replace(made, env={**made.env, "EXP_OUTPUT": str(attempt / "outputs")})
    asked = request({"signal": "USR1@60"}, made)
    line = shim_line(attempt, made, made.argv[0], shim=SHIM)
    member = member_text(made, attempt=attempt, mask="022", env=made.env, arguments=line[1:])
    (folder / "0").write_text(member)
    text = job_script(asked, name="n", folder=folder, indices=(), news=folder / "news")
    (folder / "script").write_text(text)
    done = subprocess.run(["bash", str(folder / "script")], timeout=60, check=False)
    assert done.returncode == 7
    assert (precious.read_text(), (tmp_path / "stolen").exists()) == ("mine", False)
    assert not (attempt / "log").is_symlink()


def test_what_a_member_runs_is_quoted(tmp_path: Path) -> None:
    """Whatever is in arguments and variables, bash reads back the same bytes."""
    text = member_text(
        plan(argv=("echo", NASTY, "two\nlines", ""), defaults=("D",)),
        attempt=FOLDER,
        mask="022",
        env={"A": NASTY, "B": "two\nlines", "D": NASTY},
        arguments=["/shim", NASTY, "two\nlines", ""],
    ) + secrets_text({"T": NASTY})
    member = tmp_path / "member"
    member.write_text(text, encoding="utf-8")
    names = ("_exp_attempt", "_exp_environment[@]", "_exp_command[@]", "_exp_secrets[@]", "_exp_defaults[@]")
    show = '. "$1"; printf "%s\\0" ' + " ".join(f'"${{{name}}}"' for name in names)
    out = subprocess.run(["bash", "-c", show, "bash", str(member)], capture_output=True, check=True).stdout
    assert out.decode().split("\0")[:-1] == [
        str(FOLDER),
        f"A={NASTY}",
        "B=two\nlines",
        "/shim",
        NASTY,
        "two\nlines",
        "",
        f"T={NASTY}",
        f"D={NASTY}",
    ]


# -- what Slurm says ------------------------------------------------------------------------------------


def test_an_answer_of_squeue_is_read_by_its_fields() -> None:
    """Times are numbers or not there, and nothing in a name is taken for another field."""
    fields = ["7_3", "PENDING", "100", "N/A", "N/A", "Resources", "/a b", "/a b/script"]
    line = SEPARATOR.join([*fields, f"a{SEPARATOR}b | c"])
    (row,) = parse_squeue(f"{line}\nthe rest of a name\n")
    assert row == QueueRow(
        job_id="7_3",
        state="PENDING",
        name=f"a{SEPARATOR}b | c",
        submit=100.0,
        reason="Resources",
        folder="/a b",
        command="/a b/script",
    )


def test_an_answer_of_sacct_has_exit_codes() -> None:
    """A signal is told as a shell does, and who cancelled is no part of the state."""
    lines = [
        SEPARATOR.join(["7", "CANCELLED by 0", "100", "101", "102", "0:15", "n"]),
        SEPARATOR.join(["8", "FAILED", "100", "101", "102", "3:0", "n"]),
    ]
    first, second = parse_sacct("\n".join(lines))
    assert (first.state, first.code, first.end) == ("CANCELLED", 143, 102.0)
    assert (second.state, second.code) == ("FAILED", 3)


def test_jobs_of_an_array_that_wait_together_are_told_apart() -> None:
    """An id for several members stands for each of them."""
    assert list(expand("7_[1-3,5%2]")) == ["7_1", "7_2", "7_3", "7_5"]
    assert list(expand("7_4")) == ["7_4"]
    assert list(expand("7+1")) == ["7+1"]


def test_an_id_that_was_given_again_is_told() -> None:
    """A job is ours by its name, and only if it was not submitted long before."""
    row = QueueRow(job_id="7", state="RUNNING", name="n", submit=1_000_000.0)
    assert is_of(row, name="n", made=1_000_050.0)
    assert is_of(replace(row, submit=None), name="n", made=1_000_050.0)
    assert not is_of(row, name="m", made=1_000_050.0)
    assert not is_of(row, name="n", made=2_000_000.0)


@pytest.mark.parametrize("state", sorted(state for state, phase in PHASES.items() if phase == "over"))
def test_every_last_state_is_an_end(state: str) -> None:
    """What Slurm calls over has an end of its own, and only an exit record makes it a success."""
    ending = ending_of(QueueRow(job_id="7", state=state, name="n"))
    assert ending.status in (TaskStatus.FAILED, TaskStatus.CANCELLED)
    assert ending.reason is (
        CAUSES[state][0] if state in CAUSES else Reason.CANCELLED if state == "CANCELLED" else Reason.LOST
    )


def test_every_state_is_in_the_table_of_the_docs() -> None:
    """docs/guides/slurm.md tells what each of Slurm's states is to `exp`."""
    text = (Path(__file__).parents[3] / "docs" / "guides" / "slurm.md").read_text(encoding="utf-8")
    assert [state for state in PHASES if f"`{state}`" not in text] == []


def test_an_estimate_that_moves_a_little_is_no_news() -> None:
    """Slurm moves its estimates all the time: the ledger gets a line only when it matters."""
    before = QueueRow(job_id="7", state="PENDING", name="n", submit=0.0, start=10_000.0, reason="Resources")
    assert not is_news(before, replace(before, start=10_500.0), now=0.0)
    assert is_news(before, replace(before, start=20_000.0), now=0.0)
    assert is_news(before, replace(before, reason="Priority"), now=0.0)


def test_an_estimate_that_slurm_clears_for_a_while_is_no_news() -> None:
    """Slurm's scheduler clears estimates and makes new ones; one that has passed is not kept."""
    without = QueueRow(job_id="7", state="PENDING", name="n", submit=0.0, reason="Resources")
    before = replace(without, start=10_000.0)
    assert not is_news(before, without, now=9_999.0)
    assert is_news(before, without, now=10_001.0)
    assert is_news(without, before, now=9_999.0)
    assert is_news(before, replace(without, reason="Priority"), now=9_999.0)


def test_a_reason_for_waiting_comes_with_a_sentence() -> None:
    """Slurm's code stays, and its meaning follows; a name that explains itself has none."""
    row = QueueRow(job_id="7", state="PENDING", name="n", reason="ReqNodeNotAvail, UnavailableNodes:a1")
    assert waiting_message(row) == (
        "waiting in Slurm's queue: ReqNodeNotAvail, UnavailableNodes:a1"
        " (a node that it needs is down, drained or reserved)"
    )
    assert "lower `time`" in waiting_message(replace(row, reason="PartitionTimeLimit"))
    assert waiting_message(replace(row, reason="Cleaning")) == "waiting in Slurm's queue: Cleaning"


@pytest.mark.parametrize(
    ("folder", "is_array", "expected"),
    [
        ("/e/slurm/1", False, "/e/slurm/1/output"),
        ("/e/slurm/1", True, "/e/slurm/1/output-%a"),
        ("/100%j/slurm/1", True, "/100%%j/slurm/1/output-%a"),
        ("/back\\slash/slurm/1", True, "/dev/null"),
    ],
)
def test_what_slurm_prints_has_a_file(folder: str, is_array: bool, expected: str) -> None:  # noqa: FBT001
    """Each job has its own file beside the script; nothing in its path is a pattern to Slurm."""
    assert output_pattern(PurePosixPath(folder), is_array=is_array) == expected


@pytest.mark.parametrize(
    ("options", "is_excess"),
    [
        ({"time": "2:00:00", "partition": "short"}, True),
        ({"time": "30", "partition": "short"}, False),
        ({"time": "2:00:00", "partition": "short,long"}, False),
        ({"time": "2:00:00"}, False),
        ({"time": "3-0"}, True),
        ({"time": "UNLIMITED", "partition": "short"}, True),
        ({"time": "UNLIMITED", "partition": "free"}, False),
        ({"time": "2:00:00", "partition": "unknown"}, False),
    ],
)
def test_a_time_that_no_partition_allows_is_found(options: dict[str, Any], is_excess: bool) -> None:  # noqa: FBT001
    """It is compared with the limits of those partitions in which the job may run."""
    text = (
        "*** A banner ***\nPartitionName=short Default=NO MaxTime=00:30:00 State=UP\n"
        "PartitionName=long Default=YES MaxTime=1-00:00:00 State=UP\nPartitionName=free MaxTime=UNLIMITED\n"
    )
    found = _excess_time(options, CommandResult(code=0, output=text))
    assert (found is not None) is is_excess


def test_looking_for_what_is_left_does_not_find_itself() -> None:
    """A job is over once its task is: what looks for the rest of it has its environment, too."""
    text = body_text(request({}, plan()), folder=FOLDER, news=FOLDER / "news", index="0")
    definition = re.search(r"^_exp_pids\(\) \{.*?^\}", text, re.DOTALL | re.MULTILINE)
    assert definition
    looks = f"""{definition[0]}
        export EXP_HERE=looked-for _exp_mark=EXP_HERE=looked-for
        for _ in {{1..50}}; do _exp_pids; done
        sleep 60 &
        until [ "$(_exp_pids)" = $! ]; do :; done
        kill $!
    """
    done = subprocess.run(["bash", "-c", looks], capture_output=True, text=True, timeout=60, check=False)
    assert (done.stdout, done.stderr) == ("", "")
