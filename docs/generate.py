"""Writes the reference pages that are made from the code: the commands, the keys of a spec, the Python API.

    python docs/generate.py

Run it after a change of a command, of the schema or of a public docstring; a test compares the pages.
"""

from __future__ import annotations

import functools
import html
import inspect
import re
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import griffe

import nemorun_cli
from nemorun_cli import executors
from nemorun_cli.cli import app
from nemorun_cli.cli.subcommands import SUBCOMMANDS
from nemorun_cli.errors import EngineError, LedgerError, NotFoundError, NotOverError
from nemorun_cli.model.status import EXIT_CODES, ExperimentStatus
from nemorun_cli.spec.schema import reference, walk

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

REFERENCE: Final = Path(__file__).parent / "reference"
ROOT: Final = REFERENCE.parents[1]
LONGEST_SIGNATURE: Final = 88  # columns; a longer one has a line for each argument

Row = tuple[str, ...]


def table(head: Row, rows: Iterable[Row]) -> list[str]:
    """The lines of a table; columns in which every row is empty are left out."""
    content = list(rows)
    columns = [number for number in range(len(head)) if any(row[number] for row in content)]
    lines = [
        "| " + " | ".join(row[number].replace("\n", " ") for number in columns) + " |"
        for row in (head, *content)
    ]
    return [lines[0], "|" + "---|" * len(columns), *lines[1:], ""] if content else []


def code(text: str) -> str:
    """A text as inline code in a table, where a bar between backticks is shown differently everywhere."""
    if "|" in text:
        return f"<code>{html.escape(text, quote=False).replace('|', '&#124;')}</code>"
    return f"`{text}`" if text else ""


def prose(text: str) -> str:
    """A text in a table, with nothing in it that is Markdown but inline code."""
    parts = re.split(r"`([^`]+)`", text)
    plain = [re.sub(r"([*_\[])", r"\\\1", html.escape(part, quote=False)) for part in parts[::2]]
    quoted = [code(part) for part in parts[1::2]]
    return "".join(part for pair in zip(plain, [*quoted, ""], strict=True) for part in pair).replace(
        "|", "&#124;"
    )


def fenced(language: str, text: str) -> list[str]:
    """The lines of a block of code."""
    return [f"```{language}", *text.splitlines(), "```", ""]


# -- commands -------------------------------------------------------------------------------------------

RESULT: Final = ", ".join(
    f"{code} {status}" for status, code in EXIT_CODES.items() if code != NotOverError.exit_code
)
STARTED: Final = f"that of the experiment: {RESULT}. With `--detach` or `--dry-run`: 0"
CODES: Final = {
    "validate": f"{EngineError.exit_code} if the spec has no problem, but `--engines` found one of an engine",
    "run": STARTED,
    "resume": STARTED,
    "rerun": STARTED,
    "status": f"with `--exit-code` that of the experiment: {RESULT}; {NotOverError.exit_code} while it runs",
    "attach": f"that of the experiment: {RESULT}",
    "logs": f"with `--follow` {EXIT_CODES[ExperimentStatus.INTERRUPTED]} if the experiment is INTERRUPTED",
    "wait": f"that of the experiment: {RESULT}. {NotOverError.exit_code} after the `--timeout`",
    "metrics": f"with `--follow` {EXIT_CODES[ExperimentStatus.INTERRUPTED]} if the experiment is INTERRUPTED",
    "compare": f"with `--best` {NotFoundError.exit_code} if no record qualifies",
    "serve": "0 after SIGTERM, 130 after Ctrl-C",
    "serve check": f"{LedgerError.exit_code} if a replica has a problem",
    "sync": f"{NotOverError.exit_code} if something is left, {EngineError.exit_code} if a server is down",
    "records import": f"{LedgerError.exit_code} if something cannot be taken over",
    "doctor": f"{EngineError.exit_code} for problems of engines alone, {LedgerError.exit_code} for others",
    "fsck": f"{LedgerError.exit_code} if the experiment is damaged, and was not repaired",
}
"""The exit codes that commands return; those of errors are alike everywhere."""


def commands() -> str:
    """The page with every command."""
    lines = [
        "# Commands",
        "",
        "Made by `docs/generate.py` from the help of the commands, which `exp COMMAND --help` prints.",
        "",
        "Every command ends with 0 or with one of the [exit codes](exit-codes.md). Each flag has",
        "a form with `--no-` that takes it back, such as `--no-json`. `EXP` is an id, a name (its latest",
        "experiment), the beginning of an id that only one has, or `latest`.",
        "",
    ]
    for heading, section in app.SECTIONS.items():
        rows = [(f"[`exp {name}`](#exp-{name})", line) for name, line in section.items()]
        lines += [f"**{heading}**", "", *table(("command", "purpose"), rows)]
    for name in app.COMMANDS:
        longer = [each for each in SUBCOMMANDS if each.startswith(f"{name} ")]
        lines += [line for each in (name, *longer) for line in _command(each)]
    return _page(lines)


def _command(name: str) -> list[str]:
    command = app.build(name)
    context = command.make_context(name, [], resilient_parsing=True)
    usage = " ".join(["exp", name, *command.collect_usage_pieces(context)])
    text, _, rest = inspect.cleandoc(command.help).partition(f"\n\n\b\n{app.EXAMPLES}\n")
    examples, _, note = rest.partition("\n\n")
    parameters = [each for each in command.get_params(context) if not each.is_eager]
    arguments = [each for each in parameters if each.param_type_name == "argument"]
    options = [each for each in parameters if each.param_type_name == "option" and not each.hidden]
    return [
        f"## exp {name}",
        "",
        *fenced("text", usage),
        prose(text),
        "",
        *table(("argument", "meaning"), [(code(each.metavar), prose(each.help or "")) for each in arguments]),
        *table(("option", "meaning", "default"), map(_option, options)),
        *([f"Exit code: {CODES[name]}.", ""] if name in CODES else []),
        *(fenced("text", textwrap.dedent(examples)) if examples else []),
        prose(note),
        "",
    ]


def _option(option: Any) -> Row:
    names = ", ".join(code(name) for name in option.opts)
    value = f" {code(option.metavar)}" if option.metavar and not option.is_flag else ""
    default = code(str(option.default)) if isinstance(option.default, str) else ""
    return f"{names}{value}", prose(option.help or ""), default


# -- keys of a spec -------------------------------------------------------------------------------------

APART: Final = ("tasks", "defaults", "executors", "on_success", "on_failure", "on_exit")
"""Keys at the top level that have sections of their own."""
GROUP: Final = "tasks.NAME.group"
"""The members of a group have one too."""


def spec_keys() -> str:
    """The page with every key of a spec."""
    shown: dict[Row, str] = {}
    spec = walk.properties(walk.experiment())
    task = _named(spec["tasks"])
    member = next(piece["items"] for piece in walk.pieces(walk.properties(task)["group"]) if "items" in piece)
    lines = [
        "# Keys of a spec",
        "",
        "Made by `docs/generate.py` from the schema, like the text of `exp schema PATH`.",
        "[The spec](spec/index.md) explains the keys with examples. `NAME` is a name of your choice;",
        "`[]` is each item of a list.",
        "",
        "## Top level",
        "",
        *_keys("", {key: part for key, part in spec.items() if key not in APART}, shown),
        "These keys have sections of their own:",
        "",
        *_keys("", {key: spec[key] for key in APART}, shown, is_deep=False),
        "## Tasks",
        "",
        *_keys("tasks.NAME", walk.properties(task), shown),
    ]
    for heading, path, part in (
        ("Members of a group", f"{GROUP}[]", member),
        ("Defaults", "defaults", spec["defaults"]),
        ("Handlers", "on_exit.NAME", _named(spec["on_exit"])),
    ):
        keys = walk.properties(part)
        common = [key for key in keys if key in walk.properties(task) and key != "executor"]
        others = {key: inner for key, inner in keys.items() if key not in common}
        lines += [f"## {heading}", "", *_keys(path, others, shown)]
        lines += [
            f"The keys of a [task](#tasks) below `{path}`: {', '.join(f'`{key}`' for key in common)}.",
            "",
        ]
    lines += [
        "`on_success.NAME` and `on_failure.NAME` have the keys of `on_exit.NAME`.",
        "",
        "## Executors",
        "",
        *_keys("executors.NAME", walk.properties(_named(spec["executors"])), shown),
    ]
    for kind in executors.built_in():
        options = executors.options_schema(kind) or {}
        lines += [f"### Options of {kind}", "", *_keys("", options["properties"], shown)]
    return _page(lines)


def _named(part: Mapping[str, Any]) -> Mapping[str, Any]:
    """The schema of the entries under names of the user."""
    return walk.names(part) or {}


def _keys(
    path: str, keys: Mapping[str, Mapping[str, Any]], shown: dict[Row, str], *, is_deep: bool = True
) -> list[str]:
    rows = _rows(path, keys, shown) if is_deep else (_row(key, part, "") for key, part in keys.items())
    return table(("key", "value", "default", "meaning"), rows)


def _rows(path: str, keys: Mapping[str, Mapping[str, Any]], shown: dict[Row, str]) -> Iterator[Row]:
    """A row for each key and the keys below it; those that stand elsewhere already are referred to."""
    for key, part in keys.items():
        place = f"{path}.{key}".lstrip(".")
        below = {} if place == GROUP else _below(part)
        known = shown.setdefault((key.removeprefix("[]."), *_paths(below)), place) if below else place
        yield _row(place, part, f"Its keys are those of `{known}`." if known != place else "")
        if known == place:
            yield from _rows(place, below, shown)


def _paths(keys: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    for key, part in keys.items():
        yield key
        yield from (f"{key}.{inner}" for inner in _paths(_below(part)))


def _below(part: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """The keys below a part: its own, that of the user's names, and those of the items of a list."""
    keys = dict(walk.properties(part))
    entry = walk.names(part)
    if entry is not None and (_meaning(entry) or _below(entry)):
        keys["NAME"] = entry
    for piece in walk.pieces(part):
        if "items" in piece:
            keys |= {f"[].{key}": inner for key, inner in _below(piece["items"]).items() if key not in keys}
    return keys


def _row(place: str, part: Mapping[str, Any], addition: str) -> Row:
    place = place.replace(".[]", "[]")
    default = reference.keyword(part, "default")
    kind = reference.kind(part)
    written = "" if default is None else code(reference.written(default))
    return code(place), prose(kind), written, " ".join(filter(None, (prose(_meaning(part)), addition)))


def _meaning(part: Mapping[str, Any]) -> str:
    return reference.keyword(part, "description") or ""


# -- the Python API -------------------------------------------------------------------------------------

API: Final = {
    "Experiments": {
        "experiment/launch.py": ["run"],
        "experiment/run.py": ["find", "runs", "Run"],
        "views/snapshot.py": ["Snapshot"],
    },
    "Organizing": {
        "experiment/organize.py": ["restore", "find_record", "close_record", "remove_record"],
        "experiment/trash.py": ["Removal", "TrashItem"],
        "tracking/access/reader.py": ["Record"],
    },
    "Building specs": {
        "builder.py": ["Builder"],
        "parts.py": [
            "Script",
            "Command",
            "Partial",
            "Config",
            "Executor",
            "LocalExecutor",
            "DockerExecutor",
            "SlurmExecutor",
        ],
    },
    "Tracking": {
        "tracking/experiment.py": ["Experiment", "ml_dash_experiment"],
        "tracking/lifecycle.py": ["Lifecycle"],
        "tracking/params.py": ["Params"],
        "tracking/metrics.py": ["Metrics", "Metric"],
        "tracking/logs.py": ["Logs"],
        "tracking/files.py": ["Files"],
        "tracking/tracks.py": ["Tracks", "Track", "Slice"],
    },
    "Errors": {"errors.py": ["ExpError", "SpecError"]},
}
"""The public names by the files that define them, with the classes that their methods return."""
PARTS_OF_COMMANDS: Final = {
    "Run": {"plan_change", "plan_resume", "require_gone", "spec"},
    "Snapshot": {
        "active_duration",
        "duration",
        "is_responding",
        "label",
        "match_tasks",
        "members",
        "message",
        "observe_remedy",
        "stall_remedy",
        "stall_text",
        "sweep",
        "task_json",
    },
    "Removal": {"files", "to_json"},
    "TrashItem": {"is_beside_records", "is_there", "is_unreachable", "label", "obstacle", "to_json"},
    "Record": {"ids", "place", "torn"},
    "Builder": {"document", "plugins"},
    "Script": {"entry", "name"},
    "Command": {"entry", "name"},
    "Partial": {"entry", "name"},
    "Experiment": {"add", "dryrun", "cancel", "move"},
    "Lifecycle": {"exited", "terminated", "forked"},
    "Metrics": {"move", "finish"},
    "Logs": {"take", "write"},
    "Track": {"move"},
    "Tracks": {"move"},
}
"""Methods that other modules need and programs do not."""
DEFAULTS: Final = {"LATEST": "'latest'", "_NO_TEXT": "..."}
"""Constants that signatures name, as programs write them."""


def python() -> str:
    """The page with every public name of Python."""
    lines = [
        "# Python API",
        "",
        "Made by `docs/generate.py` from the docstrings. What `nemorun_cli.__all__` names is imported from",
        "`nemorun_cli`; the other classes are what its methods and attributes return.",
        "",
    ]
    for heading, modules in API.items():
        lines += [f"## {heading}", ""]
        for file, names in modules.items():
            for name in names:
                lines += _object(_module(file)[name])
        if heading == "Errors":
            sentence = "All errors are in `nemorun_cli.errors`. Their [exit codes](exit-codes.md):"
            lines += [sentence, "", *_errors()]
    return _page(lines)


def _object(public: griffe.Object | griffe.Alias) -> list[str]:
    if isinstance(public, griffe.Function):
        return [f"### nemorun_cli.{public.name}", "", *_function(public, public.name)]
    if not isinstance(public, griffe.Class):
        raise TypeError(f"{public.path} is neither a class nor a function")
    hidden = PARTS_OF_COMMANDS.get(public.name, set())
    members = [
        each for each in public.members.values() if not each.name.startswith("_") and each.name not in hidden
    ]
    properties = [
        each for each in members if isinstance(each, griffe.Attribute) and "property" in each.labels
    ]
    methods = [each for each in members if isinstance(each, griffe.Function)]
    lines = [f"### {public.name}", "", *_signature(public), *_docstring(public)]
    rows = [(code(each.name), code(str(each.annotation or "")), prose(_summary(each))) for each in properties]
    lines += table(("attribute", "type", "meaning"), rows)
    call = public.members.get("__call__")
    if isinstance(call, griffe.Function) and call.docstring is not None:
        methods.insert(0, call)
    for method in methods:
        owner = public.name[0].lower() + public.name[1:]
        name = owner if method is call else f"{owner}.{method.name}"
        lines += [
            f"#### {public.name}{'()' if method is call else f'.{method.name}'}",
            "",
            *_function(method, name),
        ]
    return lines


def _signature(public: griffe.Class) -> list[str]:
    """How programs make an instance, if they make any."""
    if public.name not in nemorun_cli.__all__ or public.name in {"Run", "Snapshot"}:
        return []
    if "dataclass" in public.labels:
        fields = [each for each in public.members.values() if isinstance(each, griffe.Attribute)]
        texts = [_field(each) for each in fields]
        texts.insert(1, "*")  # those after the first are named
        return fenced("python", _written(public.name, texts, None))
    bases = {str(base).rpartition(".")[2] for base in public.bases}
    maker = _module("arguments.py")["Call.__init__"] if "Call" in bases else public.members["__init__"]
    return fenced("python", _call(public.name, maker, None))


def _field(field: griffe.Attribute) -> str:
    """A field of a dataclass, as an argument."""
    value = str(field.value or "")
    factory = re.search(r"default_factory=(\w+)", value)
    plain = re.search(r"default=(.+?)(?:, \w+=|\)$)", value)
    default = f"{factory[1]}()" if factory else plain[1] if plain else value
    return f"{field.name}: {field.annotation}" + (f" = {default}" if default else "")


@functools.cache
def _module(file: str) -> griffe.Module:
    """A module of the package, read but not imported."""
    path = ROOT / "nemorun_cli" / file
    return griffe.visit(file, path, path.read_text(encoding="utf-8"))


def _function(function: griffe.Function, name: str) -> list[str]:
    overloads = function.parent.overloads.get(function.name) if function.parent else None
    forms = overloads or [function]
    signatures = "\n".join(_call(name, each, each.returns) for each in forms)
    return [*fenced("python", signatures), *_docstring(function)]


def _call(name: str, function: Any, returns: Any) -> str:
    """A signature as Python writes it."""
    texts: list[str] = []
    is_named = is_unnamed = False
    for each in function.parameters:
        if each.name == "self" or not each.name.strip("_"):
            continue
        kind = each.kind
        if kind is not griffe.ParameterKind.positional_only and is_unnamed:
            texts.append("/")
        is_unnamed = kind is griffe.ParameterKind.positional_only
        if kind is griffe.ParameterKind.keyword_only and not is_named:
            texts.append("*")
            is_named = True
        if kind is griffe.ParameterKind.var_positional:
            is_named = True
        star = {griffe.ParameterKind.var_positional: "*", griffe.ParameterKind.var_keyword: "**"}.get(
            kind, ""
        )
        default = (
            "" if star or each.default is None else f" = {DEFAULTS.get(str(each.default), each.default)}"
        )
        texts.append(f"{star}{each.name}" + (f": {each.annotation}" if each.annotation else "") + default)
    return _written(name, texts, returns)


def _written(name: str, texts: Sequence[str], returns: Any) -> str:
    end = f") -> {returns}" if returns is not None else ")"
    short = f"{name}({', '.join(texts)}{end}"
    if len(short) <= LONGEST_SIGNATURE:
        return short
    return "\n".join([f"{name}(", *(f"    {text}," for text in texts), end])


def _docstring(documented: griffe.Object) -> list[str]:
    lines: list[str] = []
    if documented.docstring is None:
        return lines
    for section in documented.docstring.parse("google", warnings=False):
        if section.kind is griffe.DocstringSectionKind.text:
            lines += [section.value, ""]
        else:
            heading = {"parameters": "argument", "raises": "raises", "attributes": "attribute"}[
                section.kind.value
            ]
            rows = [
                (code(str(each.annotation if heading == "raises" else each.name)), prose(each.description))
                for each in section.value
            ]
            lines += table((heading, "meaning" if heading != "raises" else "when"), rows)
    return lines


def _summary(documented: griffe.Object) -> str:
    return documented.docstring.value.replace("\n", " ") if documented.docstring else ""


def _errors() -> list[str]:
    """The tree of the errors, with their codes and meanings in columns."""
    text = (ROOT / "nemorun_cli" / "errors.py").read_text(encoding="utf-8")
    tree = text.partition("\n\n")[2].partition('\n"""')[0].splitlines()
    rows = [re.split(r"(?<=\w) {2,}", line) for line in tree]
    width = max(len(name) for name, *_ in rows)
    lines = [f"{name:{width}}  {number:>2}  {''.join(meaning)}" for name, number, *meaning in rows]
    return fenced("text", "\n".join(line.rstrip() for line in lines))


# -- files ----------------------------------------------------------------------------------------------


def _page(lines: Iterable[str]) -> str:
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).rstrip() + "\n"


PAGES: Final = {"commands.md": commands, "spec-keys.md": spec_keys, "python.md": python}

if __name__ == "__main__":
    for name, page in PAGES.items():
        (REFERENCE / name).write_text(page(), encoding="utf-8")
