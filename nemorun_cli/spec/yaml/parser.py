"""Parses the YAML of a spec: one document of plain data by the YAML 1.2 core schema.

Values are built from the events of PyYAML, or of libyaml if it is installed, so the constructors of
PyYAML are never used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import yaml
from yaml.events import (
    AliasEvent,
    MappingEndEvent,
    MappingStartEvent,
    ScalarEvent,
    SequenceEndEvent,
    StreamEndEvent,
)

from nemorun_cli.errors import SpecError
from nemorun_cli.model.problems import Finding
from nemorun_cli.spec.yaml.scalars import NOT_TEXT_STARTS, scalar
from nemorun_cli.spec.yaml.source import SpecSource

if TYPE_CHECKING:
    from nemorun_cli.model.problems import Problem

MAX_VALUES = 500_000  # in a document, including values repeated by aliases; ten thousand tasks need 100,000
MAX_DEPTH = 64  # collections within collections

_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

_TAG = "tag:yaml.org,2002:"


def parse(source: SpecSource) -> Any:
    """Return the document of a source as plain data; raises SpecError with all its problems."""
    builder = _Builder(source)
    try:
        value = builder.document()
    except yaml.YAMLError as fault:
        builder.refuse_syntax(fault)
    if builder.problems:
        raise SpecError(builder.problems)
    return value


def option_value(text: str) -> Any:
    """Return the value of a `-p` or `--set`: a scalar or a flow collection; raises ValueError for neither.

    Only a text that begins with a bracket or a quote is parsed as YAML: `a: b` and `# x` are plain text.
    """
    if text[:1] in ("[", "{"):
        try:
            return parse(SpecSource(text, file="value", has_lines=False))
        except SpecError as fault:
            raise ValueError(fault.problems[0].message) from None
    if text[:1] in ("'", '"') and len(text) > 1 and text[-1] == text[0]:
        try:
            value = parse(SpecSource(text, file="value", has_lines=False))
        except SpecError:
            return text
        return value if isinstance(value, str) else text
    return scalar(text)


class _Stop(Exception):  # noqa: N818 - only ends the recursion, never leaves this module
    """Parsing cannot continue; the problem is already recorded."""


class _Builder:
    """Builds the data of a document and collects its problems."""

    def __init__(self, source: SpecSource) -> None:
        self.problems: list[Problem] = []
        self._source = source
        self._anchors: dict[str | None, tuple[Any, int]] = {}  # value and number of values in it
        self._open: set[str | None] = set()  # anchors with values still being built
        self._count = 0
        self._place: list[str | int] = []

    def refuse(self, mark: Any, message: str, hint: str | None = None) -> None:
        finding = Finding(place=tuple(self._place), message=message, hint=hint)
        self.problems.append(self._source.problem_at(mark.line, mark.column, finding))

    def refuse_syntax(self, fault: yaml.YAMLError) -> None:
        self._place.clear()
        if isinstance(fault, yaml.MarkedYAMLError):
            context = f", {fault.context}" if fault.context else ""
            message = f"is not YAML: {fault.problem}{context}"
            mark = fault.problem_mark or fault.context_mark
            self.refuse(mark, message, _syntax_hint(self._source.text.split("\n"), mark))
            return
        message = f"is not YAML: {str(fault).splitlines()[0]}"
        self.problems.append(Finding(place=(), message=message).problem(file=self._source.file))

    def document(self) -> Any:
        loader = _Loader(self._source.text)
        try:
            self._next = loader.get_event
            self._next()
            event = self._next()
            if isinstance(event, StreamEndEvent):
                return None
            value = self._value(self._next(), 0)
            self._next()
            if not isinstance(event := self._next(), StreamEndEvent):
                self.refuse(event.start_mark, "a second document begins here", "a spec is one document")
        except _Stop:
            return None
        finally:
            loader.dispose()
        return value

    def _value(self, event: Any, depth: int) -> Any:
        kind = type(event)
        if kind is AliasEvent:
            return self._alias(event)
        self._count += 1
        if self._count > MAX_VALUES:
            self._stop(event, f"the document has more than {MAX_VALUES:,} values")
        if event.anchor is not None:
            return self._anchored(event, depth)
        if kind is ScalarEvent:
            text = event.value
            if text[:1] not in NOT_TEXT_STARTS and text and event.tag is None:
                return text
            return self._tagged(event)
        return self._collection(event, depth)

    def _anchored(self, event: Any, depth: int) -> Any:
        name, before = event.anchor, self._count
        self._open.add(name)
        value = self._tagged(event) if type(event) is ScalarEvent else self._collection(event, depth)
        self._open.discard(name)
        self._anchors[name] = (value, self._count - before + 1)
        return value

    def _alias(self, event: AliasEvent) -> Any:
        name = event.anchor
        if name in self._open:
            self._stop(event, f"*{name} is inside the value that it repeats")
        if name not in self._anchors:
            self._stop(event, f"no anchor is called &{name}")
        value, size = self._anchors[name]
        self._count += size
        if self._count > MAX_VALUES:
            self._stop(event, f"with its aliases the document has more than {MAX_VALUES:,} values")
        return value

    def _stop(self, event: Any, message: str) -> None:
        self.refuse(event.start_mark, message)
        raise _Stop

    def _tagged(self, event: ScalarEvent) -> Any:
        """Return the value of a scalar that is quoted or has a tag."""
        tag, text = event.tag, event.value
        if tag is None:
            return self._plain(event) if event.implicit[0] else text
        if tag in ("!", _TAG + "str"):
            return text
        value = self._plain(event)
        fits = {"null": value is None, "bool": isinstance(value, bool), "int": _is(value, int)}
        fits["float"] = _is(value, (int, float))
        name = tag.removeprefix(_TAG)
        if name not in fits or not tag.startswith(_TAG):
            self._refuse_tag(event)
        elif not fits[name]:
            self.refuse(event.start_mark, f"{text!r} is not a valid !!{name}")
        return float(value) if name == "float" and _is(value, int) else value

    def _plain(self, event: ScalarEvent) -> Any:
        try:
            return scalar(event.value)
        except ValueError as fault:
            self.refuse(event.start_mark, str(fault), "quote it if it is text")
            return None

    def _refuse_tag(self, event: Any) -> None:
        shown = event.tag.replace(_TAG, "!!")
        self.refuse(
            event.start_mark,
            f"the tag {shown} is not allowed",
            "specs contain plain data only; remove the tag",
        )

    def _collection(self, event: Any, depth: int) -> Any:
        if depth >= MAX_DEPTH:
            self._stop(event, f"collections are nested more than {MAX_DEPTH} deep")
        is_mapping = type(event) is MappingStartEvent
        if event.tag is not None and event.tag not in ("!", _TAG + ("map" if is_mapping else "seq")):
            self._refuse_tag(event)
        return self._mapping(depth + 1) if is_mapping else self._sequence(depth + 1)

    def _sequence(self, depth: int) -> list[Any]:
        values: list[Any] = []
        place = self._place
        while type(event := self._next()) is not SequenceEndEvent:
            place.append(len(values))
            values.append(self._value(event, depth))
            place.pop()
        return values

    def _mapping(self, depth: int) -> dict[str, Any]:
        values: dict[str, Any] = {}
        merged: list[dict[str, Any]] = []
        place = self._place
        while type(event := self._next()) is not MappingEndEvent:
            key = self._key(event, depth)
            place.append(key)
            if key == "<<" and event.implicit[0]:
                merged += self._merged(depth)
            else:
                if key in values:
                    self.refuse(event.start_mark, f"duplicate key {key!r}", "remove one of them")
                values[key] = self._value(self._next(), depth)
            place.pop()
        for other in merged:
            values = {**other, **values}
        return values

    def _key(self, event: Any, depth: int) -> str:
        if type(event) is ScalarEvent and event.anchor is None and event.tag is None:
            text: str = event.value
            if text[:1] not in NOT_TEXT_STARTS and text:
                return text
            if not event.implicit[0]:
                return text
        mark = event.start_mark
        key = self._value(event, depth)
        if isinstance(key, str):
            return key
        shown = event.value if type(event) is ScalarEvent else "a collection"
        self.refuse(mark, f"a key must be text, which {shown or 'an empty key'} is not", "put it in quotes")
        return str(shown)

    def _merged(self, depth: int) -> list[dict[str, Any]]:
        event = self._next()
        value = self._value(event, depth)
        values = value if isinstance(value, list) else [value]
        if all(isinstance(item, dict) for item in values):
            return values
        self.refuse(event.start_mark, "<< needs a mapping or a list of mappings")
        return []


def _is(value: Any, kinds: type | tuple[type, ...]) -> bool:
    return isinstance(value, kinds) and not isinstance(value, bool)


def _syntax_hint(lines: list[str], mark: Any) -> str | None:
    """Return a hint for the two mistakes that the messages of YAML do not explain."""
    line = lines[mark.line] if mark.line < len(lines) else ""
    if line[mark.column : mark.column + 1] == "\t":
        return "indent with spaces: YAML does not allow tabs"
    if _EXPRESSION in line[: mark.column + len(_EXPRESSION)]:
        return 'put the expression in quotes: "${{ … }}"'
    return None


_EXPRESSION: Final = "${{"  # YAML parses its braces as a mapping within brackets and braces
