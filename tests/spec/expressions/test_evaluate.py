from __future__ import annotations

import contextlib
import time
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nemorun_cli.model.spec import Group, Identity, Spec, Task
from nemorun_cli.spec.expressions import evaluate as evaluation
from nemorun_cli.spec.expressions import syntax
from nemorun_cli.spec.expressions.evaluate import TemplateError
from nemorun_cli.spec.expressions.fill import Filler, LateText, split
from nemorun_cli.spec.expressions.helper import Helper
from nemorun_cli.spec.expressions.syntax import UNKNOWN, Expression, pieces

if TYPE_CHECKING:
    from collections.abc import Iterator

HELPER = Helper()  # evaluates what could take long, as in `exp`

evaluate = partial(evaluation.evaluate, evaluator=HELPER.evaluate)
fill = partial(evaluation.fill, evaluator=HELPER.evaluate)
fill_text = partial(evaluation.fill_text, evaluator=HELPER.evaluate)
fill_inline = partial(evaluation.fill_inline, evaluator=HELPER.evaluate)
fill_late = partial(evaluation.fill_late, evaluator=HELPER.evaluate)
decide_when = partial(evaluation.decide_when, evaluator=HELPER.evaluate)


@pytest.fixture(autouse=True, scope="module")
def _ends_with_the_tests() -> Iterator[None]:
    """Leave no process behind."""
    yield
    HELPER.close()


NAMES: dict[str, Any] = {
    "params": {
        "lr": 0.1,
        "learning-rate": 0.5,
        "a": 7,
        "a-b": 9,
        "rate": 2,
        "name": "resnet",
        "items": "the key",
        "keys": 1,
        "list": [1, 2, 3],
        "model": {"depth": 50, "values": "v"},
        "evil": "${{ params.lr }}",
        "flag": True,
        "none": None,
    },
    "env": {"HOME_DIR": "/data"},
    "experiment": {"id": "x_1", "name": "x", "dir": "/e/x_1"},
    "tasks": {
        "train": {"outputs": {"loss": 0.25, "val-loss": 0.5, "val.acc": 3, "n": 4}},
        "my-task": {"outputs": {"x": "y"}},
        "v1.2": {"outputs": {"x": "dotted"}},
        "eval/0": {"outputs": {"acc": 0.9}},
        "eval": {"outputs": {"0": {"acc": 0.9}, "val": {"acc": 0.8}}},
    },
}


@pytest.mark.parametrize(
    ("code", "value"),
    [
        ("params.lr", 0.1),
        ("params.learning-rate", 0.5),
        ("params['learning-rate'] * 2", 1.0),
        ("params.a-b", 9),
        ("params.a - params.rate", 5),
        ("params.a-params.rate", 5),
        ("params.a-1", 6),
        ("params.items", "the key"),
        ("params.keys", 1),
        ("params.model.values", "v"),
        ("params.model", {"depth": 50, "values": "v"}),
        ("params.name.upper()", "RESNET"),
        ("params.name | upper", "RESNET"),
        ("params.list[1]", 2),
        ("params.list[-1] + 1", 4),
        ("params.lr > 0 and params.flag", True),
        ("'yes' if params.flag else 'no'", "yes"),
        ("env.HOME_DIR ~ '/x'", "/data/x"),
        ("experiment.id", "x_1"),
        ("tasks.train.outputs.loss", 0.25),
        ("tasks.train.outputs.val-loss", 0.5),
        ("tasks.train.outputs.val.acc", 3),
        ("tasks.train.outputs.n/2", 2.0),
        ("tasks.my-task.outputs.x", "y"),
        ("tasks.v1.2.outputs.x", "dotted"),
        ("tasks.eval/0.outputs.acc", 0.9),
        ("tasks['eval/0'].outputs['acc']", 0.9),
        ("tasks.eval.outputs | values | map(attribute='acc') | max", 0.9),
        ("tasks.eval.outputs.val.acc", 0.8),
        ("'params.learning-rate'", "params.learning-rate"),
        ("{'a': {'b': params.a}}", {"a": {"b": 7}}),
        ("params.model.missing | default(3)", 3),
        ("range(3)", [0, 1, 2]),
        ("params.none", None),
        ("'ab' * 2", "abab"),
        ("1.26 | round(1)", 1.3),
        ("params.list | join(',')", "1,2,3"),
        ("params | length", 13),
        ("'ä\\U0001f600'", "ä😀"),
    ],
)
def test_expression_has_its_value(code: str, value: object) -> None:
    """Names, keys with - and . and /, operators and filters give plain values of their own type."""
    assert evaluate(Expression(f"${{{{ {code} }}}}", code), NAMES) == value


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("params.lrr", "no param is called 'lrr'"),
        ("params.learning-rat", "no param is called 'learning-rat'"),
        ("lr", "unknown name 'lr'"),
        ("secrets.KEY", "secrets cannot be used"),
        ("matrix.lr", "matrix can be used only in tasks with a matrix"),
        ("env.PATH", "no variable of the spec's env is called 'PATH'"),
        ("experiment.key", "no value is called 'key'"),
        ("tasks.trian.outputs.x", "no task is called 'trian'"),
        ("tasks.train.loss", "cannot be used"),
        ("tasks", "cannot be used"),
        ("tasks[params.name].outputs", "cannot be used"),
        ("tasks.train.outputs.los", "tasks.train.outputs has no 'los'"),
        ("params.model.dept", "params.model has no 'dept'"),
        ("params.lr +", "is not a valid expression"),
        ("params.lr | frobnicate", "is not a valid expression"),
        ("1 / 0", "cannot be evaluated"),
        ("params.name + 1", "cannot be evaluated"),
        ("params.list[9]", "no item 9"),
        ("9 ** 99999 ** 9", "the power is too large"),
        ("'x' * 99999999", "larger than"),
        ("[1] * 3", "* works on numbers, or repeats text"),
        ("1 | round(-99999999)", "round accepts at most"),
        ("range(999999999)", "range has more"),
        ("'%99999999d' % 1", "% works on numbers only"),
        ("params.name.format(1)", "has no 'format'"),
        ("params.name.join(params.list)", "has no 'join'"),
        ("''.__class__", "text has no '__class__'"),
        ("params.name.__class__.__mro__", "has no '__class__'"),
        ("params.__class__", "no param is called '__class__'"),
        ("params.model.__class__", "no '__class__'"),
        ("self.__init__.__globals__", "has no '__init__'"),
        ("range.__globals__", "has no '__globals__'"),
        ("(params.list | map('upper')).__class__", "has no '__class__'"),
        ("1e999", "cannot be evaluated"),
        ("params.lr.real", "a number has no 'real'"),
        ("params.list.append(1)", "a list has no 'append'"),
        ("params.name | attr('__class__')", "is not a valid expression"),
        ("params.name.upper", "not a plain value"),
        ("cycler", "unknown name 'cycler'"),
        ("(" * 900 + "1" + ")" * 900, "too deep"),
        ("'a' | replace('a', 'b' * 900000) | replace('b', 'c' * 900000)", "larger than"),
        ("range(9999) | map('replace', '1', 'x' * 9999) | list", "cannot be evaluated"),
        ("self", "not a plain value"),
    ],
)
def test_expression_without_a_value_is_refused_quickly(code: str, message: str) -> None:
    """Unknown names, faults and bombs are errors that name the expression, and take no time."""
    start = time.monotonic()
    with pytest.raises(TemplateError) as caught:
        evaluate(Expression(f"${{{{ {code} }}}}", code), NAMES)

    assert message in caught.value.message
    assert caught.value.message.startswith("${{")
    assert time.monotonic() - start < 2


def test_unknown_name_comes_with_the_nearest() -> None:
    """A mistyped name is refused with the one that was meant."""
    with pytest.raises(TemplateError) as caught:
        fill("${{ params.learning-rat }}", NAMES)

    assert caught.value.hint == "did you mean learning-rate?"


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("plain $VAR ${VAR} {{ x }} $(x)", ["plain $VAR ${VAR} {{ x }} $(x)"]),
        ("${{ a }}", [Expression("${{ a }}", "a")]),
        ("x${{ '}}' }}y", ["x", Expression("${{ '}}' }}", "'}}'"), "y"]),
        ("${{ {'a': {}} }}", [Expression("${{ {'a': {}} }}", "{'a': {}}")]),
        ("${{ 'it\\'s }}' }}", [Expression("${{ 'it\\'s }}' }}", "'it\\'s }}'")]),
    ],
)
def test_only_expressions_are_found(text: str, found: list[object]) -> None:
    """`${{ … }}` ends outside of quotes and braces, and nothing else in a text is taken for one."""
    assert pieces(text) == found


@pytest.mark.parametrize(
    "text", ["${{ a", "${{ 'a }}", "${{ }}", "${{}}", "${{ {'a': 1 }}", "${{ " + "a" * 2001 + " }}"]
)
def test_expression_that_is_malformed_is_refused(text: str) -> None:
    """An expression without an end, an empty one and one past 2,000 characters are errors."""
    with pytest.raises(TemplateError):
        pieces(text)


@given(st.text(alphabet="ab.${}'\"\\ -[]()paramstasks/0\n", max_size=60))
def test_no_text_breaks_the_finder(text: str) -> None:
    """Whatever the text, it is cut into pieces that make it up again, or refused."""
    try:
        found = pieces(text)
    except TemplateError:
        return
    assert "".join(part if isinstance(part, str) else part.raw for part in found) == text
    for part in found:
        if isinstance(part, Expression):
            syntax.parsed(part.code, NAMES)


@given(st.text(alphabet="ab.'\"\\ -[]()params+~|0,", max_size=30))
def test_no_expression_breaks_the_evaluation(code: str) -> None:
    """Whatever stands in an expression, it has a value or is refused."""
    with contextlib.suppress(TemplateError):
        evaluate(Expression("${{ x }}", "params." + code), NAMES)


def test_sole_expression_keeps_its_type_and_others_become_text() -> None:
    """A value that is one expression is what that gives; in a longer text it is written out."""
    assert fill("${{ params.list }}", NAMES) == [1, 2, 3]
    assert (
        fill("n=${{ params.list }} ${{ params.flag }} ${{ params.none }}", NAMES) == "n=[1, 2, 3] true null"
    )


def test_value_that_looks_like_an_expression_is_not_evaluated() -> None:
    """What came from a value is never taken for an expression."""
    assert fill_text("<${{ params.evil }}>", NAMES) == "<${{ params.lr }}>"


@pytest.mark.parametrize("value", ["a b", "$(rm)", "`x`", "a;b", "a'b", "a\nb", "ä", "*", "~", [1], None])
def test_inline_scripts_take_plain_words_only(value: object) -> None:
    """What a shell could take for more than a word does not go into an inline script."""
    with pytest.raises(TemplateError) as caught:
        fill_inline("echo ${{ params.v }}", {**NAMES, "params": {"v": value}})

    assert caught.value.hint == "pass it by env, or by args and use $1"


@pytest.mark.parametrize("value", ["a-b_c./:=@%+,", 1, 0.5, True, ""])
def test_inline_scripts_take_numbers_booleans_and_words(value: object) -> None:
    """Numbers, booleans and text of safe characters go into an inline script."""
    assert fill_inline("${{ params.v }}", {**NAMES, "params": {"v": value}}) is not None


def test_command_is_split_around_expressions() -> None:
    """A command's text is split as a shell would, and no expression is torn."""
    assert split("a '${{ x + 1 }} b' c${{ y | d('q r') }} \"\"") == [
        "a",
        "${{ x + 1 }} b",
        "c${{ y | d('q r') }}",
        "",
    ]


def test_known_values_in_a_waiting_text_cannot_become_expressions() -> None:
    """A value that is put into a text which waits for outputs is not evaluated with it later."""
    names = {**NAMES, "tasks": {"a": {"outputs": UNKNOWN}}}
    late = Filler(names, HELPER.evaluate).tree(
        "${{ params.evil }} ${{ tasks.a.outputs.x }}", ("tasks", "b", "env", "X")
    )

    assert isinstance(late, LateText)
    done = {**NAMES, "tasks": {"a": {"outputs": {"x": "${{ params.lr }}"}}}}
    assert fill_text(late, done) == "${{ params.lr }} ${{ params.lr }}"


IDENTITY = Identity("x_1", "x", "/e/x_1")


def late_task(**fields: Any) -> Task:
    common = {"id": "b", "index": 1, "kind": "command", "body": ("x",), "executor": "local", "workdir": "/w"}
    return Task(**{**common, **fields})


def filled(task: Task, outputs: dict[str, Any]) -> Task:
    spec = Spec(
        name="x",
        folder="/spec",
        tasks=(),
        groups=(Group(id="g", members=("g/0", "g/val")),),
        params={"p": "${{ tasks.a.outputs.n }}"},
        env={"E": "e"},
    )
    return fill_late(task, spec=spec, identity=IDENTITY, outputs=outputs)


def test_late_texts_are_filled_where_the_pointers_lead() -> None:
    """Each text that `late` names is filled by its kind: arguments as text, a partial's with their type."""
    task = late_task(
        kind="partial",
        body="m:f",
        args={
            "n": "${{ tasks.a.outputs.n }}",
            "deep": [{"a/b~": "${{ tasks.a.outputs.n }} x"}],
            "raw": "${{ 1 }}",
        },
        env={"N": "${{ tasks.a.outputs.n }}"},
        workdir="${{ tasks.a.outputs.dir }}",
        late=("/args/n", "/args/deep/0/a~1b~0", "/env/N", "/workdir"),
    )

    done = filled(task, {"a": {"n": [1], "dir": "sub"}})

    assert done.args == {"n": [1], "deep": [{"a/b~": "[1] x"}], "raw": "${{ 1 }}"}
    assert done.env == {"N": "[1]"}
    assert done.workdir == "/spec/sub"
    assert done.late == ()


def test_one_value_is_one_argument() -> None:
    """A value with spaces and quotes stays one argument of a command."""
    task = late_task(body=("echo", "${{ tasks.a.outputs.t }}"), late=("/body/1",))

    assert filled(task, {"a": {"t": "a 'b' $c"}}).body == ("echo", "a 'b' $c")


def test_outputs_are_never_evaluated() -> None:
    """An output that looks like an expression is put in as it is."""
    task = late_task(env={"X": "${{ tasks.a.outputs.t }}"}, late=("/env/X",))

    assert filled(task, {"a": {"t": "${{ params.p }}"}}).env == {"X": "${{ params.p }}"}


def test_unsafe_output_does_not_get_into_an_inline_script() -> None:
    """An output that is no plain word makes the task fail by its template, with the remedy."""
    task = late_task(kind="inline", body="echo ${{ tasks.a.outputs.t }}", late=("/body",))

    with pytest.raises(TemplateError, match="cannot be put into"):
        filled(task, {"a": {"t": "$(rm -rf /)"}})


def test_outputs_of_a_group_are_by_member() -> None:
    """`tasks.<group>.outputs` maps each member to its outputs."""
    task = late_task(
        env={"X": "${{ tasks.g.outputs }}", "Y": "${{ tasks.g/val.outputs.n }}"}, late=("/env/X", "/env/Y")
    )

    done = filled(task, {"g/0": {"n": 1}, "g/val": {"n": 2}})

    assert done.env == {"X": '{"0": {"n": 1}, "val": {"n": 2}}', "Y": "2"}


def test_missing_output_is_an_error_that_lists_the_others() -> None:
    """An output that a task did not write is named with those that it wrote."""
    task = late_task(env={"X": "${{ tasks.a.outputs.lss }}"}, late=("/env/X",))

    with pytest.raises(TemplateError, match=r"tasks\.a\.outputs has no 'lss'") as caught:
        filled(task, {"a": {"loss": 1}})
    assert caught.value.hint == "did you mean loss? there are: loss"


@pytest.mark.parametrize(("when", "decided"), [(None, True), (True, True), (False, False)])
def test_when_that_is_decided_needs_no_outputs(when: bool | None, decided: bool) -> None:  # noqa: FBT001
    """A `when` that was decided at the start, or is not there, holds."""
    spec = Spec(name="x", folder="/", tasks=())

    assert decide_when(late_task(when=when), spec=spec, identity=IDENTITY, outputs={}) is decided


def test_when_is_decided_by_outputs() -> None:
    """A `when` that names outputs is decided when they are there, and must give a boolean."""
    spec = Spec(name="x", folder="/", tasks=())
    task = late_task(when="${{ tasks.a.outputs.n > 1 }}")

    assert decide_when(task, spec=spec, identity=IDENTITY, outputs={"a": {"n": 2}})
    assert not decide_when(task, spec=spec, identity=IDENTITY, outputs={"a": {"n": 1}})
    with pytest.raises(TemplateError, match="not true or false"):
        decide_when(
            late_task(when="${{ tasks.a.outputs.n }}"), spec=spec, identity=IDENTITY, outputs={"a": {"n": 1}}
        )
