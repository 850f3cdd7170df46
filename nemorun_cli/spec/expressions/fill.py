"""Fills in the expressions of a spec, except those that need the outputs of tasks."""

from __future__ import annotations

import json
import shlex
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from nemorun_cli.model.handlers import RUN_AFTER
from nemorun_cli.model.plain_text import text_of
from nemorun_cli.model.problems import Finding, shown
from nemorun_cli.spec.expressions import searched_keys
from nemorun_cli.spec.expressions.evaluate import (
    compile_only,
    could_take_long,
    evaluate,
    is_of_best,
    named,
    touches_unknown,
    value_of,
    word_of,
)
from nemorun_cli.spec.expressions.limits import ALL_TIME
from nemorun_cli.spec.expressions.syntax import (
    MAX_LENGTH,
    OPENING,
    SOMETIMES,
    UNKNOWN,
    Expression,
    TemplateError,
    pieces,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping

    from nemorun_cli.model.problems import Place
    from nemorun_cli.spec.expressions.evaluate import Evaluator
    from nemorun_cli.spec.expressions.syntax import Parsed

LITERAL_SECTIONS = frozenset(("version", "name", "params"))  # in these, `${{` is ordinary text
_TASKS = frozenset(("tasks", *RUN_AFTER))
_SHELL_ROLES = frozenset(("inline", "shell"))  # in these, a value must not be shell syntax
_SHELL_OPTIONS = (  # of executors
    ("setup_lines",),
    ("tunnel", "pre_command"),
    ("healthcheck", "test"),
    ("extra", "healthcheck", "test"),
)
_LATE_VALUES = {  # what a text uses, and its subject in a hint
    "best": ("the best of a group, which is", "it"),
    "outputs": ("outputs of a task, which are", "outputs"),
    "search": ("values of a trial, which are", "them"),
}
_WHOLE = (("args",), ("cache",), ("env",))  # of which a late text can only be a part
_SHARED_KEYS = frozenset(("best", "dependencies", "fail_fast", "together", "until"))  # by all members
LATE_KEYS = frozenset(("args", "cache", "command", "inline", "env", "workdir", "when"))  # of tasks


class LateText(str):  # noqa: SLOT000 - a subclass of str cannot have nonempty slots
    """A text that stays unfilled until the tasks that it uses have finished, or its trial has values."""

    place: Place
    uses: Mapping[str, str]  # ids of tasks and groups, each with an expression that names it
    bests: Collection[str]  # the groups whose best member it uses


@dataclass(slots=True)
class _Uses:
    """What the expressions of a text use that is known later: see LateText."""

    tasks: dict[str, str] = field(default_factory=dict)
    bests: set[str] = field(default_factory=set)
    search: bool = False  # values of a trial

    @property
    def are_late(self) -> bool:
        return bool(self.tasks) or self.search


class DoubtfulText(str):
    """A text whose value is unknown because of another problem; it causes no further messages."""

    __slots__ = ()


class VaryingText(str):  # noqa: SLOT000 - as LateText
    """A text of a task with a matrix, filled in for each combination of values."""

    place: Place
    fill: Callable[[Mapping[str, Any], str], Any]  # from names and the id of the member
    rest: str | None  # for a trial, the text with its known values filled in; None in a matrix
    searched: frozenset[str]  # the params of a search that it uses; "" stands for all of them


@dataclass(frozen=True, slots=True)
class _Pending:
    """An expression that uses matrix values, parsed once for all combinations."""

    expression: Expression
    parsed: Parsed

    def value(self, names: Mapping[str, Any], role: str, evaluator: Evaluator) -> Any:
        with named(self.expression):
            value = value_of(self.parsed, names, evaluator)
        return word_of(self.expression, value, role) if role in _SHELL_ROLES else value


class Filler:
    """Fills in the texts of a spec; collects the problems in `findings`.

    `filled`, `unfilled` and `varying` are the places of texts with expressions. `evaluator` evaluates
    expressions that could take long.
    """

    def __init__(self, names: dict[str, Any], evaluator: Evaluator) -> None:
        self.names = names
        self._evaluator = evaluator
        self._deadline = time.monotonic() + ALL_TIME
        self.findings: list[Finding] = []
        self.filled: set[Place] = set()
        self.unfilled: set[Place] = set()
        self.varying: set[Place] = set()
        self.uses_identity = False
        self.unique: set[Place] = set()  # of texts with the id or the folder of the experiment
        self.doubts = 0  # how many times a text could not be filled in

    def spec(self, data: Mapping[str, Any]) -> dict[str, Any]:
        """Return the whole spec, filled in."""
        return {
            key: value if key in LITERAL_SECTIONS else self.tree(value, (key,)) for key, value in data.items()
        }

    def tree(self, value: Any, place: Place) -> Any:
        """Return a part of the spec, filled in; its `place` determines the roles of its texts."""
        if isinstance(value, str):
            return self._text(value, place) if OPENING in value else value
        if isinstance(value, dict):
            return {key: self.tree(item, (*place, key)) for key, item in value.items()}
        if isinstance(value, list):
            return [self.tree(item, (*place, index)) for index, item in enumerate(value)]
        return value

    def _text(self, text: str, place: Place) -> Any:
        role = _role(place)
        try:
            text_parts = [text] if role == "words" else pieces(text)
            if role == "words":
                return self._words(text, place)
        except TemplateError as fault:
            self._find(fault, place)
            return self._unfilled(text, place)
        uses = _Uses()
        parts = [
            part if isinstance(part, str) else self._part(part, role, place, uses) for part in text_parts
        ]
        if any(part is UNKNOWN for part in parts):
            return self._unfilled(text, place)
        if any(isinstance(part, _Pending) for part in parts):
            return self._varying(text, parts, role, place, uses)
        return self._late(parts, place, uses) if uses.are_late else self._ready(text, parts, role, place)

    def _ready(self, text: str, parts: list[Any], role: str, place: Place) -> Any:
        self.filled.add(place)
        try:
            return self._whole(parts, role)
        except TemplateError as fault:
            self._find(fault, place)
            return self._unfilled(text, place)

    def _varying(self, text: str, parts: list[Any], role: str, place: Place, uses: _Uses) -> str:
        axes = _axes_of(parts)
        known: dict[tuple[int, ...], tuple[Any, Any]] = {}

        def fill(names: Mapping[str, Any], member: str) -> Any:
            if axes is None:
                return evaluated(names, member)
            values = [names["matrix"].get(axis, UNKNOWN) for axis in axes]
            key = tuple(map(id, values))  # equal values can be written differently: `1`, `1.0`, `true`
            if (earlier := known.get(key)) is not None:
                return earlier[1]
            result = evaluated(names, member)
            if type(result) in _KEPT_RESULTS and len(known) < _MOST_KEPT:
                known[key] = values, result  # with the values, so that no other object gets their ids
            return result

        def evaluated(names: Mapping[str, Any], member: str) -> Any:
            try:
                self._check_time()
                values = [
                    part.value(names, role, self._evaluator) if isinstance(part, _Pending) else part
                    for part in parts
                ]
                return self._late(values, place, uses) if uses.are_late else self._whole(values, role)
            except TemplateError as fault:
                if place not in self.unfilled:  # reported once, for the first member with the problem
                    message = f"{fault.message} (of {member})"
                    self._find(TemplateError(message, hint=fault.hint, raw=fault.raw), place)
                return self._unfilled(text, place)

        varying = VaryingText(text)
        varying.place, varying.fill = place, fill
        is_searched = any(_is_searched(part) for part in parts)
        varying.rest = _with_known_values([_plain_part(part) for part in parts]) if is_searched else None
        varying.searched = frozenset(name for part in parts for name in _searched_params(part))
        self.filled.add(place)
        self.varying.add(place)
        return varying

    def _part(self, part: Expression, role: str, place: Place, uses: _Uses) -> Any:
        """Return the value of an expression, itself if it is filled in later, UNKNOWN if it has a problem."""
        try:
            self._check_time()
            checked = compile_only(part, self.names)
            tasks = {name.keys[0]: part.raw for name in checked.references if name.root == "tasks"}
            tasks |= {
                f"{name.keys[0]}:{name.keys[2]}": part.raw
                for name in checked.references
                if name.root == "experiments"
            }
            _refuse_of_member(checked, place)
            _refuse_sometimes(checked, self.names)
            uses_search = any(name.root == "search" for name in checked.references)
            if uses_search and not tasks and searched_keys.field_keys(_task_keys(place)) is not None:
                _refuse_unsearched(part, checked)
                return _Pending(part, checked)
            decides_form = uses_search and not tasks and decides_variant(place)
            uses.search |= uses_search and not decides_form
            if tasks or (uses_search and not decides_form):
                uses.tasks.update(tasks)
                uses.bests.update(name.keys[0] for name in checked.references if is_of_best(name))
                return part
            if touches_unknown(checked, self.names) and not decides_form:
                return UNKNOWN
            self.uses_identity |= any(name.root == "experiment" for name in checked.references)
            if any(name.root == "experiment" and name.keys[:1] != ("name",) for name in checked.references):
                self.unique.add(place)
            if decides_form or any(name.root == "matrix" for name in checked.references):
                return _Pending(part, checked)
            value = evaluate(part, self.names, self._evaluator)
            return word_of(part, value, role) if role in _SHELL_ROLES else value
        except TemplateError as fault:
            self._find(fault, place)
            return UNKNOWN

    @staticmethod
    def _whole(parts: list[Any], role: str) -> Any:
        if len(parts) > 1 or role in ("inline", "shell", "word"):
            return "".join(text_of(part) for part in parts)
        if role == "when" and not isinstance(parts[0], bool):
            raise TemplateError(f"evaluates to {shown(parts[0])}, not true or false")
        return parts[0]

    def _late(self, parts: list[Any], place: Place, uses: _Uses) -> str:
        if not _may_be_late(place):
            what, subject = _LATE_VALUES["best" if uses.bests else "outputs" if uses.tasks else "search"]
            hint = f"{subject} can be used in these keys of tasks: {', '.join(sorted(LATE_KEYS))}"
            hint = hint if uses.tasks else "use them in the other keys of the task"
            self._find(TemplateError(f"uses {what} not known yet", hint=hint), place)
            return self._unfilled("", place)
        late = LateText(_with_known_values(parts))
        late.place, late.uses, late.bests = place, uses.tasks, uses.bests
        return late

    def _words(self, text: str, place: Place) -> list[Any]:
        """Split a command into words, then fill in each word, so that a value is always a single argument."""
        return [
            self._text(word, (*place, index)) if OPENING in word else word
            for index, word in enumerate(split(text))
        ]

    def _check_time(self) -> None:
        if time.monotonic() > self._deadline:
            raise TemplateError(f"the expressions of the spec take more than {ALL_TIME:g} s in all")

    def _find(self, fault: TemplateError, place: Place) -> None:
        self.findings.append(Finding(place=place, message=fault.message, hint=fault.hint, needle=fault.raw))

    def _unfilled(self, text: str, place: Place) -> DoubtfulText:
        self.unfilled.add(place)
        self.doubts += 1
        return DoubtfulText(text)


# Types of results that members of a sweep can share, and how many are kept of one text.
_KEPT_RESULTS: Final = frozenset((str, int, float, bool, LateText))
_MOST_KEPT: Final = 10_000


def _axes_of(parts: list[Any]) -> tuple[str, ...] | None:
    """The axes that determine the value of a text in a matrix; None if more than these could."""
    references = [name for part in parts if isinstance(part, _Pending) for name in part.parsed.references]
    varying = [name for name in references if name.root in ("matrix", "search")]
    if any(name.root == "search" or not name.keys for name in varying):
        return None
    return tuple(dict.fromkeys(name.keys[0] for name in varying))


def _is_searched(part: Any) -> bool:
    return isinstance(part, _Pending) and any(name.root == "search" for name in part.parsed.references)


def _searched_params(part: Any) -> Iterator[str]:
    """The params of a search that a part of a text uses; "" if it uses the mapping of all."""
    for name in part.parsed.references if isinstance(part, _Pending) else ():
        if name.root == "search":
            yield str(name.keys[0]) if name.keys else ""


def _plain_part(part: Any) -> Any:
    return part.expression if isinstance(part, _Pending) else part


def _refuse_unsearched(expression: Expression, checked: Parsed) -> None:
    """Refuse an expression that needs more than the values of a trial; raises TemplateError."""
    hint = "compute it in the task"
    if any(name.root == "experiment" for name in checked.references):
        raise TemplateError("search cannot be combined with experiment in this key", hint=hint)
    if could_take_long(expression.raw):
        raise TemplateError("is too complex for this key", hint=hint)


def _refuse_of_member(expression: Parsed, place: Place) -> None:
    """Refuse values of a member in a key that all members share; raises TemplateError."""
    keys = place[2:3] if place[0] == "tasks" else ()
    root = next((name.root for name in expression.references if name.root in ("matrix", "search")), None)
    if root is None or not _SHARED_KEYS.issuperset(keys) or not keys:
        return
    hint = "write {task: NAME, same: matrix} for the matching member" if keys == ("dependencies",) else None
    message = f"is one for all members, so it cannot use values of the {root}"
    raise TemplateError(message, hint=hint if root == "matrix" else None)


def _refuse_sometimes(expression: Parsed, names: Mapping[str, Any]) -> None:
    """Refuse a plain use of a value that some trials do not have; raises TemplateError."""
    used = expression.sole
    if used is None or used.root != "search" or not used.keys or names["search"] is UNKNOWN:
        return
    if names["search"][used.keys[0]] is SOMETIMES:
        hint = f"write {used} | default(0), or another value for them"
        raise TemplateError(f"{used} has no value in trials in which its `when` is false", hint=hint)


def _with_known_values(parts: list[Any]) -> str:
    """Return a late text with its known values inserted so that they are not parsed as expressions."""
    plain = "".join(part.raw if isinstance(part, Expression) else text_of(part) for part in parts)
    waiting = [part for part in parts if isinstance(part, Expression)]
    try:
        if [part for part in pieces(plain) if isinstance(part, Expression)] == waiting:
            return plain
    except TemplateError:
        pass  # a known value contains what looks like the beginning of an expression
    return "".join(
        part.raw if isinstance(part, Expression) else _as_literals(text_of(part)) for part in parts
    )


def _as_literals(text: str) -> str:
    """Return expressions that evaluate to the text."""
    chunks = [text[start : start + _CHUNK] for start in range(0, len(text), _CHUNK)]
    return "".join(f"{OPENING} {json.dumps(chunk, ensure_ascii=False)} }}}}" for chunk in chunks)


_CHUNK = MAX_LENGTH // 6  # characters; the JSON form of a character may take six


def late_texts(value: Any, pointer: str) -> Iterator[tuple[str, LateText]]:
    """Yield the late texts with their JSON pointers (RFC 6901)."""
    if isinstance(value, LateText):
        yield pointer, value
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from late_texts(item, f"{pointer}/{key.replace('~', '~0').replace('/', '~1')}")
    elif isinstance(value, (list, tuple)):
        for index, item in enumerate(value):
            yield from late_texts(item, f"{pointer}/{index}")


def as_plain(value: Any) -> Any:
    """Return the value with late texts as plain strings."""
    if isinstance(value, LateText):
        return str(value)
    if isinstance(value, dict):
        return {key: as_plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(as_plain(item) for item in value)
    return value


def split(text: str) -> list[str]:
    """Split a text into words as a shell would, keeping expressions whole; raises TemplateError."""
    if not any(char in text for char in "'\"\\$"):
        return text.split()
    parts = pieces(text)
    marker = "\x00"  # cannot be part of an argument of a process
    if marker in text:
        raise TemplateError("contains a NUL character, which a process cannot receive")
    bare = "".join(
        part if isinstance(part, str) else f"{marker}{index}{marker}" for index, part in enumerate(parts)
    )
    try:
        words = shlex.split(bare)
    except ValueError as fault:
        raise TemplateError(f"cannot be split: {str(fault).lower()}", hint="close the quote") from None
    for index, part in enumerate(parts):
        if isinstance(part, Expression):
            words = [word.replace(f"{marker}{index}{marker}", part.raw) for word in words]
    return words


def _task_keys(place: Place) -> Place:
    """Return the keys of a place below its task, member or `defaults`; empty outside of these."""
    if place[0] == "defaults":
        return place[1:]
    if place[0] not in _TASKS:
        return ()
    return place[4:] if place[2:3] == ("group",) else place[2:]


def _role(place: Place) -> str:
    """Return how a text is filled in: as words, word, inline, shell, when or value."""
    if place[0] == "executors" and _is_shell_option(place[2:]):
        return "shell"
    keys = _task_keys(place)
    is_secret = place[-3:-2] == ("secrets",) and place[-1] == "command"
    if is_secret or keys in (("command",), ("entrypoint",), ("launcher", "wrap")):
        return "words"
    if keys in (("inline",), ("when",)):
        return str(keys[0])
    is_item = len(keys) > 1 and isinstance(keys[1], int) and keys[0] in ("command", "entrypoint", "args")
    return "word" if is_item or place[-2:-1] == ("env",) else "value"


def _is_shell_option(keys: Place) -> bool:
    """Whether these keys of an executor lead to shell text, or to an item of a list of it."""
    return any(keys[: len(option)] == option for option in _SHELL_OPTIONS)


def decides_variant(place: Place) -> bool:
    """Whether this key of a task is filled in for each form that its trials can take."""
    keys = _task_keys(place)
    return (
        place[0] == "tasks"
        and keys[:1] not in ((), ("search",))
        and (keys in _WHOLE or not _may_be_late(place))
        and searched_keys.field_keys(keys) is None
    )


def _may_be_late(place: Place) -> bool:
    keys = _task_keys(place)
    return keys[:1] != () and (keys[0] in LATE_KEYS or (keys[0] == "search" and keys[-1] == "when"))


def words(value: Any) -> list[str]:
    """Return an argument list from a list, or from a text split as a shell would; raises TemplateError."""
    return split(value) if isinstance(value, str) else [_word(item) for item in value]


def _word(item: Any) -> str:
    return item if isinstance(item, str) else text_of(item)
