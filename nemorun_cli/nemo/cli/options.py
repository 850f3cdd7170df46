"""The options of an entrypoint's command line: `--dryrun`, `--name`, `--yaml` and others."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from nemorun_cli.errors import UsageError
from nemorun_cli.model.problems import choices

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


@dataclass(frozen=True, slots=True)
class Option:
    """One option.

    Attributes:
        names: how it is written; the first one is shown.
        sets: the field of the RunContext that it sets; None for one without a meaning here.
        value: what it sets; None if it takes a value.
        about: what it does; empty for one that `--help` does not show.
    """

    names: tuple[str, ...]
    sets: str | None
    value: bool | None
    about: str = ""


OPTIONS: Final = (
    Option(("--name", "-n"), "name", None, "the name of the task and of its experiment"),
    Option(("--factory", "-f"), "factory", None, "begin with what this factory makes, or with @FILE"),
    Option(
        ("--yaml", "--toml", "--json"), "yaml", None, "begin with the values of a YAML, TOML or JSON file"
    ),
    Option(("--dryrun",), "dryrun", True, "show what would run, and run nothing"),
    Option(("--detach",), "detach", True, "return when it has started"),
    Option(("--direct",), "direct", True, "run in this process"),
    Option(("--no-direct",), "direct", False),
    Option(("--tail-logs",), "tail_logs", True, "show the output of tasks"),
    Option(("--no-tail-logs",), "tail_logs", False),
    Option(("--yes", "-y", "--no-confirm"), "skip_confirmation", True, "do not ask at a terminal"),
    Option(("--to-yaml",), "to_yaml", None, "write the resolved values to a YAML file, and run nothing"),
    Option(("--to-json",), "to_json", None, "the same as JSON"),
    Option(("--help", "-h"), "help", True, "show this page"),
    Option(("--verbose", "-v"), None, True),
    Option(("--rich-exceptions", "--no-rich-exceptions"), None, True),
    Option(("--rich-traceback-short", "--rich-traceback-full"), None, True),
    Option(("--rich-show-locals", "--rich-hide-locals"), None, True),
    Option(("--rich-theme",), None, None),
    Option(("--docs",), None, True),
)
REFUSED: Final = {
    ("--repl", "-r"): (
        "a shell has no place in a program that others may start",
        "use --dryrun to see the values",
    ),
    ("--lazy",): ("exp imports the program, and nothing else, to read its arguments", "leave it out"),
    ("--load", "-l"): ("NeMo-Run does not implement it either", "use --yaml FILE"),
    ("--to-toml",): ("exp writes no TOML", "use --to-yaml or --to-json"),
    ("--install-completion", "--show-completion"): ("programs have no completion", "exp has: exp --help"),
}
"""Options of NeMo-Run without a counterpart: why, and what to do."""

# The keys of `cmd_defaults` of `main` that concern only what NeMo-Run prints.
_WITHOUT_MEANING: Final = ("rich_exceptions", "rich_traceback", "rich_locals", "rich_theme", "verbose")


@dataclass(slots=True)
class CommandLine:
    """A command line: the fields that its options set, and its arguments."""

    fields: dict[str, Any] = field(default_factory=dict)
    arguments: list[str] = field(default_factory=list)


def parse(words: Sequence[str]) -> CommandLine:
    """The options and the arguments of a program.

    Raises:
        UsageError: an option does not exist, lacks its value, or has no counterpart here.
    """
    line = CommandLine()
    rest = list(words)
    while rest:
        word = rest.pop(0)
        if word == "--":
            line.arguments += rest
            break
        if not word.startswith("-") or re.match(r"-[\d.]", word):
            line.arguments.append(word)
            continue
        name, sign, value = word.partition("=")
        option = _option(name)
        if option.value is None and not sign:
            if not rest:
                raise UsageError(f"{name} needs a value")
            value = rest.pop(0)
        elif option.value is not None and sign:
            raise UsageError(f"{name} takes no value")
        if option.sets is not None:
            line.fields[option.sets] = value if option.value is None else option.value
    return line


def _option(name: str) -> Option:
    for names, (why, instead) in REFUSED.items():
        if name in names:
            raise UsageError(f"{name} has no counterpart: {why}", hint=instead)
    known = {each: option for option in OPTIONS for each in option.names}
    if name not in known:
        raise UsageError(
            f"there is no option {name}", hint=choices(name, [option.names[0] for option in shown()])
        )
    return known[name]


def shown() -> list[Option]:
    """The options that `--help` shows."""
    return [option for option in OPTIONS if option.about]


def defaults(given: Mapping[str, Any] | None) -> dict[str, Any]:
    """The fields that `cmd_defaults` sets; raises UsageError for one that does not exist."""
    known = [option.sets for option in shown() if option.sets not in (None, "help", "name")]
    for name in given or {}:
        if name in ("repl", "load", "lazy", "to_toml"):
            _option(f"--{name.replace('_', '-')}")
        if name not in known and name not in _WITHOUT_MEANING:
            raise UsageError(
                f"cmd_defaults has no {name!r}", hint=choices(name, [str(each) for each in known])
            )
    return {name: value for name, value in (given or {}).items() if name in known}
