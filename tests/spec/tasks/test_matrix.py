"""What a matrix expands to: which members, under which ids, with which values, and what is refused."""

from __future__ import annotations

import itertools
import json
import math
import re
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from nemorun_cli.errors import SpecError
from nemorun_cli.model.spec import Identity, Spec
from nemorun_cli.spec import load
from nemorun_cli.spec.tasks import matrix

if TYPE_CHECKING:
    from pathlib import Path

IDENTITY = Identity("x_1", "x", "/experiments/x/x_1")
MANY = ", ".join(map(str, range(1001)))
SAFE = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*=[A-Za-z0-9._+~-]*(,[A-Za-z_][A-Za-z0-9_-]*=[A-Za-z0-9._+~-]*)*")
AXES = st.sampled_from(["lr", "seed", "net", "wd-2", "_x"])
VALUES = (
    st.integers(-5, 5)
    | st.booleans()
    | st.floats(allow_nan=False)
    | st.text(max_size=4)
    | st.sampled_from(["a b", "a_b", "x" * 60, "x" * 61, "../..", "$HOME", "[1]", "é", "1", "true", "~", ""])
)


def is_unlike(values: list[Any]) -> bool:
    """Whether the values can stand on one axis."""
    names = [matrix.value_name(value) for value in values]
    keys = [matrix.key_of(value) for value in values]
    return len(set(names)) == len(names) and len(set(keys)) == len(keys)


LISTS = st.lists(VALUES, min_size=1, max_size=4).filter(is_unlike)
SECTIONS = st.dictionaries(AXES, LISTS, min_size=1, max_size=3)


def expanded(section: dict[str, Any]) -> matrix.Sweep:
    sweep, findings = matrix.expand(section, ("tasks", "t", "matrix"))
    assert findings == []
    assert sweep is not None
    return sweep


def keys(values: dict[str, Any], axes: set[str]) -> list[Any]:
    return [matrix.key_of(values[axis]) for axis in sorted(axes)]


def names(section: dict[str, Any]) -> list[str]:
    return [one.name for one in expanded(section).combinations]


def wrong(section: dict[str, Any]) -> list[str]:
    sweep, findings = matrix.expand(section, ("m",))
    assert sweep is None
    return [f"{'.'.join(map(str, one.place))}: {one.message}" for one in findings]


@given(SECTIONS)
def test_members_are_the_product_under_ids_of_their_own(section: dict[str, Any]) -> None:
    """There is one member for each choice of values, and no two have the same id."""
    found = expanded(section).combinations

    assert len(found) == math.prod(map(len, section.values()))
    assert len({one.name for one in found}) == len(found)
    wanted = [dict(zip(section, row, strict=True)) for row in itertools.product(*section.values())]
    assert [one.values for one in found] == wanted


@given(SECTIONS)
def test_ids_are_safe(section: dict[str, Any]) -> None:
    """An id is one part of a path, at most 200 characters that no shell and no glob takes for its own."""
    for name in names(section):
        assert SAFE.fullmatch(name)
        assert len(name) <= matrix.LONGEST_NAME
        assert "=~" not in name, "which some shells would expand"


@given(SECTIONS, st.data())
def test_ids_stay_when_the_matrix_grows(section: dict[str, Any], data: st.DataObject) -> None:
    """More values on an axis, wherever they are put in, leave the ids of the members before as they were."""
    axis = data.draw(st.sampled_from(sorted(section)))
    value = data.draw(VALUES)
    place = data.draw(st.integers(0, len(section[axis])))
    larger = [*section[axis][:place], value, *section[axis][place:]]
    assume(is_unlike(larger))
    before = {one.name: one.values for one in expanded(section).combinations}
    after = {one.name: one.values for one in expanded({**section, axis: larger}).combinations}

    assert {name: after[name] for name in before} == before


@given(SECTIONS, st.data())
def test_exclude_takes_away_what_it_fits(section: dict[str, Any], data: st.DataObject) -> None:
    """The members are those of the product that no entry of `exclude` fits."""
    whole = expanded(section).combinations
    some = data.draw(st.lists(st.sampled_from(whole), max_size=3, unique_by=lambda one: one.name))
    axes = data.draw(st.sets(st.sampled_from(sorted(section)), min_size=1))
    entries = [{axis: one.values[axis] for axis in section if axis in axes} for one in some]
    taken = [keys(entry, axes) for entry in entries]
    left = [one.name for one in whole if keys(one.values, axes) not in taken]
    if left:
        assert names({**section, "exclude": entries}) == left
    else:
        assert "leaves nothing to run" in wrong({**section, "exclude": entries})[0]


@given(SECTIONS, st.data())
def test_include_adds_members_or_values(section: dict[str, Any], data: st.DataObject) -> None:
    """An entry that fits members gives them its values and keeps their ids; any other is a member more."""
    whole = expanded(section).combinations
    one = data.draw(st.sampled_from(whole))
    extending = {**one.values, "extra": 1}
    section = {**section, "include": [extending, {**one.values, next(iter(section)): "quite new"}]}
    found = expanded(section).combinations

    assert [each.name for each in found[:-1]] == [each.name for each in whole]
    assert len(found) == len(whole) + 1
    assert [each.values for each in found if "extra" in each.values] == [extending]


@given(st.lists(st.integers(), min_size=1, max_size=5, unique=True))
def test_zipped_axes_go_in_step(values: list[int]) -> None:
    """Axes that are zipped give as many members as one of them, and the others are multiplied in."""
    section = {"a": values, "b": [0, 1], "c": [-value for value in values], "zip": ["a", "c"]}
    found = [one.values for one in expanded(section).combinations]

    assert found == [{"a": value, "b": b, "c": -value} for value in values for b in (0, 1)]


@pytest.mark.parametrize(
    ("value", "name"),
    [
        (0.1, "0.1"),
        (1e-05, "1e-05"),
        (True, "true"),
        ("resnet-50", "resnet-50"),
        ("a b", "a_b~c8687a"),
        ("a/b", "a_b~c14cdd"),
        ("", ""),
        ("x" * 40, "x" * 40),
        ("x" * 41, "x" * 33 + "~316459"),
    ],
)
def test_values_in_ids(value: Any, name: str) -> None:
    """A value stands as it is written; with other characters, or if long, it ends in a digest of itself."""
    assert matrix.value_name(value) == name


def test_zip_takes_several_lists() -> None:
    """Two lists of axes are two pairs in step."""
    section = {"a": [1, 2], "b": [1, 2], "c": [1, 2], "d": [1, 2], "zip": [["a", "b"], ["c", "d"]]}
    assert names(section) == ["a=1,b=1,c=1,d=1", "a=1,b=1,c=2,d=2", "a=2,b=2,c=1,d=1", "a=2,b=2,c=2,d=2"]


def test_include_alone_is_a_list_of_members() -> None:
    """Without axes each entry of `include` is a member, told apart by all that it names."""
    sweep = expanded({"include": [{"lr": 0.3, "wd": 1}, {"lr": 0.2, "wd": 4}]})
    assert [one.name for one in sweep.combinations] == ["lr=0.3,wd=1", "lr=0.2,wd=4"]
    assert sweep.axes == ("lr", "wd")


def test_include_follows_the_rules_of_github_actions() -> None:
    """An entry extends what it fits of the product, never what another entry added; later ones win."""
    section = {
        "fruit": ["apple", "pear"],
        "animal": ["cat", "dog"],
        "include": [
            {"color": "green"},
            {"color": "pink", "animal": "cat"},
            {"fruit": "apple", "shape": "circle"},
            {"fruit": "banana"},
            {"fruit": "banana", "animal": "cat"},
        ],
    }
    assert [one.values for one in expanded(section).combinations] == [
        {"fruit": "apple", "animal": "cat", "color": "pink", "shape": "circle"},
        {"fruit": "apple", "animal": "dog", "color": "green", "shape": "circle"},
        {"fruit": "pear", "animal": "cat", "color": "pink"},
        {"fruit": "pear", "animal": "dog", "color": "green"},
        {"fruit": "banana"},
        {"fruit": "banana", "animal": "cat"},
    ]


@pytest.mark.parametrize(
    ("limit", "count", "expected"),
    [(3, 10, 3), ("5%", 100, 5), ("5%", 30, 2), ("5%", 3, 1), ("0.5%", 1000, 5)],
)
def test_a_share_of_failures_is_rounded_up(limit: int | str, count: int, expected: int) -> None:
    """`max_failures` as a percentage is of the members there are, and never none."""
    assert expanded({"a": list(range(count)), "max_failures": limit}).max_failures == expected


@pytest.mark.parametrize(
    ("section", "message"),
    [
        ({"a": [1, 1.0]}, "m.a.1: 1.0 is listed twice"),
        ({"a": [1, "1"]}, 'm.a.1: "1" is listed twice'),
        ({"a": [1, 1], "b": [2, 2], "zip": ["a", "b"]}, "m.a.1: 1 is listed twice, with b"),
        ({"a": [1], "b": [1, 2], "zip": ["a", "b"]}, "m.zip: the axes differ in length: a 1, b 2"),
        ({"a": [1], "b": [1], "zip": ["a", "c"]}, "m.zip.1: no axis is called 'c'"),
        ({"a": [1], "b": [1], "zip": [["a", "b"], ["b", "a"]]}, "m.zip.1.0: b is zipped twice"),
        ({"a": [1], "exclude": [{"b": 1}]}, "m.exclude.0.b: no axis is called 'b'"),
        ({"a": [1], "exclude": [{"a": 1}]}, "m: leaves nothing to run"),
        ({"include": [{"a": 1}, {"a": 1}]}, "m.include.1: repeats a combination"),
        (
            {"a": list(range(1000)), "b": list(range(101))},
            "m: expands to 101,000 members, which is more than",
        ),
    ],
)
def test_each_wrong_matrix_is_one_problem(section: dict[str, Any], message: str) -> None:
    """What cannot be meant by a matrix is told once, at its place."""
    (found,) = wrong(section)
    assert found.startswith(message)


# -- specs ------------------------------------------------------------------------------------------


def resolved(text: str, folder: Path, **options: Any) -> Spec:
    (folder / "spec.yaml").write_text(text)
    return load.resolve(load.read(folder / "spec.yaml", **options), IDENTITY)


def problems(text: str, folder: Path) -> list[str]:
    with pytest.raises(SpecError) as caught:
        resolved(text, folder)
    return [str(problem).replace(f"{folder}/", "") for problem in caught.value.problems]


def test_each_member_has_its_own_values(tmp_path: Path) -> None:
    """`matrix` gives each member its values in every text and key, typed where they stand alone."""
    spec = resolved(
        "params: {lrs: [0.1, 1e-3]}\n"
        "tasks:\n"
        "  t:\n"
        '    command: "run ${{ matrix.lr }} --name=${{ matrix.name }}"\n'
        "    env: {TWICE: '${{ matrix.lr * 2 }}'}\n"
        "    timeout: ${{ matrix.hours * 3600 }}\n"
        "    when: ${{ matrix.hours < 2 }}\n"
        "    matrix: {lr: '${{ params.lrs }}', name: ['a b'], hours: [1, 2]}\n",
        tmp_path,
    )
    first, _, third, last = spec.tasks
    assert first.body == ("run", "0.1", "--name=a b")
    assert third.body == ("run", "1e-3", "--name=a b")
    assert (first.env, first.timeout, first.when, first.group) == ({"TWICE": "0.2"}, 3600.0, True, "t")
    assert (last.timeout, last.when) == (7200.0, False)
    assert first.matrix == {"lr": 0.1, "name": "a b", "hours": 1}
    assert spec.groups[0].axes == ("lr", "name", "hours")


def test_a_group_runs_once_for_each_combination(tmp_path: Path) -> None:
    """A group with a matrix has all of its members in each combination, and is one task in the graph."""
    spec = resolved(
        "tasks:\n"
        "  g: {group: [{inline: 'a ${{ matrix.x }}'}, {name: b, inline: b}], matrix: {x: [1, 2]}}\n"
        "  z: {inline: z, dependencies: [g]}\n",
        tmp_path,
    )
    ids = [task.id for task in spec.tasks]
    assert ids == ["g/x=1/0", "g/x=1/b", "g/x=2/0", "g/x=2/b", "z"]
    assert [task.body for task in spec.tasks][:3] == ["a 1", "b", "a 2"]
    assert spec.tasks[-1].dependencies == tuple(ids[:-1])


def test_twins_are_the_members_with_the_same_values(tmp_path: Path) -> None:
    """By {task, same} a member waits for those of a sweep that agree with it on the axes that both have."""
    spec = resolved(
        "tasks:\n"
        "  train: {inline: x, matrix: {lr: [1, 2], seed: [1, 2]}}\n"
        "  test: {inline: 'echo ${{ tasks.train.outputs.a }}',\n"
        "    matrix: {seed: [1, 2], lr: [1, 2], part: [a]},\n"
        "    dependencies: [{task: train, same: matrix}]}\n"
        "  mean: {inline: x, env: {A: '${{ tasks.train.outputs }}'}, matrix: {lr: [1, 2]},\n"
        "    dependencies: [{task: train, same: matrix}]}\n"
        "  some: {inline: x, dependencies: ['train/lr=1,*']}\n",
        tmp_path,
    )
    tasks = {task.id: task for task in spec.tasks}
    assert tasks["test/seed=2,lr=1,part=a"].dependencies == ("train/lr=1,seed=2",)
    assert tasks["test/seed=2,lr=1,part=a"].twins == {"train": "train/lr=1,seed=2"}
    assert tasks["mean/lr=2"].twins == {"train": ("train/lr=2,seed=1", "train/lr=2,seed=2")}
    assert tasks["some"].dependencies == ("train/lr=1,seed=1", "train/lr=1,seed=2")


@pytest.mark.parametrize(
    ("tasks", "expected"),
    [
        ("a: {inline: x, matrix: {lr: []}}", "1:37: tasks.a.matrix.lr: must not be empty"),
        ("a: {inline: x, matrix: {lr: 1}}", "1:37: tasks.a.matrix.lr: must be a list of values"),
        ("a: {inline: x, matrix: {lr: [{b: 1}]}}", "1:38: tasks.a.matrix.lr.0: must be text, a number or a"),
        (
            "a: {inline: x, matrix: {lr: [1], zip: [lr, b]}}",
            "1:52: tasks.a.matrix.zip.1: no axis is called 'b'",
        ),
        (
            "a: {inline: '${{ matrix.x }}', matrix: {lr: [1]}}",
            "matrix: no axis is called 'x' (there are: lr)",
        ),
        ("a: {inline: '${{ matrix.x }}'}", "matrix can be used only in tasks with a matrix"),
        (
            "a: {inline: x, timeout: '${{ matrix.t }}', matrix: {t: [1, soon]}}",
            'must be a duration: 90s, 10m, 2h, 1d, 1h30m, or a number of seconds, not "soon" (of a/t=soon)',
        ),
        (
            "a: {inline: '${{ matrix.x }}', matrix: {y: [1], include: [{y: 2, x: 3}]}}",
            "matrix has no 'x' (of a/y=1)",
        ),
        (
            "a: {inline: 'echo ${{ matrix.x }}', matrix: {x: ['; rm']}}",
            "which cannot be put into an inline script",
        ),
        ("a: {inline: x, matrix: {x: [1]}, together: true}", "cannot be combined with a matrix"),
        ("a: {inline: x, executor: '${{ matrix.x }}', matrix: {x: [moon]}}", "no executor is called 'moon'"),
        (
            "a: {inline: x, matrix: {x: [1]}}, b: {inline: x, matrix: {x: [2]}, dependencies: [*a]}",
            "b/x=2 has no matching member: no member of a has x=2",
        ),
        (
            "a: {inline: x, matrix: {x: [1]}}, b: {inline: x, dependencies: [{task: a, same: matrix}]}",
            "b has no matrix of its own",
        ),
        (
            "a: {inline: x}, b: {inline: x, matrix: {x: [1]}, dependencies: [{task: a, same: matrix}]}",
            "a has no matrix",
        ),
        (
            "a: {inline: x, matrix: {y: [1]}}, b: {inline: x, matrix: {x: [1]}, dependencies: [*a]}",
            "b and a have no axis in common",
        ),
        ("a: {inline: x, dependencies: ['b*']}", "no task matches 'b*'"),
        ("a: {inline: x, matrix: {x: [1]}, dependencies: ['a*']}", "a cannot depend on itself"),
        (
            "a: {inline: x, matrix: {x: [1]}}, b: {inline: '${{ tasks.a.outputs }}'}",
            "b does not depend on a",
        ),
        (
            f"a: {{inline: x, matrix: &m {{x: [{MANY}]}}}}, b: {{inline: x, matrix: *m, dependencies: [a]}}",
            "1,001 members would wait for 1,001 tasks each",
        ),
    ],
)
def test_each_wrong_use_of_a_matrix_is_one_problem(tmp_path: Path, tasks: str, expected: str) -> None:
    """What cannot be meant is told once, at its place in the file, however many members have it."""
    (problem,) = problems(f"tasks: {{{tasks.replace('*a]', '{task: a, same: matrix}]')}}}", tmp_path)
    assert expected in problem


def test_only_takes_members_and_globs(tmp_path: Path) -> None:
    """`--only` leaves the members that a glob fits."""
    spec = resolved("tasks: {a: {inline: x, matrix: {x: [1, 2], y: [1, 2]}}}", tmp_path, only=["a/x=1,*"])
    assert [task.id for task in spec.tasks] == ["a/x=1,y=1", "a/x=1,y=2"]
    assert spec.groups[0].members == ("a/x=1,y=1", "a/x=1,y=2")


def test_a_resolved_sweep_survives_its_json_form_and_stays_small(tmp_path: Path) -> None:
    """What members have in common stands once in resolved.json; a true is not taken for a one."""
    spec = resolved(
        "tasks:\n"
        "  a:\n"
        "    partial: json:dumps\n"
        f"    args: {{obj: '${{{{ matrix.x }}}}', much: {{text: {'y' * 1000}}}}}\n"
        "    env: {SAME: '1', OTHER: '${{ matrix.n }}'}\n"
        f"    matrix: {{x: [1, true, two], n: [{', '.join(map(str, range(100)))}]}}\n",
        tmp_path,
    )
    text = json.dumps(spec.to_json())
    again = Spec.from_json(json.loads(text))

    assert again == spec
    assert [type(task.args["obj"]) for task in again.tasks[::100] if isinstance(task.args, dict)] == [
        int,
        bool,
        str,
    ]
    assert len(text) < 300 * 200
