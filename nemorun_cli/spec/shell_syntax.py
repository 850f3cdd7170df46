"""Warnings about texts that run without a shell but use its syntax, and values in the text of a shell."""

from __future__ import annotations

import glob
import re
from typing import TYPE_CHECKING, Any, Final

from nemorun_cli.model.handlers import RUN_AFTER
from nemorun_cli.model.problems import Finding, shown
from nemorun_cli.spec.expressions.fill import split
from nemorun_cli.spec.expressions.syntax import Expression, TemplateError, pieces

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from nemorun_cli.model.problems import Place

MOST_NAMED: Final = 3  # words that a warning names

_MASKED: Final = "x"  # in place of each quoted character and of expressions
_QUOTED: Final = re.compile(r"""'[^']*'|"(?:\\.|[^"\\])*"|\\.""", re.DOTALL)
_WORD: Final = re.compile(r"\S+")
# What a shell would act on in a word: operators, as `shlex` finds them with `punctuation_chars`, but a single
# & only as a word of its own, because addresses contain it; variables and commands; the home; files.
_SYNTAX: Final = re.compile(r"[|;<>]|&&|\A&\Z|\$(?:\w|[{(@*#?$!-])|`|\A~(?:/|\Z)|\*")
_SHELL: Final = re.compile(r"(.*/)?(ba|da|k|z)?sh")
_TEXT_FOLLOWS: Final = re.compile(r"-[a-z]*c")
_RARE_GLOB: Final = re.compile(r"[?[]")  # also common in addresses, and in values such as sizes=[1,2]


def warnings(data: Mapping[str, Any], folder: Path) -> Iterator[Finding]:
    """Yield a warning for each text with unquoted syntax of a shell, and for each value in shell text.

    Args:
        data: a spec that has passed the schema, before its expressions are filled in.
        folder: the folder of the spec.
    """
    for place, text in _texts(data):
        words = list(dict.fromkeys(shell_words(text, folder)))
        if not words:
            continue
        named = ", ".join(shown(word) for word in words[:MOST_NAMED]) + (", …" if words[MOST_NAMED:] else "")
        verb = "is an ordinary argument" if len(words) == 1 else "are ordinary arguments"
        is_task = place[-1] == "command" and "secrets" not in place
        remedy = "put shell text into inline:" if is_task else "name a shell: [bash, -c, …]"
        plain = next((f": '{word}'" for word in words if "'" not in word and shown(word) == f'"{word}"'), "")
        yield Finding(
            place=place,
            message=f"runs without a shell, so {named} {verb}",
            hint=f"{remedy}, or quote what is meant as it is{plain}",
            needle=_needle(text, words[0]),
        )
    yield from _values_in_shell_text(data)


def _values_in_shell_text(data: Mapping[str, Any]) -> Iterator[Finding]:
    """Yield a warning for each value in the text of a shell that the spec itself calls."""
    for place, value in _argument_lists(data):
        try:
            words = split(value) if isinstance(value, str) else [str(item) for item in value]
            found = _shell_text(words)
            values = [part for part in pieces(words[found]) if isinstance(part, Expression)] if found else []
        except TemplateError:
            continue  # a problem, which is reported as such
        if found and values:
            yield Finding(
                place=place if isinstance(value, str) else (*place, found),
                message=f"a shell reads the value of {values[0].raw} as code",
                hint='pass it as an argument, and write "$1": [bash, -c, TEXT, bash, VALUE]',
                needle=values[0].raw,
            )


def _shell_text(words: Sequence[str]) -> int | None:
    """The index of the text after `sh -c`; None without one."""
    shells = [index for index, word in enumerate(words) if _SHELL.fullmatch(word)]
    for index in range(shells[0] + 1, len(words) - 1) if shells else ():
        if _TEXT_FOLLOWS.fullmatch(words[index]):
            return index + 1
        if not words[index].startswith("-") and words[index - 1] != "-o":
            return None
    return None


def _needle(text: str, word: str) -> str:
    """The word, with the next one if it is also what introduces a text of several lines in YAML."""
    following = text.partition(word)[2].split(maxsplit=1)
    return f"{word} {following[0]}" if word in (">", "|") and following else word


def shell_words(text: str, folder: Path) -> Iterator[str]:
    """Yield the words of a text that a shell would not pass on as they are, quoted parts excepted.

    Of globs with `?` and `[…]` only those that match a file in the folder, which a shell would replace.
    """
    masked = _masked(text)
    if not (_SYNTAX.search(masked) or _RARE_GLOB.search(masked) or "&" in masked or "~" in masked):
        return
    for match in _WORD.finditer(masked):
        word = text[match.start() : match.end()]
        if _SYNTAX.search(match[0]) or (
            _RARE_GLOB.search(match[0]) and word == match[0] and _is_file(word, folder)
        ):
            yield word


def _masked(text: str) -> str:
    """The text with quoted characters and expressions replaced, of the same length."""
    parts = (_MASKED * len(part.raw) if isinstance(part, Expression) else part for part in pieces(text))
    return _QUOTED.sub(lambda match: _MASKED * len(match[0]), "".join(parts))


def _is_file(pattern: str, folder: Path) -> bool:
    found = glob.iglob(pattern, root_dir=folder)  # noqa: PTH207 - Path.glob refuses absolute patterns
    return next(found, None) is not None


def _texts(data: Mapping[str, Any]) -> Iterator[tuple[Place, str]]:
    """Yield the texts that are split into words."""
    yield from _secret_commands(data, ())
    for entry, place in _entries(data):
        yield from _of_task(entry, place)


def _entries(data: Mapping[str, Any]) -> Iterator[tuple[Mapping[str, Any], Place]]:
    """Yield `defaults`, tasks, handlers and members, with their places; each may also be an expression."""
    if isinstance(defaults := data.get("defaults"), dict):
        yield defaults, ("defaults",)
    for section in ("tasks", *RUN_AFTER):
        entries = data.get(section)
        for name, entry in entries.items() if isinstance(entries, dict) else ():
            if not isinstance(entry, dict):
                continue
            yield entry, (section, name)
            group = entry.get("group")
            for index, member in enumerate(group if isinstance(group, list) else ()):
                if isinstance(member, dict):
                    yield member, (section, name, "group", index)


def _of_task(entry: Mapping[str, Any], place: Place) -> Iterator[tuple[Place, str]]:
    for key in ("command", "entrypoint"):
        if isinstance(text := entry.get(key), str):
            yield (*place, key), text
    launcher = entry.get("launcher")
    if isinstance(launcher, dict) and isinstance(text := launcher.get("wrap"), str):
        yield (*place, "launcher", "wrap"), text
    yield from _secret_commands(entry, place)


def _argument_lists(data: Mapping[str, Any]) -> Iterator[tuple[Place, Any]]:
    """Yield the command lines of tasks: texts and lists."""
    for entry, place in _entries(data):
        for key in ("command", "entrypoint"):
            if isinstance(value := entry.get(key), (str, list)):
                yield (*place, key), value


def _secret_commands(entry: Mapping[str, Any], place: Place) -> Iterator[tuple[Place, str]]:
    secrets = entry.get("secrets")
    for name, source in secrets.items() if isinstance(secrets, dict) else ():
        if isinstance(source, dict) and isinstance(text := source.get("command"), str):
            yield (*place, "secrets", name, "command"), text
