from __future__ import annotations

from typing import TYPE_CHECKING, Any

from nemorun_cli.views.reports.spec_diff import ABSENT, of_values

if TYPE_CHECKING:
    from support.workspace import Exp

SPEC = """
name: study
params: {lr: 0.1}
tasks:
  train:
    inline: 'echo "loss:=$1" >> "$EXP_OUTPUT"; echo "$EXP_DIR" "${{ experiment.id }}"'
    args: ["${{ params.lr }}"]
    env: {HERE: "${{ experiment.dir }}/x"}
  sweep: {command: [echo, "${{ matrix.x }}"], matrix: {x: [1, 2, 3]}, timeout: 60}
  check: {script: check.sh, dependencies: [train]}
"""


def run(exp: Exp, *options: str, script: str = "true", text: str = SPEC, code: int | None = 0) -> str:
    """Run the study and give its id."""
    (exp.folder / "check.sh").write_text(f"{script}\n")
    return exp("run", exp.spec(text), "-q", *options, code=code).stdout.strip()


def test_every_field_that_differs_is_told_once(exp: Exp) -> None:
    """Params, fields of tasks, results and outputs are told; members of a sweep that differ alike in one."""
    one = run(exp)
    other = run(exp, "-p", "lr=0.2", "--set", "tasks.sweep.timeout=90")

    found = exp("diff", one, other, "--json").json

    assert [
        (change["tasks"], change["path"], change["before"], change["after"]) for change in found["spec"]
    ] == [
        ([], "params.lr", 0.1, 0.2),
        (["train"], "args.0", "0.1", "0.2"),
        (["sweep/x=1", "sweep/x=2", "sweep/x=3"], "timeout", 60.0, 90.0),
    ]
    assert [(entry["task"], entry["after"]["outputs"]) for entry in found["results"]] == [
        ("train", {"loss": 0.2})
    ]
    assert found["environment"] == []
    told = exp("diff", one, other).stdout
    assert "sweep (3 members): timeout" in told
    assert "train: loss" in told


def test_what_is_each_experiments_own_is_no_difference(exp: Exp) -> None:
    """Ids, directories and times differ always and are passed over."""
    assert exp("diff", run(exp), run(exp)).stdout == "no differences\n"


def test_tasks_and_scripts_that_differ_are_told(exp: Exp) -> None:
    """Tasks that only one has are named, and scripts are compared by what they hold."""
    one = run(exp)
    text = SPEC.replace("  sweep:", "  swept:")
    other = run(exp, script="false", text=text, code=1)

    found = exp("diff", one, other, "--json").json

    assert found["removed"] == ["sweep/x=1", "sweep/x=2", "sweep/x=3"]
    assert found["added"] == ["swept/x=1", "swept/x=2", "swept/x=3"]
    changed = {change["path"]: change for change in found["spec"]}
    assert changed["text of the script"]["after"] == "false\n"
    (result,) = found["results"]
    assert (result["task"], result["after"]["status"], result["after"]["exit_code"]) == ("check", "FAILED", 1)


def test_the_environment_of_the_start_is_compared(exp: Exp) -> None:
    """What is recorded of the environment is told where it was another one."""
    one = run(exp)
    (exp.folder / "check.sh").write_text("true\n")
    other = exp("run", exp.spec(SPEC), "-q", env={"CONDA_PREFIX": "/opt/other"}).stdout.strip()

    (change,) = exp("diff", one, other, "--json").json["environment"]

    assert (change["path"], change["after"]) == ("CONDA_PREFIX", "/opt/other")


def test_values_are_compared_with_their_types() -> None:
    """1, true and "1" are three values; lists of one length are compared item by item, others as a whole."""
    cases: list[tuple[Any, Any, Any]] = [
        ({"a": 1}, {"a": True}, [(("a",), 1, True)]),
        ({"a": "1"}, {"a": 1}, [(("a",), "1", 1)]),
        ({"a": [1, 2]}, {"a": [1, 3]}, [(("a", 1), 2, 3)]),
        ({"a": [1]}, {"a": [1, 3]}, [(("a",), [1], [1, 3])]),
        ({"a": None}, {}, [(("a",), None, ABSENT)]),
        ({"a": {"b": 1}}, {"a": {"b": 1, "c": 2}}, [(("a", "c"), ABSENT, 2)]),
        ({"a": 0.1}, {"a": 0.1}, []),
    ]
    for before, after, wanted in cases:
        assert list(of_values(before, after)) == wanted


def test_what_is_not_there_is_told(exp: Exp) -> None:
    """An experiment that does not exist is an error with its exit code."""
    exp("diff", run(exp), "nothing", code=3)
