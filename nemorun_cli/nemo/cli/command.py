"""Reads the command line of an entrypoint: what it calls, with which values, and where."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

from nemorun_cli.cli import terminal
from nemorun_cli.errors import UsageError
from nemorun_cli.model.problems import choices
from nemorun_cli.nemo import calls
from nemorun_cli.nemo.cli import (
    assignments,
    config_files,
    factories,
    help_page,
    literals,
    making,
    options,
    overrides,
    starting,
)
from nemorun_cli.nemo.cli.annotations import described
from nemorun_cli.nemo.cli.assignments import WrittenValue
from nemorun_cli.nemo.cli.context import RunContext, listed, require_context
from nemorun_cli.nemo.cli.literals import Name, NamedCall
from nemorun_cli.spec import python_specs

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from nemorun_cli.nemo.cli.entrypoints import Entrypoint


def run(entrypoint: Entrypoint, words: Sequence[str], cmd_defaults: Mapping[str, Any]) -> None:
    """Start an entrypoint with the words of a command line.

    Raises:
        UsageError: an option or an argument is wrong.
    """
    line = options.parse(words)
    _require_fitting(entrypoint, line.fields)
    if line.fields.pop("help", False):
        terminal.write_lines(help_page.lines(entrypoint))
        terminal.flush()
        return
    context, call = prepared(entrypoint, line, cmd_defaults)
    if context.to_yaml or context.to_json:
        export(context, call)
    else:
        starting.start(entrypoint, context, call)


def _require_fitting(entrypoint: Entrypoint, fields: Mapping[str, Any]) -> None:
    """Refuse options that would have no effect."""
    without = [name for name in ("detach", "direct", "tail_logs", "name") if fields.get(name)]
    if without and not entrypoint.enable_executor:
        raise UsageError(
            f"--{without[0].replace('_', '-')}: {entrypoint.name} is called in this process, not run by exp",
            hint="its decorator has enable_executor=False",
        )


def prepared(
    entrypoint: Entrypoint, line: options.CommandLine, cmd_defaults: Mapping[str, Any]
) -> tuple[RunContext, calls.MutableCall[Any]]:
    """The context of a command line, and the complete call that it makes of an entrypoint.

    Raises:
        UsageError: an argument is wrong, or one is missing.
    """
    fields = {**options.defaults(cmd_defaults), **line.fields}
    own, others = _parted(_assignments(entrypoint, line.arguments), entrypoint)
    context = overrides.apply(_context(entrypoint, fields), own)
    files = [str(file) for file in (context.yaml, context.factory) if _is_file(file, context)]
    own_in_files, others_in_files = _parted(
        [each for file in files for each in config_files.named(file)], entrypoint
    )
    if own_in_files:
        context = overrides.apply(overrides.apply(_context(entrypoint, fields), own_in_files), own)
    call = overrides.apply(_begun(entrypoint, _factory(entrypoint, context, files)), others_in_files)
    call = overrides.with_defaults(overrides.apply(call, others))
    _require_complete(entrypoint, call)
    context.executor = _built(context.executor, "executor")
    context.plugins = [_built(plugin, "plugins") for plugin in listed(context.plugins)]
    return context, call


def export(context: RunContext, call: calls.MutableCall[Any]) -> None:
    """Write a call to the files that the command line names."""
    config_files.export(call, to_yaml=context.to_yaml, to_json=context.to_json)


def _context(entrypoint: Entrypoint, fields: Mapping[str, Any]) -> RunContext:
    kind = require_context(entrypoint.run_ctx_cls)
    context = kind(**{"name": entrypoint.name, "factory": entrypoint.default_factory, **fields})
    context.skip_confirmation = context.skip_confirmation or entrypoint.skip_confirmation
    context.executor = _copied(entrypoint.default_executor)
    context.plugins = _copied(entrypoint.default_plugins)
    return context


def _built(value: Any, path: str) -> Any:
    """The executor or the plugin that a Config describes; raises UsageError if it is not complete."""
    if isinstance(value, calls.Config) and (absent := overrides.missing(value, path)):
        kind = value.__fn_or_cls__.__name__
        raise UsageError(f"{kind} needs {', '.join(absent)}", hint=f"write {absent[0]}=…")
    return calls.build(value)


def _copied(value: Any) -> Any:
    """A copy of a default that arguments may change; a factory is called."""
    if isinstance(value, type) or inspect.isroutine(value):
        return value()
    if isinstance(value, (list, tuple)):
        return [_copied(each) for each in value]
    return value.clone() if hasattr(value, "clone") else value


def _assignments(entrypoint: Entrypoint, arguments: Iterable[str]) -> list[WrittenValue]:
    """The arguments; those without a name, which come first, by the order of the function's parameters."""
    found: list[WrittenValue] = []
    names = list(entrypoint.parameters())
    for argument in arguments:
        assignment = assignments.split(argument)
        if assignment is None:
            assignment = _by_position(argument, names, found, entrypoint)
        found += _with_file(assignment)
    return found


def _by_position(
    argument: str, names: Sequence[str], before: Sequence[WrittenValue], entrypoint: Entrypoint
) -> WrittenValue:
    if any(not each.is_positional for each in before):
        raise UsageError(f"{argument!r} comes after an argument with a name", hint="write name=value")
    if len(before) >= len(names):
        raise UsageError(
            f"{argument!r} is one argument too many for {entrypoint.name}",
            hint=f"write name=value; there are: {', '.join(names)}" if names else "it takes none",
        )
    return WrittenValue(
        argument=argument,
        steps=(names[len(before)],),
        operator="=",
        value=literals.read(argument),
        is_positional=True,
    )


def _with_file(assignment: WrittenValue) -> list[WrittenValue]:
    """The values of the file that an argument names, or the argument itself."""
    if assignment.operator == "=" and config_files.is_named(assignment.value):
        return config_files.named(assignment.value.source, assignment.steps)
    return [assignment]


def _parted(
    given: Iterable[WrittenValue], entrypoint: Entrypoint
) -> tuple[list[WrittenValue], list[WrittenValue]]:
    """The arguments of the context, `run.executor=…` or `executor=…`, and those of the function."""
    known = entrypoint.parameters()
    if not entrypoint.enable_executor:
        return [], list(given)
    prefixes = {"run", "ctx"} if entrypoint.takes_context else {"run"}
    own, others = [], []
    for each in given:
        first = each.steps[0]
        if first in prefixes - known.keys() and len(each.steps) > 1:
            own.append(each.below())
        elif first in ("executor", "plugins") and first not in known:
            own.append(each)
        else:
            others.append(each)
    return own, others


def _is_file(text: Any, context: RunContext) -> bool:
    return isinstance(text, str) and (text is context.yaml or text.startswith("@"))


def _factory(entrypoint: Entrypoint, context: RunContext, files: Sequence[str]) -> Any:
    """What the call begins with: what the command line, else a file, else the program chooses."""
    chosen = context.factory
    if isinstance(chosen, str) and not _is_file(chosen, context):
        return chosen
    for file in files:
        heading = config_files.heading(file)
        if heading.target is not None and heading.target.rpartition(".")[2] != entrypoint.fn.__name__:
            raise UsageError(f"{file} is for {heading.target}, not for {entrypoint.fn.__name__}")
        if heading.factory is not None:
            return heading.factory
    return None if isinstance(chosen, str) else chosen


def _begun(entrypoint: Entrypoint, factory: Any) -> calls.MutableCall[Any]:
    fn = entrypoint.fn
    if factory is None:
        return calls.Partial(fn)
    made = _by_name(fn, factory) if isinstance(factory, str) else factory()
    if not isinstance(made, calls.MutableCall) or not factories.is_same(made.__fn_or_cls__, fn):
        raise UsageError(f"the factory makes {made!r}, not a Partial of {fn.__name__}")
    return made.clone()


def _by_name(fn: Any, text: str) -> Any:
    """What the factory with a name makes: one of the function, or one of the program."""
    form = literals.read(text).form
    call = NamedCall(form.text, (), ()) if isinstance(form, Name) else form
    if not isinstance(call, NamedCall):
        raise UsageError(
            f"--factory {text}: expected a factory", hint="write --factory NAME or NAME(key=value)"
        )
    fitting = factories.of_function(fn)
    known = next((each.function for each in reversed(fitting) if each.answers(call.name)), None)
    known = known or factories.of_program(fn, call.name)
    if known is None:
        names = [each.name for each in fitting]
        raise UsageError(f"{fn.__name__} has no factory {call.name!r}", hint=choices(call.name, names))
    return making.called(known, call, "--factory")


def _require_complete(entrypoint: Entrypoint, call: calls.MutableCall[Any]) -> None:
    known = entrypoint.parameters()
    absent = [place for place in overrides.missing(call) if place in known or place != "ctx"]
    if absent:
        shown = [
            f"{place} ({described(known[place].annotation)})" if place in known else place for place in absent
        ]
        raise UsageError(
            f"{entrypoint.name} needs {', '.join(shown)}",
            hint=f"exp run PROGRAM -- {absent[0]}=…"
            if python_specs.only_builds()
            else f"write {absent[0]}=…; --help shows all arguments",
        )
