"""Command lines whose arguments may begin with a single dash, as in `exp tag sweep +good -bad`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

HELP: Final = "-h"


def behind_dashes(words: Sequence[str], parameters: Iterable[Any]) -> list[str]:
    """The options of a command line, then `--` and all other words, so that none of these is an option.

    Options are the words that begin with two dashes, each with its value, and `-h`; all that follows `--` is
    an argument.
    """
    with_value = {
        option
        for parameter in parameters
        if parameter.param_type_name == "option" and not parameter.is_flag
        for option in parameter.opts
    }
    options: list[str] = []
    arguments: list[str] = []
    left = iter(words)
    for word in left:
        if word == "--":
            arguments += left
        elif word.startswith("--") or word == HELP:
            options.append(word)
            options += [
                value for value in [next(left, None) if word in with_value else None] if value is not None
            ]
        else:
            arguments.append(word)
    return [*options, "--", *arguments]
