from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nemorun_cli.errors import SpecError
from nemorun_cli.executors import known
from nemorun_cli.model.spec import Identity
from nemorun_cli.spec import load
from nemorun_cli.spec.compose.merge import merged

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from nemorun_cli.model.spec import Spec, Task

    Write = Callable[[str, str], Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def written(name: str, text: str) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    return written


def read(path: Path, **options: Any) -> Spec:
    document = load.read(path, executors=known(ask=False), **options)
    return load.resolve(document, Identity("x_1", "x", "/x"))


def tasks(path: Path, **options: Any) -> dict[str, Task]:
    return {task.id: task for task in read(path, **options).tasks}


def problems(path: Path, **options: Any) -> list[str]:
    with pytest.raises(SpecError) as caught:
        read(path, **options)
    return [str(problem).replace(f"{path.parent}/", "") for problem in caught.value.problems]


BASE = """
name: base
params: {lr: 0.1, epochs: 3}
env: {A: one, B: two}
defaults: {timeout: 2h, retry: {limit: 2, delay: 5}}
tasks:
  train: {command: [echo, "${{ params.lr }}"], args: [x, y], env: {C: three}}
  report: {inline: echo report, dependencies: [train]}
"""


def test_extends_merges_key_by_key_and_replaces_lists(write: Write) -> None:
    """Mappings are merged at any depth, lists and scalars replaced; what is new comes last."""
    write("base.yaml", BASE)
    spec = write(
        "spec.yaml",
        "extends: base.yaml\nname: own\nparams: {lr: 0.2}\nenv: {B: 2}\ndefaults: {retry: {delay: 1}}\n"
        "tasks:\n  train: {args: [z]}\n  more: {inline: echo more}\n",
    )

    found = read(spec)

    assert (found.name, found.params) == ("own", {"lr": 0.2, "epochs": 3})
    train, report, more = found.tasks
    assert (train.body, train.args, report.id, more.id) == (("echo", "0.2"), ("z",), "report", "more")
    assert train.env == {"A": "one", "B": "2", "C": "three"}
    assert (train.retry.limit, train.retry.delay, train.timeout) == (2, 1.0, 7200.0)


def test_null_takes_away_what_is_below(write: Write) -> None:
    """A null removes a key or a task of the base; in args it is a value."""
    write("base.yaml", BASE)
    spec = write(
        "spec.yaml",
        "extends: base.yaml\ndefaults: {timeout: null}\ntasks:\n  report: null\n"
        "  train: {partial: 'json:dumps', args: {obj: null}}\n",
    )

    (train,) = read(spec).tasks

    assert (train.timeout, train.args) == (None, {"obj": None})


def test_another_kind_of_task_replaces_what_the_base_runs(write: Write) -> None:
    """A task that says what it runs loses the command and the arguments of the base, and keeps the rest."""
    write("base.yaml", BASE)
    spec = write("spec.yaml", "extends: base.yaml\ntasks: {train: {inline: echo own}}\n")

    train = tasks(spec)["train"]

    assert (train.kind, train.body, train.args, train.env["C"]) == ("inline", "echo own", (), "three")


def test_of_several_files_the_later_wins(write: Write) -> None:
    """`extends` takes a list, and files may extend others."""
    write("a.yaml", "extends: b.yaml\nenv: {X: a, Y: a}\ntasks: {t: {inline: echo}}\n")
    write("b.yaml", "env: {X: b, Y: b, Z: b}\n")
    write("c.yaml", "env: {Y: c}\n")

    assert tasks(write("spec.yaml", "extends: [a.yaml, c.yaml]\n"))["t"].env == {"X": "a", "Y": "c", "Z": "b"}


def test_include_adds_and_never_overrides(write: Write) -> None:
    """What an included file has besides is added; what both have is a problem in the included file."""
    write("parts/more.yaml", "params: {lr: 1}\ntasks:\n  more: {inline: echo}\n")
    spec = write("spec.yaml", "include: [parts/more.yaml]\ntasks: {own: {inline: echo}}\n")
    assert list(tasks(spec)) == ["own", "more"]

    spec.write_text("include: parts/more.yaml\nparams: {lr: 2}\ntasks: {more: {inline: echo two}}\n")

    assert [text.partition(" (")[0] for text in problems(spec)] == [
        "parts/more.yaml:1:10: params.lr: params.lr is also in spec.yaml",
        "parts/more.yaml:3:3: tasks.more: tasks.more is also in spec.yaml",
    ]


def test_what_two_includes_share_is_there_once(write: Write) -> None:
    """A file that is included on two ways is no clash with itself."""
    write("common.yaml", "executors: {bare: {type: local}}\n")
    write("a.yaml", "include: common.yaml\nparams: {a: 1}\n")
    write("b.yaml", "include: common.yaml\nparams: {b: 2}\n")

    spec = read(write("spec.yaml", "include: [a.yaml, b.yaml]\ntasks: {t: {inline: echo, executor: bare}}\n"))

    assert spec.params == {"a": 1, "b": 2}


def test_cycles_are_refused_with_their_chain(write: Write) -> None:
    """Files that lead back to where they began are named in order, where the last of them closes the ring."""
    write("sub/b.yaml", "extends: ../a.yaml\n")
    write("a.yaml", "include: sub/b.yaml\n")
    spec = write("spec.yaml", "extends: a.yaml\ntasks: {t: {inline: echo}}\n")

    message = "extends: forms a cycle: a.yaml → sub/b.yaml → a.yaml"
    assert problems(spec) == [f"sub/b.yaml:1:10: {message}"]

    spec.write_text("extends: spec.yaml\n")
    assert "spec.yaml → " in problems(spec)[0]


def test_problems_are_told_in_the_file_they_are_in(write: Write) -> None:
    """Each problem has the file, line and column of the text that it is about, whoever takes that in."""
    write("base/base.yaml", "tasks:\n  train: {comand: echo}\n  report: {inline: echo, timeout: soon}\n")
    write("more.yaml", "env:\n  1X: a\n")
    spec = write(
        "spec.yaml",
        "extends: base/base.yaml\ninclude: more.yaml\ntasks:\n  report: {dependencies: [nobody]}\n",
    )

    found = problems(spec)

    assert [text.split(": ")[0] for text in found] == [
        "spec.yaml:4:27", "more.yaml:2:3", "base/base.yaml:2:11", "base/base.yaml:3:35",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("extends: nowhere.yaml", "spec.yaml:1:10: extends: nowhere.yaml: does not exist"),
        ("extends: [a, 1]", "spec.yaml:1:14: extends.1: must be text, not 1"),
        (
            "extends: '${{ a }}.yaml'",
            "spec.yaml:1:10: extends: files are read before",
        ),
        ("extends: list.yaml", "list.yaml:1:1: must be a mapping"),
        ("include: broken.yaml", "broken.yaml:2:1: is not YAML"),
    ],
)
def test_files_that_cannot_be_taken_in_are_told(write: Write, text: str, message: str) -> None:
    """A file that is missing, or that is no mapping, is told where it is named or where it is wrong."""
    write("list.yaml", "[1]\n")
    write("broken.yaml", "{\n")
    write("a", "env: {}\n")

    found = problems(write("spec.yaml", f"{text}\ntasks: {{t: {{inline: echo}}}}\n"))

    assert found[0].startswith(message)


def test_paths_lead_from_the_file_that_names_them(write: Write, tmp_path: Path) -> None:
    """Scripts, env files and mounts of a base are beside the base; tasks run in the spec's folder."""
    write("team/run.sh", "echo\n")
    write("team/.env", "FROM=team\n")
    write(
        "team/base.yaml",
        "tracking: {dash_root: records}\n"
        "executors: {box: {type: docker, image: x, volumes: ['./data:/data', 'named:/n']}}\n"
        "tasks: {t: {script: run.sh, env_file: .env, executor: box}}\n",
    )
    spec = read(write("mine/spec.yaml", "extends: ../team/base.yaml\nname: x\n"))

    (task,) = spec.tasks
    assert (task.body, task.workdir) == (str(tmp_path / "team/run.sh"), str(tmp_path / "mine"))
    assert task.env == {"FROM": "team"}
    assert spec.executors["box"]["volumes"] == [f"{tmp_path}/team/data:/data", "named:/n"]
    assert spec.tracking == {"dash_root": f"{tmp_path}/team/records"}


@pytest.mark.parametrize("spec", ["extends: ../team/base.yaml\nname: x\n", None])
def test_a_tilde_is_the_folder_of_the_user(
    spec: str | None, write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No shell sees `~` in a spec: a folder of records of that name is in the user's, from a base too."""
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    text = "name: x\ntracking: {dash_root: ~/dash}\ntasks: {t: {inline: echo}}\n"
    base = write("team/base.yaml", text)
    path = base if spec is None else write("mine/spec.yaml", spec)
    assert read(path).tracking == {"dash_root": f"{tmp_path}/home/dash"}
    base.write_text(text.replace("~/dash", "~no-such-user/dash"))
    (problem,) = problems(path)
    assert "the folder that ~ means in ~no-such-user/dash is not known" in problem


def test_references_cannot_be_set(write: Write) -> None:
    """`--set extends=…` comes too late, and says so."""
    spec = write("spec.yaml", "tasks: {t: {inline: echo}}\n")

    assert problems(spec, sets=["extends=other.yaml"]) == [
        "--set extends=other.yaml: extends: extends cannot be changed by --set (write it in the spec)"
    ]


def test_anchors_and_merge_keys_work_within_each_file(write: Write) -> None:
    """A file may repeat its own values by anchors and `<<`, before it is laid over another."""
    write(
        "base.yaml", "tasks:\n  a: &a {command: [echo], timeout: 5, env: {X: 1}}\n  b: {<<: *a, timeout: 6}\n"
    )

    found = tasks(write("spec.yaml", "extends: base.yaml\ntasks: {b: {env: {X: 2}}}\n"))

    assert [(task.timeout, task.env) for task in found.values()] == [(5.0, {"X": "1"}), (6.0, {"X": "2"})]


trees = st.recursive(
    st.integers() | st.text(max_size=3) | st.lists(st.integers(), max_size=2),
    lambda inner: st.dictionaries(st.sampled_from(["a", "b", "c", "d"]), inner, max_size=3),
    max_leaves=12,
)
mappings = st.dictionaries(st.sampled_from(["a", "b", "c", "d"]), trees, max_size=4)


@given(mappings, mappings, mappings)
def test_merging_is_associative_and_above_wins(
    low: dict[str, Any], mid: dict[str, Any], top: dict[str, Any]
) -> None:
    """However files are grouped, the result is the same, holds all of the top, and invents nothing."""
    whole = merged(merged(low, mid), top)

    assert whole.keys() == low.keys() | mid.keys() | top.keys()
    assert merged(whole, top) == whole
    assert merged(top, {}) == merged({}, top) == top
    for key, value in top.items():
        if not isinstance(value, dict):
            assert whole[key] == value
    assert merged(low, merged(mid, top)) == whole or _has_clash(mid, top)


def _has_clash(below: Any, above: Any) -> bool:
    """Whether somewhere a mapping lies over something else, which then is not seen any more."""
    if isinstance(above, dict):
        return not isinstance(below, dict) or any(
            _has_clash(below[key], above[key]) for key in below.keys() & above
        )
    return False
