"""What the options of `exp serve` mean, and what it prints."""

from __future__ import annotations

import importlib.util
import os
from typing import TYPE_CHECKING, Final

from nemorun_cli.cli import terminal
from nemorun_cli.errors import UsageError
from nemorun_cli.model import units
from nemorun_cli.replication import protocol
from nemorun_cli.serve.site import Site, own_folder
from nemorun_cli.storage.paths import Home
from nemorun_cli.system.files import write_whole
from nemorun_cli.system.user import expanded

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from nemorun_cli.serve.process import Ready

SERVE_FORMAT: Final = "exp.serve/1"
NEEDED: Final = ("starlette", "uvicorn", "python_multipart", "itsdangerous")
LARGEST_PORT: Final = 65535
DEFAULT_PORT: Final = 8300


def require_extra() -> None:
    """Refuse to serve without the packages of the extra.

    Raises:
        UsageError: one of them is missing.
    """
    missing = [name for name in NEEDED if importlib.util.find_spec(name) is None]
    if missing:
        raise UsageError(
            f"exp serve needs packages that are not installed: {', '.join(missing)}",
            hint="pip install 'nemorun-cli[serve]'",
        )


def port(text: str) -> int:
    """The value of `--port`.

    Raises:
        UsageError: it is no number of a port.
    """
    if not (text.isascii() and text.isdigit() and int(text) <= LARGEST_PORT):
        raise UsageError(f"--port {text}: must be a number from 0 to {LARGEST_PORT}; 0 chooses a free port")
    return int(text)


def size(option: str, text: str | None) -> int | None:
    """The value of an option that takes a size, in bytes.

    Raises:
        UsageError: it is no size.
    """
    try:
        return None if text is None else units.size(text)
    except ValueError as error:
        raise UsageError(f"{option}: {error}") from None


def path(text: str) -> Path:
    """The value of an option that takes a path, absolute."""
    return expanded(text).absolute()


def path_if_given(text: str | None) -> Path | None:
    """The same; None without the option."""
    return None if text is None else path(text)


def own(root: str | None) -> Path:
    """The folder of the own files of the server with this `--root`."""
    return own_folder(path_if_given(root), Home.from_environment().directory)


def site(
    root: str | None,
    dash_roots: Sequence[str],
    *,
    allows_control: bool,
    is_local: bool,
    is_private: bool,
    largest_file: int | None,
    quota: int | None,
) -> Site:
    """What is served, by the options; `is_local`: whether only this machine reaches it.

    Raises:
        UsageError: `--dash-root` or `--control` is given with `--root`, or the home cannot be used.
    """
    home = Home.configured()  # whether it is trusted is checked later
    collected = path_if_given(root)
    if collected is not None and dash_roots:
        raise UsageError(
            "--dash-root and --root exclude each other", hint="with --root, records are below it"
        )
    if collected is not None and allows_control:
        raise UsageError(
            "--control and --root exclude each other",
            hint="nobody acts on replicas: serve the home of the machine that runs them with --control",
        )
    for given in map(path, dash_roots):
        if not given.is_dir():
            terminal.warn(f"--dash-root {given}: there is no such folder yet")
    usual = os.environ.get("EXP_DASH_ROOT")
    roots = dict.fromkeys(
        [home.dash, *([expanded(usual).absolute()] if usual else []), *map(path, dash_roots)]
    )
    return Site(
        root=collected,
        home=home.directory,
        dash_roots=() if collected is not None else tuple(roots),
        own=own_folder(collected, home.directory),
        allows_control=allows_control or (collected is None and is_local),
        is_private=is_private,
        largest_file=protocol.LARGEST_FILE if largest_file is None else largest_file,
        quota=quota,
    )


def report(ready: Ready, served: Site, *, is_json: bool, quiet: bool, opens: bool) -> None:
    """Print where the server listens, and open its page if that is wanted.

    Standard output has one line: the address, or a document with `--json`.
    """
    base = f"http://localhost:{DEFAULT_PORT}" if ready.port is None else ready.url
    signing_in = f"{base}/#t={ready.one_time}"
    shown = ready.url if quiet else signing_in
    if is_json:
        terminal.write_json(
            {
                "schema": SERVE_FORMAT,
                "url": ready.url,
                "sign_in": None if quiet else signing_in,
                "port": ready.port,
                "pid": os.getpid(),
                "root": None if served.root is None else str(served.root),
            }
        )
    else:
        terminal.write_line(shown)
    terminal.flush()
    if not (quiet or is_json):
        what = f"collects in {served.root}" if served.root else f"serves {served.home}"
        terminal.say(f"exp {what}; the address signs in once, within an hour; Ctrl-C ends")
        if ready.port is None:
            path = ready.url.removeprefix("unix:")
            terminal.say(
                f"forward a port to the socket first: ssh -L {DEFAULT_PORT}:{path} {os.uname().nodename}"
            )
    if opens:
        _open(signing_in, served.own)


def _open(address: str, folder: Path) -> None:
    """Open an address in a browser by way of a file, since all users see the arguments of a program."""
    import webbrowser  # noqa: PLC0415 - only with --open

    page = folder / "open.html"
    write_whole(page, f'<!doctype html><meta http-equiv="refresh" content="0; url={address}">'.encode())
    if not webbrowser.open(page.as_uri()):
        page.unlink(missing_ok=True)
        terminal.warn("no browser was found; open the address yourself")
