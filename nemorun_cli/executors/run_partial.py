"""Runs a partial: `python3 partial.py call.json`; imports only the standard library and user code.

It is copied into experiments and run by the task's own interpreter (Python 3.8 or later), so it imports
nothing of the package, unless user code imports `nemo_run` where that is not installed.
`call.json` contains `{"target": "module:function", "args": {…}}`, and as `folder` one that is searched for
modules after the working folder. In the arguments `_target_` is called, `_args_` has its positional
arguments, `_partial_: true` leaves the call to its receiver, and `_ref_` is what a name leads to. `_same_`
is the result of the earlier call with that `_id_`.
The return value of the function, if it is a mapping of plain values, is appended to `$EXP_OUTPUT`.
"""

from __future__ import annotations

import functools
import importlib
import json
import os
import re
import sys
import traceback

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

TARGET = "_target_"  # the callable of a mapping that is called
ARGUMENTS = "_args_"  # its positional arguments
PARTIAL = "_partial_"  # whether it is left to be called
IDENTITY = "_id_"  # the number of a call whose result is in several places
SAME = "_same_"  # the number of the call whose result it is
REFERENCE = "_ref_"  # the name of a function, a class, or any other value of a module
_KEY = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*\Z")
_MAX_DEPTH = 64
_GUARD = 'under if __name__ == "__main__":'
_unfinished: list[str] = []  # modules whose import ended where they would start the experiment


class NemoRunName:
    """A finder for `import nemo_run` where NeMo-Run is not installed: the package offers the name."""

    @staticmethod
    def find_spec(name: str, path: Any = None, target: Any = None) -> Any:
        """The module specification of `nemo_run` or a part of it; None for all others."""
        del path, target
        if name.partition(".")[0] != "nemo_run":
            return None
        try:
            alias = importlib.import_module("nemorun_cli.nemo.alias")
        except (ImportError, SyntaxError):  # not installed for this interpreter, or that is too old
            return None
        return alias.find(name)

    @staticmethod
    def is_own(module: Any) -> bool:
        """Whether a module is one that this finder found."""
        return getattr(type(module), "__module__", "") == "nemorun_cli.nemo.alias"


class TargetError(Exception):
    """A target cannot be found or called; the message names it."""


def call(target: str, args: dict[str, Any]) -> Any:
    """Call `module:function` with these arguments, after building their `_target_` mappings.

    An asynchronous function is run to completion. Raises TargetError, and what the function raises.
    """
    function = find(target)
    shared: dict[Any, Any] = {}
    built = {name: build(value, shared) for name, value in args.items()}
    result = function(*built.pop(ARGUMENTS, ()), **built)
    if hasattr(result, "__await__"):
        # asyncio takes 60 ms to import, and few functions are asynchronous.
        import asyncio  # noqa: PLC0415

        return asyncio.run(_awaited(result))
    return result


async def _awaited(result: Any) -> Any:
    return await result


def find(target: str) -> Callable[..., Any]:
    """The callable named by `module:name`, `module:name.attribute` or `module.name`; raises TargetError."""
    value = refer(target)
    if not callable(value):
        raise TargetError(f"{target} is not callable, it is a {type(value).__name__}")
    return value  # type: ignore[no-any-return]


def refer(target: str) -> Any:
    """The value of that name; raises TargetError."""
    module_name, separator, path = target.partition(":")
    if not separator:
        module_name, path = _split(target)
    if not module_name or not path:
        raise TargetError(f"{target!r} is not module:function")
    value: Any = _module(module_name, target)
    for name in path.split("."):
        if not hasattr(value, name):
            where = getattr(value, "__file__", None) or repr(value)
            note = f" above its run(): put that {_GUARD}" if module_name in _unfinished else ""
            raise TargetError(f"{target}: there is no {name!r} in {where}{note}")
        value = getattr(value, name)
    return value


def _split(target: str) -> tuple[str, str]:
    """The module and the name of a dotted target: the longest part that is a module."""
    parts = target.split(".")
    for length in range(len(parts) - 1, 0, -1):
        name = ".".join(parts[:length])
        try:
            importlib.import_module(name)
        except ModuleNotFoundError as fault:
            missing = fault.name or ""
            if name != missing and not name.startswith(missing + "."):
                raise
        else:
            return name, ".".join(parts[length:])
    return parts[0], ".".join(parts[1:])


def _module(name: str, target: str) -> Any:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as fault:
        # A failed import inside user code keeps its traceback.
        missing = fault.name or ""
        if name != missing and not name.startswith(missing + "."):
            raise
        searched = ", ".join(path or "." for path in sys.path[:3])
        message = f"{target}: no module is called {missing!r} (searched {searched}, …)"
        raise TargetError(message) from None
    except BaseException as fault:
        module = getattr(fault, "unfinished", None)  # of a program that would start its experiment again
        if module is None:
            raise
        if module.__name__ != name:
            raise TargetError(f"{target}: {fault}: put its run() {_GUARD}") from None
        sys.modules[name] = module
        _unfinished.append(name)
        return module


def build(value: Any, shared: dict[Any, Any] | None = None) -> Any:
    """The value, with each `_target_` mapping replaced by the result of calling its target.

    `shared` has the results of those with an `_id_`.
    """
    shared = {} if shared is None else shared
    if isinstance(value, list):
        return [build(item, shared) for item in value]
    if not isinstance(value, dict):
        return value
    if value.keys() == {REFERENCE}:
        return refer(str(value[REFERENCE]))
    if value.keys() == {SAME}:
        if value[SAME] not in shared:
            raise TargetError(f"no earlier argument has {IDENTITY}: {value[SAME]!r}")
        return shared[value[SAME]]
    built = {key: build(item, shared) for key, item in value.items()}
    if TARGET not in built:
        return built
    number = built.pop(IDENTITY, None)
    result = _result(built)
    if number is not None:
        shared[number] = result
    return result


def _result(built: dict[str, Any]) -> Any:
    function = find(str(built.pop(TARGET)))
    positional = built.pop(ARGUMENTS, ())
    if built.pop(PARTIAL, False):
        return functools.partial(function, *positional, **built)
    return function(*positional, **built)


def output_lines(result: Any) -> list[str] | None:
    """The result as lines of `$EXP_OUTPUT`; None if it is not a mapping of plain values."""
    if not isinstance(result, dict):
        return None
    lines = []
    for key, value in result.items():
        is_plain, plain = _plain(value)
        if not isinstance(key, str) or not _KEY.match(key) or not is_plain:
            return None
        lines.append(f"{key}:={json.dumps(plain)}\n")
    return lines


def _plain(value: Any, depth: int = 0) -> tuple[bool, Any]:
    """Whether the value is plain, and the value with array scalars as numbers."""
    if depth > _MAX_DEPTH:
        return False, None
    if value is None or isinstance(value, (str, bool)):
        return True, value
    if isinstance(value, (int, float)):
        # json may not serialize subclasses of numbers correctly.
        return True, int(value) if isinstance(value, int) else float(value)
    if isinstance(value, (list, tuple)):
        items = [_plain(item, depth + 1) for item in value]
        return all(is_plain for is_plain, _ in items), [plain for _, plain in items]
    if isinstance(value, dict):
        pairs = {key: _plain(item, depth + 1) for key, item in value.items()}
        is_plain = all(isinstance(key, str) and pair[0] for key, pair in pairs.items())
        return is_plain, {key: pair[1] for key, pair in pairs.items()}
    return _scalar(value)


def _scalar(value: Any) -> tuple[bool, Any]:
    """Convert a NumPy or Torch scalar with its `item()`; arrays raise there and are not plain."""
    item = getattr(value, "item", None)
    if not callable(item):
        return False, None
    try:
        plain = item()
    except (TypeError, ValueError, RuntimeError):
        return False, None
    return isinstance(plain, (str, int, float, bool)), plain


def save(result: Any) -> None:
    """Append the result to `$EXP_OUTPUT`, if that is set and the result is a mapping of plain values."""
    if os.environ.get("RANK", "0") != "0":
        return  # of the processes of a launcher only rank 0 writes outputs
    path = os.environ.get("EXP_OUTPUT")
    lines = output_lines(result)
    if not path or lines is None:
        if isinstance(result, dict):
            sys.stderr.write("exp: the result is not saved as outputs: it has values that are not plain\n")
        return
    with open(path, "a", encoding="utf-8") as stream:  # noqa: PTH123 - the path is a string from the environment
        stream.write("".join(lines))


def main(argv: list[str]) -> int:
    """Run the call that a file describes; return 0, or 1 after an exception and its traceback."""
    with open(argv[1], encoding="utf-8") as stream:  # noqa: PTH123 - Path takes 5 ms to import
        description = json.load(stream)
    # Python put the folder of this file first, from which a task must not import.
    sys.path[0] = os.getcwd()  # noqa: PTH109 - as above
    sys.path[1:1] = filter(None, [description.get("folder")])
    sys.argv = [description["target"]]
    sys.meta_path.append(NemoRunName)  # last: asked for what nobody else has
    try:
        save(call(description["target"], description["args"]))
    except TargetError as fault:
        sys.stderr.write(f"exp: {fault}\n")
        return 1
    except Exception as fault:  # noqa: BLE001 - the end of the process, and the traceback is printed
        _print_traceback(fault)
        return 1
    return 0


def _print_traceback(fault: BaseException) -> None:
    """Print the traceback from the first frame of user code; the whole one if no user code was reached."""
    step = fault.__traceback__
    while step is not None and step.tb_frame.f_code.co_filename in (__file__, importlib.__file__):
        step = step.tb_next
    traceback.print_exception(type(fault), fault, step or fault.__traceback__)


if __name__ == "__main__":
    sys.exit(main(sys.argv))
