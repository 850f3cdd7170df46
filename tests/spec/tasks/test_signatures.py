"""What callables take, by their files: claimed only where the file states it for certain."""

from __future__ import annotations

import ast
import textwrap

import pytest

from nemorun_cli.spec.tasks.signatures import in_module

FACTORY = (
    "@dataclass\nclass f:\n    a: int\n    b: ClassVar[int] = 1\n    c: list = field(default_factory=list)"
)
FIELDS = (
    "@dataclasses.dataclass()\nclass f:\n    a: dataclasses.InitVar[int]\n"
    "    b: int = dataclasses.field(repr=True)"
)
SURE = {
    "def f(a, /, b, c=1, *, d, e=2): ...": "a/ b c? | d e?",
    "async def f(a, *rest): ...": "a *",
    "class f(Base):\n    def __init__(self, a, b=1): ...": "a b?",
    "class f:\n    def __init__(self, /, a): ...": "a",
    FACTORY: "a c?",
    "@dataclass(frozen=True)\nclass f:\n    a: int = field(init=False)\n    _: KW_ONLY\n    b: int": "| b",
    FIELDS: "a b",
}
OPEN = [
    "def f(a, **more): ...",
    "@cache\ndef f(a): ...",
    "def f(a): ...\ndef f(b): ...",
    "f = other",
    "class f(Base): ...",
    "class f(metaclass=M):\n    def __init__(self, a): ...",
    "class f:\n    def __new__(cls, *a): ...\n    def __init__(self, a): ...",
    "class f:\n    @wraps\n    def __init__(self, a): ...",
    "class f:\n    def __init__(self, **a): ...",
    "@register\nclass f:\n    def __init__(self, a): ...",
    "@dataclass\nclass f(Base):\n    a: int",
    "@dataclass(init=False)\nclass f:\n    a: int",
    "@dataclass(**options)\nclass f:\n    a: int",
    "@register\n@dataclass\nclass f:\n    a: int",
]


def written(code: str) -> str | None:
    """The parameters of `f`, as one text."""
    found = in_module(ast.parse(textwrap.dedent(code)).body, "f")
    if found is None:
        return None
    optional = {*found.by_position, *found.by_name} - found.required
    words = [
        name + "/" * (index < found.only_by_position) + "?" * (name in optional)
        for index, name in enumerate(found.by_position)
    ]
    words += ["*"] * found.takes_more + ["|"] * bool(found.by_name)
    return " ".join([*words, *(name + "?" * (name in optional) for name in found.by_name)])


@pytest.mark.parametrize(("code", "told"), SURE.items())
def test_what_a_file_states_is_known(code: str, told: str) -> None:
    """Plain functions, classes with their own `__init__`, and dataclasses."""
    assert written(code) == told


@pytest.mark.parametrize("code", OPEN)
def test_nothing_is_claimed_of_anything_else(code: str) -> None:
    """Decorators, `**`, base classes and second definitions leave it open."""
    assert written(code) is None


def test_faults_of_a_call() -> None:
    """Each has its place, the message names the callable, and a hint the nearest name."""
    found = in_module(ast.parse("def f(text, /, width, *, end='', sep): ...").body, "f")
    assert found is not None
    assert list(found.faults("f", 1, ["width", "sep"], is_partial=False)) == []
    assert list(found.faults("f", 0, [], is_partial=True)) == []
    assert [
        (place, message) for place, message, _ in found.faults("f", 3, ["ends", "width"], is_partial=False)
    ] == [
        (("_args_",), "f takes 2 arguments by position, not 3"),
        (("ends",), "f has no argument 'ends'"),
        (("width",), "f has the argument 'width' by position, too"),
        ((), "f needs the argument 'sep'"),
    ]
