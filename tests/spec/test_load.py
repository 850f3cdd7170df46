from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from nemorun_cli import executors
from nemorun_cli.errors import SpecError
from nemorun_cli.executors import known
from nemorun_cli.executors.executor_types import ExecutorTypes
from nemorun_cli.model.spec import Identity, Spec, Task
from nemorun_cli.spec import load

if TYPE_CHECKING:
    from pathlib import Path

    from nemorun_cli.model.resources import Resources

Read = Callable[..., Spec]
Refused = Callable[..., list[str]]
IDENTITY = Identity("x_1", "x", "/experiments/x/x_1")


def types(*names: str, schema: Callable[[str], Mapping[str, Any] | None]) -> ExecutorTypes:
    """Types of executors of a test's own."""
    return ExecutorTypes(names=lambda: names, options_schema=schema, capabilities=executors.capabilities)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "a.sh").write_text("echo\n")
    (tmp_path / "sub").mkdir()
    (tmp_path / "mod.py").write_text("import os\nfrom re import *\ndef f(): ...\nclass Net: ...\n")
    (tmp_path / "exact.py").write_text("def one(x): ...\n")
    (tmp_path / "strict.py").write_text(
        "raise SystemExit\nX = 1\ntry:\n    g = 1\nexcept OSError:\n    h = 2\n"
    )
    return tmp_path


@pytest.fixture
def read(folder: Path) -> Read:
    def resolved(text: str, **options: Any) -> Spec:
        (folder / "spec.yaml").write_text(text)
        return load.resolve(load.read(folder / "spec.yaml", **options), IDENTITY)

    return resolved


@pytest.fixture
def refused(read: Read, folder: Path) -> Refused:
    def problems(text: str, **options: Any) -> list[str]:
        with pytest.raises(SpecError) as caught:
            read(text, **options)
        return [str(problem).replace(f"{folder}/", "") for problem in caught.value.problems]

    return problems


def by_id(spec: Spec) -> dict[str, Task]:
    return {task.id: task for task in spec.tasks}


def test_smallest_spec_is_one_task(read: Read, folder: Path) -> None:
    """A spec needs nothing but a task: it is named after its file and runs here, in its own folder."""
    spec = read("tasks: {a: {inline: echo}}")

    (task,) = spec.tasks
    assert (spec.name, spec.folder) == ("spec", str(folder))
    assert (task.kind, task.body, task.executor, task.workdir) == ("inline", "echo", "local", str(folder))
    assert task.entrypoint == ("bash", "-e", "-o", "pipefail")
    assert spec.executors == {"local": {"type": "local"}}


@pytest.mark.parametrize(
    ("given", "seconds"), [("30s", 30.0), ("1h30m", 5400.0), ("1", 1.0), ("true", 30.0), ("false", None)]
)
def test_samples_are_taken_at_an_interval(read: Read, given: str, seconds: float | None) -> None:
    """`tracking.system` is a duration, or whether samples are taken; the resolved spec keeps the seconds."""
    spec = read(f"tasks: {{a: {{inline: ':'}}}}\ntracking: {{system: {given}}}")
    assert spec.sampling == seconds
    assert Spec.from_json(spec.to_json()).sampling == seconds


@pytest.mark.parametrize("given", ["0", "0.5", "500ms", "0.9s", "often", "''", "null", "[1s]", "{every: 1s}"])
def test_an_interval_of_samples_is_a_duration_of_a_second_or_more(read: Read, given: str) -> None:
    """What is none is a problem that names the key and what it takes."""
    with pytest.raises(SpecError, match=r"tracking\.system: must be .*at least 1s"):
        read(f"tasks: {{a: {{inline: ':'}}}}\ntracking: {{system: {given}}}")


def test_kinds_have_their_bodies(read: Read, folder: Path) -> None:
    """A script is a path from the spec's folder, a command a list of words, a partial module:function."""
    tasks = by_id(
        read(
            "tasks:\n"
            "  s: {script: a.sh, args: [1, 3.10, 'a b', true]}\n"
            "  c: {command: \"echo 'a b' 1\"}\n"
            "  l: {command: [echo, 3.10, x y]}\n"
            "  p: {partial: 'mod:f', args: {x: 3.10, net: {_target_: 'mod:Net'}}}\n"
            "  e: {inline: x, entrypoint: 'python -u'}\n"
        )
    )

    assert tasks["s"].body == str(folder / "a.sh")
    assert tasks["s"].args == ("1", "3.10", "a b", "true")
    assert tasks["c"].body == ("echo", "a b", "1")
    assert tasks["l"].body == ("echo", "3.10", "x y")
    assert tasks["p"].args == {"x": 3.1, "net": {"_target_": "mod:Net"}}
    assert tasks["p"].entrypoint == ("python3",)
    assert tasks["e"].entrypoint == ("python", "-u")


def test_groups_become_members(read: Read) -> None:
    """Members are `<group>/<number>` or `<group>/<name>`, and a group as a dependency is all of them."""
    spec = read(
        "executors: {box: {type: local}}\n"
        "tasks:\n"
        "  e: {group: [{inline: x}, {inline: y, name: val}], executor: [local, box], fail_fast: true}\n"
        "  r: {inline: z, dependencies: [e]}\n"
        "  s: {inline: z, dependencies: [e/val]}\n"
    )

    tasks = by_id(spec)
    assert [task.index for task in spec.tasks] == [0, 1, 2, 3]
    assert (tasks["e/0"].executor, tasks["e/val"].executor) == ("local", "box")
    assert tasks["r"].dependencies == ("e/0", "e/val")
    assert tasks["s"].dependencies == ("e/val",)
    assert spec.groups[0].members == ("e/0", "e/val")
    assert spec.groups[0].fail_fast


def test_later_layers_win_key_by_key(read: Read, folder: Path) -> None:
    """Environments merge from executor, env file, env, defaults, group to member; lists are replaced."""
    (folder / ".env").write_text("F=file\nE=file\nQ='$HOME'\n")
    task = by_id(
        read(
            "executors: {x: {type: local, env: {X: x, F: x}, env_inherit: none}}\n"
            "executor: x\n"
            "env_file: .env\n"
            "env: {E: env, D: env}\n"
            "defaults:\n"
            "  env: {D: defaults, G: defaults}\n"
            "  retry: {limit: 1, delay: 5s}\n"
            "  artifacts: [a]\n"
            "  timeout: 1h\n"
            "tasks:\n"
            "  g:\n"
            "    env: {G: group, M: group}\n"
            "    group: [{inline: x, env: {M: member}, retry: {limit: 3, on: oom}, artifacts: [b]}]\n"
        )
    )["g/0"]

    assert task.env == {
        "X": "x",
        "F": "file",
        "Q": "$HOME",
        "E": "env",
        "D": "defaults",
        "G": "group",
        "M": "member",
    }
    assert (task.retry.limit, task.retry.delay, task.retry.on) == (3, 5.0, ("oom",))
    assert task.artifacts == ("b",)
    assert task.timeout == 3600
    assert task.env_inherit == "none"


def test_environment_values_stay_as_they_are_written(read: Read) -> None:
    """Numbers and booleans in env become the text that was written."""
    (task,) = read("tasks: {a: {inline: x, env: {A: 1.0, B: 3.10, C: true, D: on, E: 0x1F, F: 010}}}").tasks

    assert task.env == {"A": "1.0", "B": "3.10", "C": "true", "D": "on", "E": "0x1F", "F": "010"}


def test_secrets_are_named_and_never_resolved(read: Read, folder: Path) -> None:
    """A secret has a source; its value is not read, and a later layer's plain variable replaces it."""
    (folder / "s.env").write_text("S=topsecret\n")
    spec = read(
        "secrets: {A: {env: NOT_SET}, B: {file: token}, C: {command: 'pass show \"a b\"'}}\n"
        "tasks:\n"
        "  a: {inline: x, env_file: {path: s.env, secret: true}}\n"
        "  b: {inline: x, env: {A: plain}}\n"
    )

    tasks = by_id(spec)
    assert set(tasks["a"].secrets) == {"A", "B", "C", "S"}
    assert set(tasks["b"].secrets) == {"B", "C"}
    assert tasks["b"].env == {"A": "plain"}
    assert spec.secrets["B"] == {"file": str(folder / "token")}
    assert spec.secrets["C"] == {"command": ["pass", "show", "a b"]}
    assert spec.secrets["S"] == {"env_file": str(folder / "s.env")}
    assert "topsecret" not in repr(spec)


def test_expressions_are_filled_at_once_where_they_can_be(read: Read) -> None:
    """Params, env and the experiment are put in when the spec is resolved; outputs wait."""
    task = by_id(
        read(
            "params: {n: 3, ver: 3.10}\n"
            "env: {A: '${{ params.ver }}', B: '${{ env.A }}/b'}\n"
            "tasks:\n"
            "  a: {inline: 'echo ${{ params.n }} ${{ env.A }}'}\n"
            "  b:\n"
            "    command: 'run ${{ params.n }} ${{ tasks.a.outputs.x }}'\n"
            "    timeout: ${{ params.n }}\n"
            "    env: {DIR: '${{ experiment.dir }}/x', N: '${{ params.n }}'}\n"
            "    when: ${{ params.n > 2 }}\n"
            "    dependencies: [a]\n"
        )
    )

    assert task["a"].body == "echo 3 3.10"
    assert task["b"].body == ("run", "3", "${{ tasks.a.outputs.x }}")
    assert task["b"].late == ("/body/2",)
    assert task["b"].env == {"A": "3.10", "B": "3.10/b", "DIR": "/experiments/x/x_1/x", "N": "3"}
    assert (task["b"].timeout, task["b"].when) == (3.0, True)


def test_when_that_needs_outputs_waits(read: Read) -> None:
    """A `when` that names outputs is kept as it is written and is no late text."""
    task = by_id(
        read(
            "tasks: {a: {inline: x}, b: {inline: x, dependencies: [a], when: '${{ tasks.a.outputs.n > 1 }}'}}"
        )
    )["b"]

    assert task.when == "${{ tasks.a.outputs.n > 1 }}"
    assert task.late == ()


def test_texts_from_values_are_never_late(read: Read) -> None:
    """A param that looks like an expression is put in and is not listed as one."""
    (task,) = read(
        "params: {p: x}\ntasks: {a: {command: [echo, '${{ params.p }}']}}",
        params=["p=${{ tasks.a.outputs.x }}"],
    ).tasks

    assert task.body == ("echo", "${{ tasks.a.outputs.x }}")
    assert task.late == ()


def test_document_is_resolved_for_each_identity(folder: Path) -> None:
    """One document gives a spec for each experiment that it becomes."""
    (folder / "spec.yaml").write_text("tasks: {a: {inline: 'echo ${{ experiment.id }}'}}")
    document = load.read(folder / "spec.yaml")

    bodies = [load.resolve(document, Identity(name, "x", "/")).tasks[0].body for name in ("x_1", "x_2")]

    assert bodies == ["echo x_1", "echo x_2"]


@pytest.mark.parametrize("value", ["0", "0s", "'0'", "0.0", "'${{ params.n }}'"])
def test_a_timeout_of_nothing_is_refused_everywhere(refused: Refused, value: str) -> None:
    """A timeout of 0 would mean none to some and at once to others: how to have none is told."""
    problems = refused(
        f"params: {{n: 0}}\nrun: {{timeout: {value}}}\ntasks:\n  a: {{inline: x, timeout: {value}}}\n"
        f"on_exit: {{h: {{inline: x, timeout: {value}}}}}\n"
    )
    assert len(problems) == 3
    for problem in problems:
        assert "timeout: must be longer than 0" in problem
        assert "for no limit, leave the key out, or write a long one, such as 365d" in problem


def test_all_problems_are_told_at_once_in_the_order_of_the_file(refused: Refused) -> None:
    """Form, meaning and expressions are checked together, each cause is told once, first line first."""
    problems = refused(
        "nam: x\n"
        "executor: moon\n"
        "env: {A: '${{ parms.x }}'}\n"
        "tasks:\n"
        "  a: {inline: x, retry: 3, dependencies: [b, zz]}\n"
        "  b: {script: nope.sh, dependencies: [a]}\n"
        "  c: {inline: x, workdir: nowhere, timeout: soon}\n"
    )

    assert [problem.partition(": ")[0] for problem in problems] == [
        "spec.yaml:1:1",
        "spec.yaml:2:11",
        "spec.yaml:3:11",
        "spec.yaml:5:25",
        "spec.yaml:5:42",
        "spec.yaml:5:46",
        "spec.yaml:6:15",
        "spec.yaml:7:27",
        "spec.yaml:7:45",
    ]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "tasks: {a: {inline: x, executor: moon}}\nexecutors: {cluster: {type: local}}",
            "tasks.a.executor: no executor is called 'moon' (there are: local, cluster)",
        ),
        (
            "tasks: {a: {inline: x, dependencies: [trian]}, train: {inline: x}}",
            "no task is called 'trian' (did you mean",
        ),
        ("tasks: {a: {inline: x, dependencies: [a]}}", "a cannot depend on itself"),
        ("tasks: {a: {inline: x}, b: {inline: x, dependencies: [a, a]}}", "a is named twice"),
        ("tasks: {g: {group: [{inline: x}], dependencies: [g/0]}}", "g cannot depend on itself"),
        (
            (
                "tasks:\n"
                "  a: {inline: x, dependencies: [c]}\n"
                "  b: {inline: x, dependencies: [a]}\n"
                "  c: {inline: x, dependencies: [b]}\n"
            ),
            "tasks.a.dependencies: is a cycle: a -> c -> b -> a",
        ),
        ("tasks: {g: {group: [{inline: x}], executor: [local, local]}}", "names 2 executors for 1 members"),
        ("tasks: {a: {inline: x, executor: [local]}}", "is a list, which only a group can have"),
        ("tasks: {a: {inline: x, fail_fast: true}}", "applies only to groups and tasks with a matrix"),
        (
            "tasks: {a: {inline: x, until: any}}",
            "tasks.a.until: applies only to groups and tasks with a matrix",
        ),
        (
            "tasks: {g: {until: clent, group: [{inline: x, name: client}]}}",
            "tasks.g.until: names no member of the group: 'clent' (did you mean client?",
        ),
        (
            "tasks: {g: {until: 1, group: [{inline: x}]}}",
            "names no member of the group: '1' (there are: 0, all",
        ),
        ("tasks: {g: {until: any, group: [{inline: x, name: any}]}}", "is unclear: a member is called any"),
        (
            "tasks: {g: {until: any, matrix: {a: [1]}, group: [{inline: x}]}}",
            "of a group with a matrix can only be all in this version",
        ),
        ("tasks: {g: {until: a=1, matrix: {a: [1]}, inline: x}}", "can only be all or any in this version"),
        ("tasks: {a: {command: x, entrypoint: sh}}", "does not apply to a command"),
        ("tasks: {a: {inline: x, args: {b: 1}}}", "must be a list for inline"),
        ("tasks: {a: {partial: 'mod:f', args: [1]}}", "must be a mapping for a partial"),
        ("tasks: {a: {script: sub}}", "is a folder"),
        ("tasks: {a: {script: none.sh}}", "there is no file none.sh"),
        ("tasks: {a: {inline: x, workdir: none}}", "there is no folder none"),
        ("tasks: {a: {partial: 'strict:gg'}}", "there is no 'gg' in"),
        ("tasks: {a: {partial: 'modd:f'}}", "there is no module 'modd'"),
        (
            "tasks: {a: {partial: mod.sub.f}}",
            'must be module:function, not "mod.sub.f" (did you mean mod.sub:f?)',
        ),
        ("tasks: {a: {partial: 'mod.sub:f'}}", "there is no module 'mod.sub'"),
        ("tasks: {a: {partial: 'strict:nope'}}", "there is no 'nope' in strict.py (there are: X, g, h)"),
        (
            "tasks: {a: {partial: 'strict:X', args: {m: [{_target_: 'strict:Net'}]}}}",
            "tasks.a.args.m.0._target_",
        ),
        (
            "tasks: {g: {group: [{partial: 'exact:one'}]}}",
            "tasks.g.group.0.partial: one needs the argument 'x'",
        ),
        ("tasks: {a: {partial: 'exact:one'}}", "tasks.a.partial: one needs the argument 'x'"),
        (
            "tasks: {a: {partial: 'mod:f', args: {a: {_same_: 1}, b: {_target_: 'mod:f', _id_: 1}}}}",
            "tasks.a.args.a._same_: no earlier argument has _id_: 1",
        ),
        (
            "tasks: {a: {partial: 'mod:f', args: {_args_: [{_target_: 'mod:f', _id_: 1, x: {_same_: 1}}]}}}",
            "tasks.a.args._args_.0.x._same_: no earlier argument has _id_: 1",
        ),
        ('tasks: {a: {command: "echo \'x"}}', "cannot be split"),
        ('tasks: {a: {command: ["a\\0b"]}}', "holds a NUL"),
        ('tasks: {a: {inline: x, env: {A: "a\\0b"}}}', "holds a NUL"),
        ("tasks: {a: {inline: x, env_file: none.env}}", "there is no file none.env"),
        ("tasks: {a: {inline: x, when: 'true'}}", "must be an expression that gives a boolean"),
        ("tasks: {a: {inline: x, when: '${{ 1 }}'}}", "evaluates to 1, not true or false"),
        ("run: {direct: true, detach: true}\ntasks: {a: {inline: x}}", "is not possible with run.detach"),
        ("run: {direct: true}\ntasks: {g: {group: [{inline: x}]}}", "is not possible with groups (g)"),
        (
            "run: {sequential: true}\ntasks: {a: {inline: x}, b: {inline: x, dependencies: [a]}}",
            "run.sequential",
        ),
        ("executors: {x: {type: dokcer}}\ntasks: {a: {inline: x}}", "no type of executor is called 'dokcer'"),
        (
            "executors: {x: {type: local, image: y}}\ntasks: {a: {inline: x}}",
            "executors.x.image: unknown key 'image'",
        ),
        ("tasks: {a: {inline: x}, b: {inline: '${{ tasks.a.outputs.x }}'}}", "b does not depend on a"),
        ("tasks: {a: {inline: '${{ tasks.a.outputs.x }}'}}", "a does not depend on a"),
        (
            "tasks: {a: {inline: x}, b: {inline: x, dependencies: [a], timeout: '${{ tasks.a.outputs.x }}'}}",
            "not known yet",
        ),
        ("env: {A: '${{ tasks.a.outputs.x }}'}\ntasks: {a: {inline: x}}", "not known yet"),
        (
            "params: {p: 'a b'}\ntasks: {a: {inline: 'echo ${{ params.p }}'}}",
            "cannot be put into an inline script",
        ),
        (
            "tasks: {a: {inline: x, secrets: {S: {env: A}}}, b: {inline: x, secrets: {S: {env: B}}}}",
            "has another source",
        ),
        ('tasks: {a: {command: x, launcher: {wrap: "a \'"}}}', "launcher: wrap: cannot be split: no closing"),
        (
            'tasks: {a: {command: x, secrets: {S: {command: "a \'"}}}}',
            "secrets.S.command: cannot be split: no closing quotation",
        ),
        ("- a", "must be a mapping with tasks in it"),
        ("", "is empty"),
        ("name: a/b\ntasks: {a: {inline: x}}", "name: must be a name"),
        ("name: " + "a" * 300 + "\ntasks: {a: {inline: x}}", "a name"),
        ("tasks: {a: {inline: x}, a: {inline: y}}", "duplicate key 'a'"),
    ],
)
def test_each_wrong_meaning_is_one_problem(refused: Refused, text: str, expected: str) -> None:
    """What cannot be meant is told once, with what there is or what to do."""
    (problem,) = refused(text)

    assert expected in problem


@pytest.mark.parametrize(
    "executor",
    [
        "{type: slurm, setup_lines: 'module load ${{ params.p }}'}",
        "{type: slurm, setup_lines: [set -e, '${{ params.p }}']}",
        "{type: docker, image: i, healthcheck: {test: 'curl ${{ params.p }}'}}",
        "{type: docker, image: i, healthcheck: {test: [CMD-SHELL, '${{ params.p }}']}}",
    ],
)
def test_values_in_shell_text_of_executors_are_plain_words(
    read: Read, refused: Refused, executor: str
) -> None:
    """A value that a shell could act on is not put into shell text; a plain word is."""
    spec = f"executors: {{c: {executor}}}\ntasks: {{a: {{command: x, executor: c}}}}\nparams: {{p: PARAM}}\n"
    for value in ("x; id", "$(id)", "a b", "`id`", "a\\nb"):
        problems = refused(spec.replace("PARAM", f'"{value}"'))
        assert any("cannot be put into shell text" in problem for problem in problems)
    read(spec.replace("PARAM", "cuda/12.4"))


def test_file_whose_name_is_none_needs_a_name_in_the_spec(folder: Path) -> None:
    """A spec without a name is named after its file, so that has to be one."""
    path = folder / "my spec.yaml"
    path.write_text("tasks: {a: {inline: x}}")

    with pytest.raises(SpecError) as caught:
        load.read(path)
    assert "'my spec', is not valid for an experiment" in str(caught.value.problems[0])


def test_task_may_use_outputs_of_what_it_waits_for_indirectly(read: Read) -> None:
    """Outputs of a dependency's dependency, and of a group's every member, can be used."""
    task = by_id(
        read(
            "tasks:\n"
            "  a: {group: [{inline: x}, {inline: y}]}\n"
            "  b: {inline: x, dependencies: [a]}\n"
            "  c:\n"
            "    inline: x\n"
            "    dependencies: [b]\n"
            "    env: {X: '${{ tasks.a.outputs }}', Y: '${{ tasks.a/1.outputs.n }}'}\n"
        )
    )["c"]

    assert task.late == ("/env/X", "/env/Y")


def test_outputs_of_one_member_do_not_stand_for_the_group(refused: Refused) -> None:
    """Who waits for one member cannot use the outputs of the whole group."""
    (problem,) = refused(
        "tasks: {a: {group: [{inline: x}, {inline: y}]}, "
        "b: {inline: '${{ tasks.a.outputs | length }}', dependencies: [a/0]}}"
    )

    assert "b does not depend on a" in problem


def test_sequential_chains_in_the_order_of_the_file(read: Read) -> None:
    """Each task waits for the one before; a group counts as one."""
    tasks = by_id(
        read(
            "run: {sequential: true}\n"
            "tasks: {z: {inline: x}, g: {group: [{inline: x}, {inline: y}]}, a: {inline: x}}"
        )
    )

    assert tasks["g/1"].dependencies == ("z",)
    assert tasks["a"].dependencies == ("g/0", "g/1")


DIAMOND = """
tasks:
  a: {inline: x}
  g: {group: [{inline: x}, {inline: y}], dependencies: [a]}
  c: {inline: z, dependencies: [g]}
"""


@pytest.mark.parametrize(
    ("only", "ids"),
    [(["c"], ["c"]), (["g"], ["g/0", "g/1"]), (["g/1", "c"], ["g/1", "c"]), ([], ["a", "g/0", "g/1", "c"])],
)
def test_only_takes_the_named_tasks_alone(read: Read, only: list[str], ids: list[str]) -> None:
    """`--only` leaves out all other tasks, and what depended on them waits for nothing."""
    spec = read(DIAMOND, only=only)

    assert [task.id for task in spec.tasks] == ids
    assert [task.index for task in spec.tasks] == list(range(len(ids)))
    assert all(set(task.dependencies) <= set(ids) for task in spec.tasks)


def test_only_keeps_the_order_through_what_it_leaves_out(read: Read) -> None:
    """A task waits for those that it depends on through left-out tasks, and may use their outputs."""
    spec = read(
        "tasks:\n"
        "  a: {inline: x}\n"
        "  b: {inline: x, dependencies: [a]}\n"
        "  m: {group: [{inline: x}, {inline: y}], dependencies: [b]}\n"
        "  c: {command: [echo, '${{ tasks.a.outputs.v }}'], dependencies: [m]}\n",
        only=["a", "c"],
    )

    assert {task.id: task.dependencies for task in spec.tasks} == {"a": (), "c": ("a",)}


def test_only_keeps_the_order_of_sequential(read: Read) -> None:
    """What `run.sequential` puts one after the other stays so when tasks between are left out."""
    spec = read(
        "run: {sequential: true}\ntasks: {a: {inline: x}, b: {inline: x}, c: {inline: x}}", only=["a", "c"]
    )

    assert by_id(spec)["c"].dependencies == ("a",)


def test_what_is_left_out_need_not_be_had(read: Read, refused: Refused) -> None:
    """Whether resources can ever be had is asked of the chosen tasks only."""
    text = (
        "defaults: {resources: {cpus: 64}}\n"
        "tasks:\n"
        "  a: {inline: x, resources: {cpus: 1}}\n"
        "  g: {together: true, group: [{inline: x}, {inline: y}]}"
    )

    def why_unsatisfiable(name: str, options: Mapping[str, Any], wanted: Resources) -> str | None:
        del name, options
        return "has 2 CPUs" if (wanted.cpus or 0) > 2 else None

    asked = replace(known(ask=False), why_unsatisfiable=why_unsatisfiable)
    assert [task.id for task in read(text, only=["a"], executors=asked).tasks] == ["a"]
    assert all("has 2 CPUs" in problem for problem in refused(text, only=["g"], executors=asked))


@pytest.mark.parametrize("matrix", ["", "matrix: {x: [1, 2]}, "])
def test_members_of_one_name_are_one_problem(refused: Refused, matrix: str) -> None:
    """Two members of a group cannot have one name, for the one would take the other's place."""
    text = (
        f"tasks:\n  train: {{{matrix}group: [\n"
        "    {name: a, inline: exit 1},\n    {inline: x},\n    {name: a, inline: echo}]}"
    )

    (problem,) = refused(text)
    assert problem.startswith("spec.yaml:5:12: tasks.train.group.2.name: two members of train are called 'a'")
    assert problem.endswith("(give each member a name of its own)")


def test_name_of_a_member_does_not_vary(refused: Refused) -> None:
    """The members of a group are the same for all combinations of a matrix."""
    (problem,) = refused(
        "tasks: {t: {matrix: {x: [1, 2]}, group: [{name: 'a${{ matrix.x }}', inline: x}, {inline: x}]}}"
    )

    assert "tasks.t.group.0.name: a${{ matrix.x }} is not known" in problem


def test_only_of_an_unknown_task_is_a_problem_of_the_option(refused: Refused) -> None:
    """A task that is not there is named with the option."""
    assert refused(DIAMOND, only=["x"]) == ["--only x: no task is called 'x' (there are: a, c, g, g/0, g/1)"]


def test_only_cannot_leave_out_what_gives_the_outputs(refused: Refused) -> None:
    """A task that uses another's outputs is not run without it."""
    (problem,) = refused(
        "tasks: {a: {inline: x}, b: {inline: '${{ tasks.a.outputs.x }}', dependencies: [a]}}", only=["b"]
    )

    assert "b needs the outputs of a, which --only leaves out" in problem


def test_any_field_can_be_set(read: Read) -> None:
    """`--set` changes fields and list items, and adds keys that the schema knows."""
    spec = read(
        "tasks: {a.b: {command: [x, y]}}",
        sets=[
            "tasks.a.b.command.1=z",
            "tasks.a.b.retry.limit=010",
            "run.max_parallel=2",
            "env.NEW=on",
            "tags=[p, q]",
        ],
    )

    (task,) = spec.tasks
    assert task.body == ("x", "z")
    assert task.retry.limit == 10
    assert (spec.run.max_parallel, task.env, spec.tags) == (2, {"NEW": "on"}, ("p", "q"))


def test_options_can_be_added_one_by_one(read: Read) -> None:
    """`--set` adds keys to what a plugin, a launcher, a partial and the executor `local` are given."""
    spec = read(
        "tasks: {a: {command: [x], launcher: {torchrun: {nnodes: 1}}}, b: {partial: 'mod:f'}}\n"
        "plugins: [{uses: notify, with: {webhook: 'http://x'}}]",
        sets=[
            "tasks.a.launcher.torchrun.rdzv_port=29400",
            "tasks.b.args.model.size=3",
            "plugins.0.with.headers={X-A: b}",
            "executors.local.cpus=2",
        ],
        executors=types(schema=lambda _: {"type": "object", "properties": {"cpus": {"type": "number"}}}),
    )

    tasks = by_id(spec)
    assert tasks["a"].launcher == {"torchrun": {"nnodes": 1, "rdzv_port": 29400}}
    assert tasks["b"].args == {"model": {"size": 3}}
    assert spec.executors["local"] == {"type": "local", "cpus": 2}
    assert spec.plugins[0].options["headers"] == {"X-A": "b"}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("tasks:\n\ta: {inline: x}", "(indent with spaces: YAML does not allow tabs)"),
        ("tasks: {a: {command: [x, ${{ params.x }}]}}", '(put the expression in quotes: "${{ … }}")'),
        (
            "tasks: {a: {inline: x}}\non_exit: {b: {inline: x, dependencies: [a]}}",
            "handlers wait for all tasks",
        ),
        ("tasks: {a: {group: [{inline: x, dependencies: [a]}]}}", "write dependencies next to group"),
        (
            "tasks: {a: {inline: x}}\nplugins: [{uses: notify, with: {}}]",
            "needs the key 'command' or 'webhook'",
        ),
    ],
)
def test_problem_says_what_to_do(refused: Refused, text: str, expected: str) -> None:
    """What is easily written wrong is told with the remedy that helps."""
    (problem,) = refused(text)

    assert expected in problem


@pytest.mark.parametrize(
    ("option", "expected"),
    [
        ("tasks.b.timeout=1", "tasks has no 'b' (there are: a)"),
        ("nope.x=1", "the spec has no 'nope'"),
        ("tasks.a.command.7=x", "tasks.a.command has no item '7' (valid items are 0 to 1)"),
        ("tasks.a.command.0.x=1", "which has no keys"),
        ("tasks.a.retry.limt=1", "tasks.a.retry has no 'limt' (did you mean limit?"),
        ("params.new=1", "params has no 'new'"),
        ("run.max_parallel=none", "run.max_parallel: must be a whole number"),
        ("tasks.a.timeout=[1", "is not YAML"),
        ("x", "is not path=value"),
        ("=1", "is not path=value"),
    ],
)
def test_setting_what_is_not_there_is_a_problem_of_the_option(
    refused: Refused, option: str, expected: str
) -> None:
    """A path that is not there is refused with what is, and a wrong value names its option."""
    (problem,) = refused("params: {lr: 1}\ntasks: {a: {command: [x, y]}}", sets=[option])

    assert problem.startswith(f"--set {option}: ")
    assert expected in problem


def test_options_are_checked_by_the_executors_own_schema(read: Read, refused: Refused) -> None:
    """The options of an executor are what its type's schema says."""

    def schemas(kind: str) -> Mapping[str, Any] | None:
        own = {"type": "object", "properties": {"image": {"type": "string"}}, "additionalProperties": False}
        return {"local": {}, "box": own}.get(kind)

    options: dict[str, Any] = {"executors": types("box", "local", schema=schemas)}
    text = "executors: {b: {type: box, %s: x, env: {A: 1}}}\ntasks: {a: {inline: x, executor: b}}"

    assert read(text % "image", **options).executors["b"] == {"type": "box", "image": "x"}
    assert "did you mean image?" in refused(text % "imag", **options)[0]


def test_callables_elsewhere_are_not_refused(read: Read) -> None:
    """What is in an image cannot be seen from here, so a partial that runs there is not looked for."""

    def schemas(_: str) -> Mapping[str, Any]:
        return {}

    spec = read(
        "executors: {b: {type: box}}\ntasks: {a: {partial: 'elsewhere:f', executor: b}}",
        executors=types("box", schema=schemas),
    )

    assert spec.tasks[0].body == "elsewhere:f"


@pytest.mark.parametrize(
    "target",
    ["mod:f", "mod:Net.method", "mod:os", "mod:anything_from_star", "strict:h", "sys:exit", "json:dumps"],
)
def test_callables_are_looked_up_without_being_imported(read: Read, target: str) -> None:
    """Functions, classes, imports and names bound in branches are found in the file alone."""
    assert read(f"tasks: {{a: {{partial: '{target}'}}}}").tasks[0].body == target


def test_spec_can_be_given_as_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A mapping is read like the YAML that says the same, and its problems have no lines."""
    monkeypatch.chdir(tmp_path)
    document = load.read({"name": "x", "tasks": {"a": {"inline": "echo é \x7f", "workdir": tmp_path}}})
    with pytest.raises(SpecError) as caught:
        load.read({"name": "x", "tasks": {"a": {"inlin": "x"}}})

    assert document.spec is not None
    assert document.spec.tasks[0].body == "echo é \x7f"
    (tmp_path / "copy.yaml").write_text(document.text)
    assert load.resolve(load.read(tmp_path / "copy.yaml"), IDENTITY).tasks == document.spec.tasks
    assert all(problem.line is None for problem in caught.value.problems)


def test_data_that_yaml_cannot_hold_is_refused() -> None:
    """A spec given as data holds plain values only."""
    with pytest.raises(SpecError, match="1 problem"):
        load.read({"tasks": {"a": {"inline": {1, 2}}}})


def test_one_wrong_param_is_one_problem(refused: Refused) -> None:
    """What depends on a value in doubt is not reported as well."""
    problems = refused(
        "params: {n: {type: integer}}\n"
        "env: {N: '${{ params.n }}'}\n"
        "tasks: {a: {inline: 'echo ${{ params.n + 1 }} ${{ env.N }}', timeout: '${{ params.n }}'}}",
        params=["n=ten"],
    )

    assert problems == ['-p n=ten: params.n: must be a whole number, not "ten"']


def test_nothing_that_a_spec_names_is_run_by_reading_it(read: Read, folder: Path) -> None:
    """Secrets' commands and callables' modules are looked at, never executed."""
    (folder / "boom.py").write_text(f"open({str(folder / 'ran')!r}, 'w')\ndef f(x=0): ...\n")

    read(
        f"secrets: {{S: {{command: 'touch {folder}/ran'}}}}\n"
        "tasks: {a: {partial: 'boom:f', args: {x: {_target_: 'boom:f'}}}}"
    )

    assert not (folder / "ran").exists()


@pytest.mark.parametrize(
    "body", ["comand: echo", "foo: 1", "command: 3", 'command: "${{ params.nothing }}"', "entrypoint: sh"]
)
def test_a_task_without_a_valid_body_is_checked_too(refused: Refused, body: str) -> None:
    """If what a task runs is wrong, or has an unknown key, its other problems are reported with it."""
    found = refused(f"tasks:\n  a: {{{body}, executor: nowhere, timeout: 0, dependencies: [b]}}\n")
    places = [problem.split(": ")[1] for problem in found]
    assert places[0].startswith("tasks.a")
    assert places[-3:] == ["tasks.a.executor", "tasks.a.timeout", "tasks.a.dependencies.0"]
    assert len(found) <= 5


@pytest.mark.parametrize(
    ("until", "selected", "found"),
    [
        ("client", (), "g/client"),
        ("g/client", (), "g/client"),
        ("1", (), "g/1"),
        ("any", (), "any"),
        ("all", (), "all"),
        ("client", ("g/client",), "g/client"),
        ("client", ("g/1",), "all"),
        ("any", ("g/1",), "any"),
    ],
)
def test_a_group_names_its_leader(read: Read, until: str, selected: tuple[str, ...], found: str) -> None:
    """By its name, its number or its id; a group whose leader is left out has none."""
    text = f"tasks: {{g: {{until: {until}, group: [{{inline: x, name: client}}, {{inline: y}}]}}}}"
    assert read(text, only=list(selected)).groups[0].until == found


@pytest.mark.parametrize(
    "data",
    [
        {"tasks": "${{ {'a': {'command': 'echo'}} }}"},
        {"tasks": {"a": {"group": "${{ [{'command': 'echo'}] }}"}}},
        {"tasks": {"a": {"group": ["${{ {'command': 'echo'} }}"]}}},
        {"tasks": {"a": {"command": "echo"}}, "defaults": "${{ {'timeout': 3} }}"},
        {"tasks": {"a": {"command": "echo"}}, "on_exit": "${{ {'h': {'command': 'echo'}} }}"},
        {"tasks": {"a": {"command": "echo"}}, "secrets": "${{ {'S': {'env': 'HOME'}} }}"},
    ],
    ids=str,
)
def test_a_section_may_be_an_expression(data: dict[str, Any]) -> None:
    """An expression that gives a mapping or a list is valid in place of one."""
    assert load.validate(data).tasks


@pytest.mark.parametrize("kind", [3, True, [], {}])
def test_the_type_of_a_part_must_be_text(kind: object) -> None:
    """A packager within another one is checked like any other."""
    data = {
        "tasks": {"a": {"command": "echo"}},
        "packager": {"type": "hybrid", "parts": {".": {"type": kind}}},
    }
    with pytest.raises(SpecError) as refused:
        load.validate(data)
    assert [problem.message for problem in refused.value.problems] == [
        f"must be text that is not empty, not {json.dumps(kind)}"
    ]


WRONG_PACKAGER = {"type": "git", "typez": 1}


@pytest.mark.parametrize(
    ("sections", "place"),
    [
        (
            {"packager": "git", "executors": {"s": {"type": "local", "packager": WRONG_PACKAGER}}},
            "executors.s",
        ),
        (
            {"packager": "none", "executors": {"s": {"type": "local", "packager": WRONG_PACKAGER}}},
            "executors.s",
        ),
        ({"packager": WRONG_PACKAGER}, None),
        ({"packager": "none", "defaults": {"packager": WRONG_PACKAGER}}, "defaults"),
    ],
    ids=str,
)
def test_each_packager_of_a_spec_is_checked(sections: dict[str, Any], place: str | None) -> None:
    """A packager that another one overrides, or of an executor without tasks, is checked like one in use."""
    with pytest.raises(SpecError) as refused:
        load.validate({"tasks": {"a": {"command": "echo", "packager": "none"}}, **sections})
    (problem,) = refused.value.problems
    assert "unknown key 'typez'" in problem.message
    assert place is None or place in str(problem)
