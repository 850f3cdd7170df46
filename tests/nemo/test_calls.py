"""Config and Partial of NeMo-Run: arguments are attributes, and arrive as they were given."""

from __future__ import annotations

import copy
import os
import pathlib
import pickle
import threading
import traceback
from dataclasses import dataclass, field
from typing import Annotated, Any, Optional

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nemorun_cli import parts
from nemorun_cli.errors import UsageError
from nemorun_cli.executors import run_partial
from nemorun_cli.nemo import calls, dryrun
from nemorun_cli.nemo.calls import Config, Partial
from nemorun_cli.nemo.scripts import Script


@dataclass
class Model:
    """A dataclass with defaults."""

    hidden: int = 100
    activation: str = "relu"
    layers: list[Any] = field(default_factory=list)


@dataclass
class Optimizer:
    """A dataclass with a default."""

    lr: float = 0.1


def unexpected() -> Any:
    """A factory that nothing but a read of its field calls."""
    raise AssertionError


@dataclass
class Lazy:
    """A dataclass whose defaults are made when they are needed."""

    model: Model = field(default_factory=Model)
    late: Any = field(default_factory=unexpected)


class Trainer:
    """A class with positional arguments, and more."""

    def __init__(self, devices: int, /, *callbacks: Any, model: Any = None, **options: Any) -> None:
        self.state = (devices, callbacks, model, options)


DEFAULT = Config(Model, hidden=7)


def train(
    model: Any,
    epochs: int = 10,
    trainer: Any = None,
    names: list[str] = [],  # noqa: B006 - what a task reads is not this list
    start: Any = DEFAULT,
) -> Any:
    """A function with defaults that can be changed."""
    return model, epochs, trainer, names, start


def gather(first: Any, second: Any = 2, *rest: Any) -> Any:
    """A function that takes any number of arguments by position."""
    return first, second, rest


def tuned(model: Any, optim: Annotated[Optional[Optimizer], Config[Optimizer]] = None) -> Any:  # noqa: UP045
    """A function with an argument that has a call in its annotation."""
    return model, optim


# What `inspect.signature` sees without the future import of this module.
tuned.__annotations__["optim"] = Annotated[Optional[Optimizer], Config[Optimizer]]  # noqa: UP045


def called(task: Partial[Any]) -> Any:
    """The result of a task, by way of a spec."""
    entry = task.translated().entry("tasks.t.args")
    return run_partial.call(entry["partial"], entry.get("args", {}))


def test_arguments_are_attributes() -> None:
    """They are read with their defaults, changed, deleted, nested too."""
    task = Partial(train, Config(Model, hidden=2), trainer=Config(Trainer, 4))
    task.model.hidden *= 4
    task.epochs *= 2
    task.trainer.seed = 3
    task.names.append("a")
    task.model.layers.append(Config(Optimizer))
    task.start.hidden = 8
    assert (task.epochs, task.model.activation) == (20, "relu")
    trainer = called(task)[2]
    assert trainer.state == (4, (), None, {"seed": 3})
    model = Model(8, layers=[Optimizer()])
    assert called(task)[:2] == (model, 20)
    assert called(task)[3:] == (["a"], Model(8))
    assert train(1) == (1, 10, None, [], DEFAULT)
    assert DEFAULT.hidden == 7
    del task.epochs
    assert task.epochs == 10
    assert calls.build(task)()[:2] == (model, 10)


def test_what_is_only_read_is_not_passed_on() -> None:
    """Reading a default that could be changed changes nothing, and the task makes defaults that are calls."""
    task = Partial(train, 1)
    assert (task.names, task.start.hidden) == ([], 7)
    assert task == Partial(train, 1)
    assert task.translated().entry()["args"].keys() == {"model", "start"}
    assert called(task)[4] == Model(7)
    assert repr(task) == "<Partial[train(model=1)]>"


@pytest.mark.parametrize(
    ("wrong", "hint"),
    [
        (lambda: Partial(train, epoch=1), "did you mean epochs?"),
        (lambda: setattr(Partial(train), "epoch", 1), "did you mean epochs?"),
        (lambda: Partial(train).epoch, "did you mean epochs?"),
        (lambda: Config(Model, hiddn=1), "did you mean hidden?"),
        (lambda: Partial(train, 1, 2, 3, 4, 5, 6), "there are: model, epochs"),
        (lambda: Partial(train).model, None),
        (lambda: delattr(Partial(train), "model"), None),
        (lambda: Partial(3), "give a function or a class"),
        (lambda: Partial(Config(Model)), "change its arguments"),
        (lambda: Partial(train).visualize(), "print() shows the arguments"),
    ],
)
def test_what_is_wrong_is_reported_where_it_is(wrong: Any, hint: str | None) -> None:
    """At the construction, at an assignment, at a read; as ours, and as the errors NeMo-Run raises."""
    for kind in (UsageError, TypeError, AttributeError):
        with pytest.raises(kind) as caught:
            wrong()
        assert (hint or "") in str(caught.value.hint or "")  # type: ignore[attr-defined]
    assert caught.value.exit_code == 2  # type: ignore[attr-defined]
    shown = "".join(traceback.format_exception(caught.value))
    assert (f"\nhint: {caught.value.hint}\n" in shown) == (hint is not None)  # type: ignore[attr-defined]


def test_any_callable_can_be_configured() -> None:
    """By position, with any names, without a signature, or as a mapping."""
    assert called(Partial(gather, 1)) == (1, 2, ())
    assert called(Partial(gather, 1, Config(int, "3"), 4)) == (1, 3, (4,))
    many = Partial(gather, 1, 2, 3)
    many.first = 5
    assert called(many) == (5, 2, (3,)) == calls.build(many)()
    del many.first
    with pytest.raises(UsageError, match="its argument 'first' is not set"):
        many.translated()
    assert called(Partial(gather, Config(pathlib.Path, "/a"))) == (pathlib.Path("/a"), 2, ())
    assert called(Partial(gather, Config({}, a=1, b=Config(int)))) == ({"a": 1, "b": 0}, 2, ())
    assert Config[Model](Model, hidden=1) == Config(Model, 1)
    assert called(Partial(gather, Partial(gather, 0)))[0]() == (0, 2, ())
    assert calls.resolved(Partial(gather, 1)) == {"first": 1, "second": 2}


def test_dataclasses_are_configs() -> None:
    """An instance that is given becomes a Config, deeply; what keeps more than its fields stays as it is."""
    task = Partial(train, Model(layers=Optimizer(2)))
    task.trainer = Optimizer(3)
    assert isinstance(task.model, Config)
    assert task.model.layers == Config(Optimizer, lr=2)
    assert task.trainer == Config(Optimizer, 3)
    assert Partial(train, Model(), bind_args=False).model == Model()
    more = Model()
    more.made = 1  # type: ignore[attr-defined]
    assert Partial(train, more).model is more


def test_an_annotation_can_have_a_default() -> None:
    """`Annotated[Optional[T], Config[T]]` is NeMo-Run's way to say that None means a Config."""
    assert called(Partial(tuned, 1)) == (1, Optimizer())
    assert called(Partial(tuned, 1, None)) == (1, Optimizer())
    assert Partial(tuned, 1, optim=Config(Optimizer, lr=2)).optim.lr == 2


def test_walk_and_broadcast_change_all_levels() -> None:
    """They change the task itself, where an argument of that name has a value."""
    task = Partial(train, Config(Model, layers=Config(Model)), trainer=Config(Trainer, 1))
    seen = []
    assert task.walk(seen.append) is task
    assert seen == [task, task.model, task.model.layers, task.trainer, task.start]
    task.walk(hidden=lambda model: model.hidden * 2, activation=lambda model: f"{model.activation}!")
    assert (task.model.hidden, task.model.layers.hidden, task.start.hidden) == (200, 200, 14)
    assert task.model.layers.activation == "relu!"
    assert task.broadcast(hidden=3, epochs=1, model=5).model == 5
    assert (task.epochs, task.start.hidden) == (1, 3)
    assert called(task)[4] == Model(3, "relu!")
    lazy = Config(Lazy)
    assert lazy.broadcast(hidden=2).model.hidden == 2
    assert lazy != Config(Lazy)
    assert lazy == lazy.clone()
    task.model = task.trainer = Config(Model)
    assert task.walk(hidden=lambda model: model.hidden + 1).trainer.hidden == 101


def test_values_have_a_place_in_errors() -> None:
    """What a task cannot get is refused with the place of the argument."""

    def inner() -> None: ...

    task = Partial(train, [Config(Model, layers={"a": object()})])
    with pytest.raises(UsageError, match=r"^tasks\.t\.args\.model\.0\.layers\.a: "):
        task.translated().entry("tasks.t.args")
    with pytest.raises(UsageError, match=r"^tasks\.t\.args\.model\.0: a task cannot import .*inner"):
        Partial(train, [Config(inner)]).translated().entry("tasks.t.args")
    with pytest.raises(UsageError, match=r"^args\.model\.0\.layers: a task cannot get .*lock"):
        Partial(train, [Config(Model, layers=threading.Lock())]).clone()
    task.model = task
    assert "<…>" in repr(task)
    with pytest.raises(UsageError, match="contains itself"):
        task.translated().entry("args")
    with pytest.raises(UsageError, match="cannot import"):
        Partial(inner).translated()


def test_one_config_is_one_object() -> None:
    """A Config in several places is made once, wherever it is; its clone is made again."""
    shared, inner = Config(Trainer, 1), Config(Model)
    shared.model = inner
    task = Partial(gather, [shared], {"a": (inner, Partial(gather, shared))}, shared.clone())
    for result in (called(task), calls.build(task)()):
        (first,), second, (third,) = result
        assert first is second["a"][1]()[0]
        assert first.state[2] is second["a"][0]
        assert third is not first
        assert third.state[2] is not first.state[2]
    entry = task.translated().entry()["args"]
    assert len({entry["_args_"][0][0]["_id_"], entry["_args_"][0][0]["model"]["_id_"]}) == 2
    with pytest.raises(run_partial.TargetError, match="no earlier argument has _id_: 3"):
        run_partial.call("builtins:print", {"a": {"_same_": 3}, "b": {"_target_": "os:getpid", "_id_": 3}})


def test_names() -> None:
    """A task is named after its module and function."""
    assert Partial(os.path.join).default_name() == "posixpath.join"
    assert Partial(Trainer).default_name() == f"{__name__}.Trainer"


VALUES = st.recursive(
    st.integers() | st.text(max_size=3) | st.none() | st.just(pathlib.Path("/a")),
    lambda inner: (
        st.lists(inner, max_size=2)
        | st.tuples(inner)
        | st.builds(lambda x: Config(Model, hidden=x), inner)
        | st.builds(lambda x, y: Partial(gather, x, y), inner, inner)
        | st.builds(lambda x, y: Config(Trainer, 1, x, model=y), inner, inner)
        | st.builds(lambda x, y: {"a": x, 1: y}, inner, inner)
    ),
    max_leaves=5,
)


def core(value: Any) -> Any:
    """The same value in the core's Configs and Partials."""
    if isinstance(value, calls.MutableCall):
        kind = parts.Config if isinstance(value, Config) else parts.Partial
        passed = {name: core(item) for name, item in value.__arguments__.items()}
        if value.__fn_or_cls__ is gather:
            return kind(gather, **passed)
        return kind(value.__fn_or_cls__, *map(core, value.__positional__), **passed)
    if type(value) in (list, tuple):
        return type(value)(map(core, value))
    return {key: core(item) for key, item in value.items()} if type(value) is dict else value


@settings(deadline=None, max_examples=int(os.environ.get("EXP_TEST_EXAMPLES", "40")))
@given(VALUES)
def test_copies_are_equal_and_apart(value: Any) -> None:
    """Copies and pickles are equal, none changes another one, and a task gets what the core makes of it."""
    task = Partial(train, value, epochs=3)
    pickled = pickle.loads(pickle.dumps(task))  # noqa: S301 - made here
    assert task == task.clone() == copy.copy(task) == pickled
    assert (
        task.translated().entry() == parts.Partial(train, core(value), epochs=3, start=core(DEFAULT)).entry()
    )
    clone = task.clone()
    clone.model = [value]
    clone.names.append("a")
    assert clone != task
    assert task.names == []


def test_equality_is_of_calls() -> None:
    """A default that is given is one that is not given; the callable, the kind and the values count."""
    assert Config(Model) == Config(Model, hidden=100, layers=[])
    assert Config(Model) != Partial(Model)
    assert Config(Model) != Config(Optimizer)
    assert Config(Model) != Config(Model, hidden=1)
    assert Config(Model) != Model()
    assert Config(Trainer, 1) != Config(Trainer, 1, 2)
    with pytest.raises(TypeError):
        hash(Config(Model))


def test_a_dry_run_shows_the_arguments(capsys: pytest.CaptureFixture[str]) -> None:
    """Those given and the defaults, and the executor; what is no task is refused."""
    dryrun.dryrun_fn(Partial(train, Config(Model)), executor=parts.LocalExecutor(), build=True)
    shown = capsys.readouterr().out.splitlines()
    assert shown[:4] == [
        f"Dry run for task {__name__}:train",
        "Resolved Arguments",
        "  model    <Config[Model()]>",
        "  epochs   10",
    ]
    assert shown[-2:] == ["Executor", "  Executor(type='local')"]
    dryrun.dryrun_fn(Script(inline="echo a", env={"A": "b"}))
    assert "  env         {'A': 'b'}" in capsys.readouterr().out.splitlines()
    with pytest.raises(TypeError, match="no task"):
        dryrun.dryrun_fn("train")
