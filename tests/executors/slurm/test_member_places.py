"""Where members of a group run, as their jobs know it: nodes of steps, and lists of nodes in the script."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nemorun_cli.executors import Job
from nemorun_cli.executors.slurm.dependency import Batch
from nemorun_cli.executors.slurm.job_script_templates import MEMBER_HOSTS
from nemorun_cli.executors.slurm.member_places import NodeSlice, nodes, words
from nemorun_cli.executors.slurm.sbatch_options import Request
from nemorun_cli.model.plan import Plan
from nemorun_cli.storage.paths import AttemptFiles

if TYPE_CHECKING:
    from collections.abc import Mapping

WHOLE = "SLURM_JOB_NODELIST"
COMPONENT = "SLURM_JOB_NODELIST_HET_GROUP_{}"


def job(name: str, *arguments: str, members: tuple[str, ...] = ("a", "b.1")) -> Job:
    """An attempt of a member, with arguments for srun."""
    plan = Plan(
        experiment="e",
        task=f"g/{name}",
        attempt=1,
        executor="cluster",
        kind="command",
        argv=("srun", *arguments, "--", "true"),
        workdir="/",
        folder="/",
        env={},
        stop_signal="TERM",
        stop_grace=1,
        company="g",
        peers={f"g/{member}": member for member in members},
    )
    return Job(experiment="e", task=plan.task, attempt=1, files=AttemptFiles(Path("/x")), plan=plan)


def batch(*each: list[str], arguments: tuple[str, ...] = ()) -> Batch:
    """The job of a co-scheduled group whose two members ask for these options."""
    requests = tuple(Request(options=tuple(options)) for options in each)
    return Batch([job("a", *arguments), job("b.1", *arguments)], requests[0], each=requests)


@pytest.mark.parametrize(
    ("made", "places"),
    [
        (batch(["--nodes=2"], ["--nodes=2"]), [NodeSlice(WHOLE, 0, 2), NodeSlice(WHOLE, 2, 2)]),
        (batch(["--exclusive"], ["--exclusive"]), [NodeSlice(WHOLE, 0, 1), NodeSlice(WHOLE, 1, 1)]),
        (batch(["--cpus-per-task=2"], ["--cpus-per-task=2"]), [NodeSlice(WHOLE, length=1)] * 2),
        (batch(["--nodes=2", "--ntasks=4"], ["--nodes=2", "--ntasks=4"]), [NodeSlice(WHOLE, length=1)] * 2),
        (batch(["--mem=1G"], ["--mem=2G"]), [NodeSlice(COMPONENT.format(0)), NodeSlice(COMPONENT.format(1))]),
        (batch(["--nodes=1-2"], ["--nodes=1-2"]), [NodeSlice(COMPONENT.format(n)) for n in (0, 1)]),
        (Batch([job("a"), job("b.1")], Request(options=("--nodes=2",))), [NodeSlice(WHOLE)] * 2),
    ],
)
def test_the_places_of_members(made: Batch, places: list[NodeSlice]) -> None:
    """Own nodes are a part of the job's, a component has a list; of a shared one, only a sole node counts."""
    assert nodes(made) == places


@pytest.mark.parametrize("argument", ["--nodelist=x", "--nodel=x", "-wx", "-N1", "--exclude=y", "--rel=1"])
def test_nodes_that_the_user_chooses_are_left_to_srun(argument: str) -> None:
    """Arguments of srun that choose nodes conflict with ours, abbreviated too; others do not."""
    each = [["--nodes=1"], ["--nodes=1"]]
    assert nodes(batch(*each, arguments=(argument,))) == [NodeSlice(WHOLE, length=1)] * 2
    assert nodes(batch(*each, arguments=("--mpi=none", "-v", "--no-kill")))[1].first == 1


def test_a_job_knows_the_members_that_it_runs() -> None:
    """A member that is alone in its job, as an attempt of a retry, knows only its own nodes."""
    together = batch(["--nodes=1"], ["--nodes=1"])
    found = words(together, 1, nodes(together), {})
    assert found == ["a", "EXP_HOST_A", WHOLE, "0", "1", "b.1", "EXP_HOST_B_1", WHOLE, "1", "1"]
    alone = Batch([job("a"), job("b.1")], Request(options=()))
    assert words(alone, 1, nodes(alone), {}) == ["b.1", "EXP_HOST_B_1", WHOLE, "", ""]
    retry = words(
        Batch([job("b.1")], Request(options=())), 0, [NodeSlice(WHOLE)], {"g/a": Path("/e/g/a/attempt-1")}
    )
    assert retry[5:] == ["a", "EXP_HOST_A", "/e/g/a/attempt-1", "", ""]
    other = Batch([job("a", members=())], Request(options=()))
    assert words(other, 0, nodes(other), {}) == []


def found(peers: str, **lists: str) -> Mapping[str, str]:
    """The variables that the text of a script sets, where the job has these lists of nodes."""
    names = {"variable": "EXP_GROUP_HOSTS", "running": "running", "hosts": "hosts"}
    text = MEMBER_HOSTS.format(longest=1000, peers=f"own {peers}", **names)
    show = f'_exp_environment=()\n{text}printf "%s\\0" "${{_exp_environment[@]}}"'
    done = subprocess.run(["bash", "-euc", show], env=lists, capture_output=True, text=True, check=True)
    return dict(pair.split("=", 1) for pair in done.stdout.split("\0") if pair)


@pytest.mark.parametrize(
    ("nodelist", "hosts"),
    [
        ("login", ["login"]),
        ("gpu[03-05,9]-ib,login", ["gpu03-ib", "gpu04-ib", "gpu05-ib", "gpu9-ib", "login"]),
        ("r[1-2]n[09-10]", ["r1n09", "r1n10", "r2n09", "r2n10"]),
        ("n[098-101]", ["n098", "n099", "n100", "n101"]),
    ],
)
def test_lists_of_nodes_are_expanded(nodelist: str, hosts: list[str]) -> None:
    """The names of all hosts are given in order, and the first one by itself."""
    variables = found("a EXP_HOST_A L '' ''  b EXP_HOST_B L 1 2  c EXP_HOST_C L '' 1", L=nodelist)
    expected = {"a": hosts, "b": hosts[1:3], "c": hosts if len(hosts) == 1 else []}
    known = {
        name: places for name, places in expected.items() if places and (name != "b" or len(places) == 2)
    }
    assert json.loads(variables["EXP_GROUP_HOSTS"]) == known
    assert {name: value for name, value in variables.items() if name != "EXP_GROUP_HOSTS"} == {
        f"EXP_HOST_{name.upper()}": places[0] for name, places in known.items()
    }


def test_what_is_not_known_is_left_out() -> None:
    """No list, an unusual one or one that is too long gives no variable, and the script goes on."""
    assert found("a EXP_HOST_A L '' ''") == {}
    assert found("a EXP_HOST_A L '' ''", L="n[1-3") == {}
    assert found("a EXP_HOST_A L '' ''", L="n[1-900]") == {}


@pytest.mark.parametrize("content", ["n1,n2\n", 'n1","x\n', "", None])
def test_a_member_in_another_job_is_found_while_it_runs(tmp_path: Path, content: str | None) -> None:
    """Its hosts are in the folder of its attempt; what a task may have put there instead is ignored."""
    hosts, peers = tmp_path / "hosts", f"a EXP_HOST_A {tmp_path} '' ''"
    if content is None:
        os.mkfifo(hosts)
    else:
        hosts.write_text(content)
    assert found(peers) == {}
    (tmp_path / "running").touch()
    known = {"EXP_GROUP_HOSTS": '{"a": ["n1", "n2"]}', "EXP_HOST_A": "n1"}
    assert found(peers) == (known if content == "n1,n2\n" else {})
    hosts.rename(tmp_path / "elsewhere")
    hosts.symlink_to("elsewhere")
    assert found(peers) == {}


@settings(max_examples=15)
@given(
    st.lists(
        st.tuples(st.sampled_from(["n", "gpu-a", "x1y"]), st.integers(0, 120), st.integers(0, 4)), max_size=4
    )
)
def test_ranges_are_expanded_as_they_were_made(ranges: list[tuple[str, int, int]]) -> None:
    """What is written as ranges is read as the names that were in them."""
    texts = [f"{name}[{first:03}-{first + more:03}]" for name, first, more in ranges]
    hosts = [
        f"{name}{number:03}" for name, first, more in ranges for number in range(first, first + more + 1)
    ]
    variables = found("a EXP_HOST_A L '' ''", L=",".join(texts))
    assert json.loads(variables.get("EXP_GROUP_HOSTS", '{"a": []}'))["a"] == hosts
