from __future__ import annotations

import builtins
import math
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, Optional

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.terminals import Terminal

from nemorun_cli.errors import UsageError
from nemorun_cli.nemo.autoconvert import autoconvert
from nemorun_cli.nemo.calls import Config, Partial, build
from nemorun_cli.nemo.cli import (
    RunContext,
    command,
    entrypoint,
    factory,
    list_entrypoints,
    list_factories,
    literals,
    main,
    options,
    resolve_factory,
)
from nemorun_cli.nemo.cli.assignments import split
from nemorun_cli.nemo.cli.conversion import MISSING, converted
from nemorun_cli.nemo.executors import DockerExecutor, Executor, LocalExecutor
from nemorun_cli.nemo.experiment import Experiment
from nemorun_cli.nemo.plugins import Plugin
from nemorun_cli.nemo.scripts import Script
from nemorun_cli.spec import python_specs

if TYPE_CHECKING:
    from support.workspace import Exp


class Colour(Enum):
    """Members whose names and values cross."""

    RED = "red"
    BLUE = "RED2"


@dataclass
class Model:
    """What an entrypoint gets."""

    hidden: int
    layers: int = 3
    activation: Literal["relu", "tanh"] = "relu"


@dataclass
class Optimizer:
    """Another thing that it gets."""

    lr: float
    betas: list[float] = field(default_factory=lambda: [0.9, 0.999])


@factory
@autoconvert
def small(hidden: int = 256, layers: int = 3) -> Model:
    """A small model."""
    return Model(hidden=hidden, layers=layers)


@factory
def adam(lr: float = 0.001) -> Config[Optimizer]:
    """An optimizer."""
    return Config(Optimizer, lr=lr)


@factory
@autoconvert
def docker(image: str = "ubuntu") -> Executor:
    """An executor."""
    return DockerExecutor(container_image=image)


class Doubler(Plugin):
    """A plugin."""

    def __init__(self, by: int = 2) -> None:
        self.by = by


@factory
def doubler(by: int = 2) -> Config[Doubler]:
    """A plugin."""
    return Config(Doubler, by=by)


SMALL, ADAM, MODELS = small(), adam(), [small(), small(1)]


@entrypoint
def train(  # noqa: PLR0917 - arguments may be given by position
    model: Model = SMALL,
    optimizer: Optimizer = ADAM,
    models: list[Model] = MODELS,
    epochs: int = 10,
    colour: Colour | None = None,
    extra: dict[str, int] = {},  # noqa: B006 - as NeMo-Run's examples have it
    other: Optional[Model] = None,  # noqa: UP045 - the same
    steps: Annotated[int | None, "a note"] = None,
    name: str = "night",
) -> tuple[Any, ...]:
    """Train a model.

    Args:
        model: this is no part of the page.
    """
    return model, optimizer, models, epochs, colour, extra, other, steps, name


@factory(target=train, is_target_default=True)
def recipe(epochs: int = 7) -> Partial[Any]:
    """Where to begin."""
    return Partial(train, model=small(512), epochs=epochs)


def without_registration(epochs: int = 8) -> Partial[train]:
    return Partial(train, epochs=epochs)


def value(text: str, annotation: Any) -> Any:
    """The value of an argument `x` without factories."""
    return converted(literals.read(text), annotation, place="x", make=lambda *_: MISSING)


def started(*words: str, fn: Any = train, **cmd_defaults: Any) -> tuple[RunContext, Any]:
    """The context of a command line, and the call that it makes of an entrypoint."""
    made = fn.cli_entrypoint
    return command.prepared(made, options.parse(words), cmd_defaults)


def called_with(*words: str, fn: Any = train) -> Any:
    return started(*words, fn=fn)[1]


def refused(*words: str, fn: Any = train) -> tuple[str, str]:
    """The message and the hint of an error about a command line."""
    with pytest.raises(UsageError) as caught:
        started(*words, fn=fn)
    assert caught.value.exit_code == 2
    return caught.value.message, caught.value.hint or ""


@pytest.mark.parametrize(
    ("text", "annotation", "expected"),
    [
        ("5", int, 5),
        ("-0x10", int, -16),
        ("1_000", int, 1000),
        ("5", float, 5.0),
        ("1e-5", float, 1e-5),
        ("-inf", float, -math.inf),
        ("yes", bool, True),
        ("Off", bool, False),
        ("1+2j", str, "1+2j"),
        ("5", str, "5"),
        ("None", str, "None"),
        ("'a \\'b'", str, "a 'b"),
        ("'it's'", str, "'it's'"),
        ('"a" and "b"', str, '"a" and "b"'),
        (" a=b ", str, " a=b "),
        ("", str, ""),
        ("b'\\x00'", bytes, b"\0"),
        ("/data/x y", Path, Path("/data/x y")),
        ("none", int | None, None),
        ("NULL", Optional[int], None),  # noqa: UP045 - programs have both
        ("5", int | str, 5),
        ("five", int | str, "five"),
        ("5", float | int, 5),
        ("1", bool | int, 1),
        ("a", Literal["a", 1, True], "a"),
        ("1", Literal["a", 1], 1),
        ("true", Literal["a", True], True),
        ("red", Colour, Colour.RED),
        ("RED", Colour, Colour.RED),
        ("Colour.BLUE", Colour, Colour.BLUE),
        ("[0.9, 1]", list[float], [0.9, 1.0]),
        ("[a, gpt-2, '3', 4]", list[str], ["a", "gpt-2", "3", "4"]),
        ("[/a b, *.py, 'x,y', it's, [c/d]]", Any, ["/a b", "*.py", "x,y", "it's", ["c/d"]]),
        ("[/a, b]", list[Path], [Path("/a"), Path("b")]),
        ("a, b", Any, "a, b"),
        ("1, 2", Any, (1, 2)),
        ("(1, 2.5)", tuple[int, float], (1, 2.5)),
        ("[1, 2]", tuple[int, ...], (1, 2)),
        ("()", tuple[()], ()),
        ("{1, 2}", frozenset[int], frozenset((1, 2))),
        ("{a: [1], 'b': []}", dict[str, list[int]], {"a": [1], "b": []}),
        ("{1: none}", dict[int, int | None], {1: None}),
        ("5", Any, 5),
        ("true", Any, True),
        ("a.b", Any, "a.b"),
        ("/a/b", Any, "/a/b"),
        ("[1, x, None]", Any, [1, "x", None]),
        ("lambda: 1", Any, "lambda: 1"),
        ("__import__('os').getcwd", Any, "__import__('os').getcwd"),
    ],
)
def test_a_value_has_the_type_of_its_annotation(text: str, annotation: Any, expected: Any) -> None:
    """A text is read as a literal, and becomes what the argument is annotated as."""
    found = value(text, annotation)
    assert (found, type(found)) == (expected, type(expected))


@pytest.mark.parametrize(
    ("text", "annotation", "message"),
    [
        ("5.0", int, "expected int, not '5.0'"),
        ("1e3", int, "expected int"),
        ("True", int, "expected int"),
        ("007", int, "expected int"),
        ("5 # five", int, "expected int"),
        ("(5)", int, "expected int"),
        ("--5", int, "expected int"),
        ("", int, "expected int"),
        ("abc", float, "expected float"),
        ("1e999", float, "a float cannot hold it"),
        ("1e-999", float, "a float cannot hold it"),
        ("1e999", Any, "a float cannot hold it"),
        (str(2**53 + 1), float, f"as a float it would be {2**53}"),
        ("2", bool, "write true or false"),
        ("", Path, "it is empty"),
        ("c", Literal["a", 1], "expected one of 'a', 1"),
        ("GREEN", Colour, "expected Colour (RED, BLUE)"),
        ("0.9,0.99", list[float], "it is a tuple"),
        ("(1,)", list[int], "it is a tuple"),
        ("{1, 1}", set[int], "a value is written twice"),
        ("{'a': 1, a: 2}", dict[str, int], "a key is written twice"),
        ("{**a}", dict, "expected dict"),
        ("[a,,b]", list, "expected list"),
        ("[(a]", list, "expected list"),
        ("relu", Callable, "only a factory can make one"),
        ("[1, [2, x]]", list[int | list[int]], "expected list[int | list[int]]"),
        ("(1, 2)", tuple[int, int, int], "it has 2 values, not 3"),
        ("x", int | float, "expected int or float"),
        ("f(1)", int, "expected int"),
        ("f(1)", Any, "no factory has this name"),
        ("[f(1)]", Any, "no factory has this name"),
        ("x", Sequence, "write [first, second, …]"),
        ("(" * 9999, list, "expected list"),
        ("-" * 9999 + "1", int, "expected int"),
        ("1" * 9999, int, "expected int"),
        ("[" * 150 + "]" * 150 + "x", list, "expected list"),
    ],
)
def test_a_value_of_another_type_is_refused(text: str, annotation: Any, message: str) -> None:
    """What is none of the annotation, or would change silently, is an error that names the expected type."""
    with pytest.raises(UsageError, match=r"^x: expected ") as caught:
        value(text, annotation)
    assert message in str(caught.value)
    assert len(str(caught.value)) < 250


LITERALS = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text() | st.binary(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner) | st.tuples(inner, inner),
    max_leaves=4,
)


@given(LITERALS)
@settings(max_examples=30, deadline=None)
def test_what_python_writes_is_read_as_the_same_value(literal: Any) -> None:
    """A literal arrives equal in value and type, whatever is in it."""
    text = repr(literal)
    if "inf" in text and not isinstance(literal, (str, bytes)):
        return  # the repr of inf is no literal
    found = value(text, Any)
    assert (found, repr(found)) == (literal, text)


NAMES = ("canary", "exit", "train", "__builtins__", "__import__")
CODE = st.recursive(
    st.sampled_from([*NAMES, "1", "'a'", "...", "f'{canary(1)}'", "lambda: canary(1)", "(canary(1))", "*x"]),
    lambda inner: (
        st.builds("{}({})".format, inner, inner)
        | st.builds("[{} for x in {}]".format, inner, inner)
        | st.builds("{}.{}".format, inner, st.sampled_from(NAMES))
        | st.builds("{}[{}]".format, inner, inner)
        | st.builds("{{{}: {}}}".format, inner, inner)
        | st.builds("{} if {} else {}".format, inner, inner, inner)
        | st.builds("{}({}={})".format, inner, st.sampled_from(NAMES), inner)
    ),
    max_leaves=5,
)
KINDS = (Any, int, str, list[str], dict[str, Any], bool | None, Colour, Path)


@given(CODE | st.text(), st.sampled_from(KINDS))
@settings(max_examples=60, deadline=None)
def test_no_value_is_evaluated(text: str, annotation: Any) -> None:
    """Code in a value is a text or an error: nothing of it runs, and no error of another kind is raised."""
    ran: list[object] = []
    vars(builtins)["canary"] = ran.append
    try:
        found = value(text, annotation)
    except UsageError:
        found = None
    finally:
        del vars(builtins)["canary"]
    assert ran == []
    assert not callable(found)
    if annotation is str and not text.strip().startswith(("'", '"')):
        assert found == text


@pytest.mark.parametrize(
    ("argument", "steps", "operator", "source"),
    [
        ("a=1", ("a",), "=", "1"),
        ("a==1", ("a",), "=", "=1"),
        ("a = 1 ", ("a",), "=", "1"),
        ("a= 1", ("a",), "=", " 1"),
        ("a.b[0].c*=2", ("a", "b", 0, "c"), "*=", "2"),
        ("a['x.y']|={}", ("a", "x.y"), "|=", "{}"),
        ("a[-1]/=10", ("a", -1), "/=", "10"),
        ("a=b=c\nd", ("a",), "=", "b=c\nd"),
    ],
)
def test_an_argument_is_a_place_an_operator_and_a_value(
    argument: str, steps: tuple[Any, ...], operator: str, source: str
) -> None:
    """The first operator after a place ends it; what follows is the value, byte for byte."""
    found = split(argument)
    assert found is not None
    assert (found.steps, found.operator, found.value.source) == (steps, operator, source)


def test_arguments_change_what_an_entrypoint_begins_with() -> None:
    """Parts of values are set, changed by operators, and made by factories; the defaults stay as they are."""
    found = called_with(
        "model=small(hidden=1024)",
        "model.layers+=2",
        "optimizer.lr/=10",
        "optimizer.betas[1]=0.5",
        "models+=[small(2), {'hidden': 3}]",
        "models[0].hidden*=2",
        "epochs/=2",
        "colour=red",
        "extra.a=3",
        "extra|={b: 4}",
        "other.hidden=5",
        "steps=7",
    )
    model, optimizer, models, *rest = build(found)()
    assert model == Model(1024, 5)
    assert optimizer == Optimizer(0.0001, [0.9, 0.5])
    assert models == [Model(512), Model(1), Model(2), Model(3)]
    assert rest == [5, Colour.RED, {"a": 3, "b": 4}, Model(5), 7, "night"]
    assert type(rest[0]) is int
    assert build(called_with())()[2:6] == ([Model(256), Model(1)], 10, None, {})


def test_values_are_made_by_factories_and_annotated_classes() -> None:
    """A name is a factory of the argument's type, or a class of it; a text keeps its quotes off."""
    assert called_with(f"model={__name__}.small").model == small()
    assert called_with("model=Model(hidden=1)").model == Config(Model, hidden=1)
    assert called_with(f"other={Model.__module__}.Model(2)").other == Config(Model, hidden=2)
    assert called_with("models=[small, 'small', Model(1)]").models[1:] == [small(), Config(Model, hidden=1)]
    assert called_with("model=Model(activation=tanh,hidden=1)").model.activation == "tanh"
    context, _ = started(
        "executor=SlurmExecutor(account=a, tunnel=SSHTunnel(host=h.org, user=u, job_dir=/x))"
    )
    assert (context.executor.tunnel.host, context.executor.tunnel.job_dir) == ("h.org", "/x")
    assert called_with("small", "epochs=1").model == small()
    assert resolve_factory(Model, "small") is small
    assert list_factories(Optimizer) == [adam]
    assert list_entrypoints(__name__)[f"{__name__}.train"].fn is train


def test_an_entrypoint_begins_with_what_its_factory_makes() -> None:
    """--factory names one of the function, by its annotation too; arguments change what it made."""
    assert called_with("--factory", "recipe").epochs == 7
    assert called_with("-f", "default", "epochs+=1").epochs == 8
    assert called_with("--factory=recipe(epochs=3)", "model.layers=9").model == small(512, 9)
    assert called_with("--factory", "without_registration").epochs == 8
    assert refused("--factory", "small")[0] == "train has no factory 'small'"


def test_an_executor_and_plugins_are_chosen_by_name() -> None:
    """`executor=` and `run.executor=` name a factory or a class, whose fields are changed like arguments."""
    context, _ = started("run.executor=docker", "executor.num_gpus=2", "run.executor.volumes=['a:b']")
    assert context.executor == DockerExecutor(container_image="ubuntu", num_gpus=2, volumes=["a:b"])
    context, _ = started("executor=LocalExecutor(nodes=2)", "run.detach=true", "plugins=doubler(by=3)")
    assert (context.executor, context.detach) == (LocalExecutor(nodes=2), True)
    assert [plugin.by for plugin in context.plugins] == [3]
    context, _ = started("plugins=[doubler, doubler(4)]", "plugins[0].by=5", "--name", "night", "-y")
    assert [plugin.by for plugin in context.plugins] == [5, 4]
    assert (context.name, context.skip_confirmation, context.executor) == ("night", True, None)
    assert started("--no-direct", direct=True, tail_logs=True)[0].tail_logs
    assert refused("executor=dockerr") == (
        "executor: Executor has no factory 'dockerr'",
        "did you mean docker? there are: docker",
    )
    assert refused("executor.nodes=2")[0] == "executor.nodes=2: executor has no value yet"
    assert "did you mean num_gpus" in refused("executor=docker", "executor.num_gpu=2")[1]


@pytest.mark.parametrize(
    ("words", "message", "hint"),
    [
        (["epocks=5"], "train has no argument 'epocks'", "did you mean epochs?"),
        (["model.hiddenn=5"], "model: Model has no argument 'hiddenn'", "did you mean hidden?"),
        (["model=smalll"], "model: Model has no factory 'smalll'", "did you mean small?"),
        (["model=adam"], "model: Model has no factory 'adam'", "there are: small"),
        (["model=small(hiddenn=3)"], "model: small has no argument 'hiddenn'", "did you mean hidden?"),
        (["model=small(1, hidden=3)"], "model: small has hidden twice", ""),
        (["model=small(hidden=x)"], "model: small: hidden: expected int, not 'x'", ""),
        (["model={'hiddenn': 3}"], "model: Model has no argument 'hiddenn'", "did you mean"),
        (["model=Model"], "train needs model.hidden", "write model.hidden=…"),
        (["models=[Model]"], "train needs models[0].hidden", ""),
        (["model.activation=tanj"], "model.activation: expected one of 'relu', 'tanh', not 'tanj'", ""),
        (["epochs.x=3"], "epochs is 10, which has no parts", "give epochs=…"),
        (["models[2].hidden=3"], "models has no item 2: it has 2, counted from 0", ""),
        (["models.x=3"], "models has no item 'x'", ""),
        (["epochs/=3"], "epochs: the result is 3.3333333333333335, but expected int", ""),
        (["optimizer.lr/=0"], "optimizer.lr: 0.001 /= 0: ", ""),
        (["epochs/=0"], "epochs: 10 /= 0: division by zero", ""),
        (["epochs+=x"], "epochs: += cannot change 10 by 'x'", ""),
        (["optimizer.betas-=[1]"], "optimizer.betas: -= cannot change", ""),
        (["optimizer.betas*=99999999"], "optimizer.betas: *= cannot change", ""),
        (["optimizer.lr*=1e308", "optimizer.lr*=1e308"], "optimizer.lr: the result is inf", ""),
        (["extra.a+=1"], "extra.a: += needs a value to change", "give extra.a=…"),
        (["steps+=1"], "steps: += cannot change None by 1", ""),
        (["model.layers=5", "model=small"], "model=small would discard model.layers=5", "give model=… first"),
        (["epochs=1", "small"], "'small' comes after an argument with a name", "write name=value"),
        (["a"] * 10, "'a' is one argument too many for train", "write name=value"),
        (["my-epochs=1"], "my-epochs=1: 'my-epochs' is no name of an argument", "write name=value"),
        (["--dryrn"], "there is no option --dryrn", "did you mean --dryrun?"),
        (["--name"], "--name needs a value", ""),
        (["--dryrun=yes"], "--dryrun takes no value", ""),
        (["--repl"], "--repl has no counterpart: ", "use --dryrun"),
        (["--lazy"], "--lazy has no counterpart: ", ""),
        (["--load", "x"], "--load has no counterpart: ", ""),
        (["--to-toml", "x"], "--to-toml has no counterpart: ", "use --to-yaml"),
        (["--yaml", "no-such.yaml"], "cannot read no-such.yaml: No such file", ""),
        (
            ["executor=DockerExecutor"],
            "DockerExecutor needs executor.container_image",
            "",
        ),
        (["run.detach=maybe"], "detach: expected bool, not 'maybe'", ""),
        (["run.detachh=1"], "RunContext has no argument 'detachh'", "did you mean detach?"),
    ],
)
def test_what_is_wrong_on_a_command_line_is_refused(words: list[str], message: str, hint: str) -> None:
    """Each mistake is an error that names the argument, and what to write instead."""
    found = refused(*words)
    assert found[0].startswith(message)
    assert hint in found[1]


def test_a_decorator_refuses_what_cannot_work() -> None:
    """An entrypoint or a factory that could never be used is an error where it is defined."""
    with pytest.raises(UsageError, match="of type 'parallel' does not exist"):
        entrypoint(type="parallel")
    with pytest.raises(UsageError, match="the argument 'executor' is reserved"):
        entrypoint(lambda executor: executor)
    with pytest.raises(UsageError, match="entrypoint_cls is"):
        entrypoint(entrypoint_cls=Model)
    with pytest.raises(UsageError, match="run_ctx_cls is"):
        started(fn=entrypoint(run_ctx_cls=Model)(lambda: None))
    with pytest.raises(UsageError, match="does not name the type that it makes"):
        factory(lambda: None)
    with pytest.raises(UsageError, match="target_arg needs a target"):
        factory(target_arg="model")
    with pytest.raises(UsageError, match="Model has no factory 'smalll'"):
        resolve_factory(Model, "smalll")
    with pytest.raises(UsageError, match="cmd_defaults has no 'detachh'"):
        started(detachh=True)


FILES = {
    "all.yaml": "model: {_factory_: small, layers: 9}\noptimizer: {_target_: Optimizer, lr: 1e-5}\nepochs: 3",
    "all.json": '{"epochs": 4, "extra": {"a": 1}, "other": {"hidden": 2}, "run": {"factory": "recipe"}}',
    "model.toml": 'hidden = 5\nactivation = "tanh"\n',
}

WRONG = (
    ("a.yaml", "name: 5", "name: expected str, not '5': put it in quotes"),
    ("a.yaml", "name: null", "name: expected str, not 'null'"),
    ("a.yaml", "name: [x]", "name: expected str"),
    ("a.yaml", "epochs: '5'", "epochs: expected int, not '5'"),
    ("a.yaml", "epochs: 5.0", "epochs: expected int, not '5.0'"),
    ("a.toml", "name = 2026-01-01", "name: expected str, not"),
    ("a.json", '{"models": [{"hidden": true}]}', "hidden: expected int, not 'true'"),
    ("a.json", '{"epochs": 1, "epochs": 2}', "a.json: 'epochs' is given twice"),
    ("a.json", '{"epochs": }', "a.json: Expecting value"),
    ("a.yaml", "epochs: {a: 1}", "epochs is 10, which has no parts"),
    ("a.yaml", "_target_: other.evaluate", "a.yaml is for other.evaluate, not for train"),
    ("a.yaml", "model: {_factory_: smalll}", "model: Model has no factory 'smalll'"),
    ("a.yaml", "model: {_target_: os.system}", "model: Model has no factory 'os.system'"),
    ("a.yaml", "model: {_target_: Model, _partial_: true}", "model: only a factory can make a Partial"),
    ("a.yaml", "- 1", "a.yaml is no mapping of values"),
    ("a.yaml", "a: [", "is not YAML"),
)


def test_files_give_values_and_get_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """YAML, JSON and TOML set arguments as words do; what --to-yaml wrote begins the same call."""
    monkeypatch.chdir(tmp_path)
    for name, text in FILES.items():
        Path(name).write_text(text)
    found = called_with("--yaml", "all.yaml", "model.hidden=1")
    assert (found.model, found.optimizer, found.epochs) == (small(1, 9), Config(Optimizer, lr=1e-5), 3)
    found = called_with("--factory", "@all.json", "other=@model.toml")
    assert (found.model, found.epochs, found.extra) == (small(512), 4, {"a": 1})
    assert found.other == Config(Model, hidden=5, activation="tanh")
    assert called_with("model=@all.yaml:model").model == small(256, 9)
    for name, text, message in WRONG:
        Path(name).write_text(text)
        assert message in "; ".join(refused("--yaml", name))
    assert "no section 'modl'" in refused("model=@all.yaml:modl")[0]

    words = ["model.hidden=7", "colour=red", "extra.a=1", "models+=[Model(hidden=1)]"]
    context, call = started(*words, "--to-yaml", "out.yaml")
    command.export(context, call)
    assert called_with("--yaml", "out.yaml") == called_with(*words)


def test_the_page_of_help_shows_arguments_factories_and_options(capsys: pytest.CaptureFixture[str]) -> None:
    """--help lists each argument with its type and default, the factories that fit, and the options."""
    command.run(train.cli_entrypoint, ["--help"], {})
    page = capsys.readouterr().out
    assert "Train a model." in page
    assert "this is no part" not in page
    assert "  epochs     int = 10\n" in page
    assert "  colour     Colour (RED, BLUE) or None = None\n" in page
    assert "Factories for model:\n  small(hidden=256, layers=3)  A small model.\n" in page
    assert "Factories for --factory:\n  recipe(epochs=7)  Where to begin.\n" in page
    assert "docker(image='ubuntu')" in page
    assert "--dryrun" in page
    assert "--rich" not in page


def test_an_entrypoint_without_an_executor_is_called(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """With enable_executor=False, and for an experiment, the function is called with built values."""

    def simple(model: Model, ctx: Any = None) -> None:
        print(model, ctx and ctx.name)  # noqa: T201 - what the test reads

    monkeypatch.setattr(sys, "argv", ["simple.py", "model.hidden=3"])
    main(simple, enable_executor=False)
    del simple.cli_entrypoint  # type: ignore[attr-defined]  # to make it another one
    main(simple, type="experiment", name="night")
    shown = "Model(hidden=3, layers=3, activation='relu')"
    assert capsys.readouterr().out == f"{shown} simple\n{shown} night\n"
    monkeypatch.setattr(sys, "argv", ["simple.py"])
    with pytest.raises(SystemExit) as ended:
        main(simple)
    assert ended.value.code == 2
    assert (
        capsys.readouterr().err
        == "exp: night needs model (Model)\nhint: write model=…; --help shows all arguments\n"
    )


def test_a_dry_run_starts_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """--dryrun shows the experiment, also one that does not ask its context, and never one of `exp run`."""

    def study(n: int = 1) -> None:
        with Experiment("study") as made:
            for number in range(n):
                made.add(Script(inline=f"echo {number}"), name=f"task-{number}")
            made.run()

    def simple(n: int = 1) -> None:
        raise AssertionError(n)

    monkeypatch.setenv("NEMORUN_HOME", str(tmp_path))
    monkeypatch.setattr(sys, "argv", ["program.py", "n=2", "--dryrun"])
    main(study, type="experiment")
    assert capsys.readouterr().out.startswith("study: 2 task(s); nothing is created\n")
    main(simple, enable_executor=False)
    assert "n  2" in capsys.readouterr().out
    assert list(tmp_path.iterdir()) == []
    with (
        python_specs.building(),
        pytest.raises(UsageError, match="--dryrun is an option of the program alone"),
    ):
        main(study)
    monkeypatch.setattr(sys, "argv", ["program.py", "epochs=3"])
    with python_specs.building(), pytest.raises(python_specs.Built) as built:
        main(train)
    assert built.value.builder.spec["tasks"]["train"]["args"]["epochs"] == 3
    monkeypatch.setattr(sys, "argv", ["program.py", "--direct", "--detach"])
    with pytest.raises(SystemExit, match="2"):
        main(train)
    assert "--direct runs in this process" in capsys.readouterr().err
    monkeypatch.setattr(sys, "argv", ["program.py", "--detach"])
    with pytest.raises(SystemExit, match="2"):
        main(simple)
    assert "--detach: simple is called in this process" in capsys.readouterr().err


PROGRAM = """
import sys
from dataclasses import dataclass
import nemorun_cli.nemo as run

@dataclass
class Model:
    hidden: int = 1

@run.cli.factory
@run.autoconvert
def here() -> run.Executor:
    return run.LocalExecutor(env_vars={"PLACE": "here"})

@run.cli.entrypoint
def train(model: Model = run.Config(Model), epochs: int = 1):
    import os
    print(f"{model} {epochs} {os.environ.get('PLACE')}", flush=True)

@run.cli.entrypoint(type="experiment", skip_confirmation=True)
def study(ctx: run.cli.RunContext, models: list[Model] = [run.Config(Model)], code: int = 0):
    ctx.sequential = True
    for model in models:
        ctx.add(run.Partial(train, model), name="train")
    ctx.add(run.Script(inline=f"exit {code}"), name="end")

if __name__ == "__main__":
    run.cli.main(study if "code=3" in sys.argv else train)
"""


def test_an_entrypoint_is_a_task_or_makes_an_experiment(exp: Exp) -> None:
    """A task runs where the arguments choose; an experiment ends the program with its exit code."""
    path = exp.spec(PROGRAM, name="train.py")

    def python(*words: str, code: int = 0) -> None:
        done = subprocess.run(
            [sys.executable, str(path), *words],
            cwd=exp.folder,
            env=exp.env,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == code, done.stderr

    python("executor=here", "model.hidden=3", "epochs*=4", "--name", "night", "--detach")
    python("executor=here", "models+=[Model(hidden=2)]", "code=3", code=1)
    assert exp.status("study")["counts"] == {"SUCCEEDED": 2, "FAILED": 1}
    assert exp("logs", "study", "train_1").stdout == "Model(hidden=2) 1 here\n"
    exp("wait", "night")
    assert exp("logs", "night", "night").stdout == "Model(hidden=3) 4 here\n"


def test_a_question_is_asked_only_at_a_terminal(exp: Exp) -> None:
    """Somebody at a terminal sees the values and is asked; without an answer nothing starts."""
    path = exp.spec(PROGRAM, name="train.py")
    terminal = Terminal([sys.executable, str(path), "epochs=9"], env=exp.env, cwd=exp.folder)
    terminal.until("exp: start train? [y/N] ")
    assert "epochs  9" in terminal.seen
    terminal.type(b"\n")
    assert terminal.end() == 1
    assert "nothing was started" in terminal.seen
    assert "Model(hidden=1) 9" not in terminal.seen
