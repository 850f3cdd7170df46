"""Makes the pictures of the README from a run in a terminal: `python docs/pictures/make.py [NAME ...]`."""

from __future__ import annotations

import argparse
import contextlib
import io
import itertools
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pexpect
import psutil
import pyte
from rich.console import Console
from rich.style import Style
from rich.terminal_theme import TerminalTheme
from rich.text import Text

from nemorun_cli import find
from nemorun_cli.errors import NotFoundError
from nemorun_cli.storage.paths import Home

if TYPE_CHECKING:
    from collections.abc import Collection

    from pyte.screens import Char

HERE: Final = Path(__file__).parent
HOME: Final = "runs"
COLUMNS: Final = 108
ROWS: Final = 24
PATIENCE: Final = 60.0  # seconds in which a command shows something new
FRAME_GAP: Final = 0.06  # seconds without output after which a frame of the live view is complete
PAUSE: Final = 0.05  # seconds after each epoch, so that there is something to see

COMMANDS: Final = {
    "live": ["exp", "run", "study.yaml"],
    "status": ["exp", "status", "study", "train"],
    "metrics": ["exp", "metrics", "study", "--plot"],
}
GO: Final = "go"  # a file: before it exists, the last two trainings do not go on
MOMENT: Final = "2/5 done"  # when the picture of the live view is taken
NO_DOTS: Final = "\u2800"  # the first and the last of the braille patterns, of which curves consist
ALL_DOTS: Final = "\u28ff"

THEME: Final = TerminalTheme(  # readable on a white page and on a black one
    (27, 31, 36),
    (222, 226, 230),
    [
        (145, 152, 161),  # black, which is only used bright
        (255, 123, 114),
        (94, 201, 117),
        (229, 192, 80),
        (110, 168, 254),
        (214, 140, 235),
        (86, 200, 216),
        (222, 226, 230),
    ],
)

# rich's own template loads fonts from a server, and clips lines, which cuts the last one.
TEMPLATE: Final = """\
<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}">
<style>
.{unique_id}-matrix {{
font: {char_height}px ui-monospace, Menlo, Consolas, "DejaVu Sans Mono", "Liberation Mono", monospace;
}}
{styles}
</style>
{chrome}
<g transform="translate({terminal_x}, {terminal_y})">
{backgrounds}
<g class="{unique_id}-matrix">{matrix}</g>
</g>
</svg>
"""


class Screen(pyte.Screen):
    """A screen that shows dim text in grey: pyte itself ignores that attribute."""

    def select_graphic_rendition(self, *attributes: int) -> None:
        """Set the attributes of the characters that follow."""
        super().select_graphic_rendition(*attributes)
        if attributes == (2,):
            self.cursor.attrs = self.cursor.attrs._replace(fg="brightblack")


class Terminal:
    """A terminal of a fixed size, in a folder with a home of its own."""

    def __init__(self, folder: Path, *, pause: float) -> None:
        self._folder = folder
        self._screen = Screen(COLUMNS, ROWS)
        self._stream = pyte.Stream(self._screen)
        self._command: pexpect.spawn | None = None
        self._env = {
            "HOME": str(folder),
            "NEMORUN_HOME": str(folder / HOME),
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "PAUSE": str(pause),
            "GO": str(folder / GO),
            "TERM": "xterm-256color",
        }

    def start(self, argv: list[str]) -> None:
        """Start a command on the empty screen."""
        self._screen.reset()
        self._stream.feed(f"\x1b[1m$ {' '.join(argv)}\x1b[0m\r\n")
        self._command = pexpect.spawn(
            argv[0],
            argv[1:],
            cwd=str(self._folder),
            env=self._env,
            dimensions=(ROWS, COLUMNS),
            encoding="utf-8",
        )

    def wait_for(self, text: str) -> None:
        """Show what the command writes, until the screen has this text and the frame is complete."""
        try:
            while text not in self.text:
                self._read(PATIENCE)
            with contextlib.suppress(pexpect.TIMEOUT):
                while True:
                    self._read(FRAME_GAP)
        except (pexpect.EOF, pexpect.TIMEOUT) as error:
            raise self._failure(f"did not show {text!r}", error) from error

    def finish(self) -> None:
        """Show what the command writes until it ends."""
        try:
            with contextlib.suppress(pexpect.EOF):
                while True:
                    self._read(PATIENCE)
        except pexpect.TIMEOUT as error:
            raise self._failure("did not end", error) from error
        if self._command is not None:
            self._command.close()

    def stop(self) -> None:
        """End the command, if it runs, and the experiment, which otherwise goes on without it."""
        if self._command is not None:
            self._command.close(force=True)
        subprocess.run(
            [str(Path(sys.executable).with_name("exp")), "cancel", "study"],
            cwd=self._folder,
            env=self._env,
            capture_output=True,
            timeout=PATIENCE,
            check=False,
        )

    def _failure(self, what: str, error: Exception) -> SystemExit:
        why = "it ended" if isinstance(error, pexpect.EOF) else f"nothing new for {PATIENCE:g} seconds"
        return SystemExit(f"the command {what}: {why}; the screen:\n{self.text}")

    def _read(self, seconds: float) -> None:
        if self._command is None:
            raise SystemExit("no command was started")
        self._stream.feed(self._command.read_nonblocking(65536, seconds))

    @property
    def text(self) -> str:
        """What it shows, without blank lines at the end."""
        return "\n".join(line.rstrip() for line in self._screen.display).rstrip()

    def picture(self, name: str) -> str:
        """What it shows, as an SVG; `name` is the prefix of ids in it."""
        console = Console(record=True, width=COLUMNS, file=io.StringIO(), color_system="truecolor")
        for row in range(self.text.count("\n") + 1):
            console.print(self._line(row), no_wrap=True, overflow="crop")
        drawn = console.export_svg(title="", theme=THEME, code_format=TEMPLATE, unique_id=name)
        return re.sub(r' clip-path="[^"]*"', "", drawn)

    def _line(self, row: int) -> Text:
        line = Text()
        characters = (self._screen.buffer[row][column] for column in range(COLUMNS))
        for (style, _), run in itertools.groupby(characters, key=_look):
            line.append("".join(char.data for char in run).replace(NO_DOTS, " "), style)
        return line


def _look(char: Char) -> tuple[Style, bool]:
    """The style of a character, and whether it has dots: these come from another font, of another width."""
    names = {"default": None, "brown": "yellow", "brightblack": "bright_black"}
    return Style(color=names.get(char.fg, char.fg), bold=char.bold), NO_DOTS < char.data <= ALL_DOTS


def _wait_for_supervisor(folder: Path) -> None:
    """Wait for the process that drives the study: it uses the folder until it ends."""
    with contextlib.suppress(psutil.NoSuchProcess, NotFoundError):
        pid = find("study", home=Home(folder / HOME)).status().to_json()["supervisor"]["pid"]
        psutil.Process(pid).wait(PATIENCE)


def pictures(names: Collection[str], *, pause: float) -> dict[str, str]:
    """The pictures of these names, as SVGs, of one run of the study with this pause in seconds."""
    made = {}
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        shutil.copytree(HERE / "study", folder, dirs_exist_ok=True)
        terminal = Terminal(folder, pause=pause)
        try:
            terminal.start(COMMANDS["live"])
            if "live" in names:
                terminal.wait_for(MOMENT)
                made["live"] = terminal.picture("live")
            (folder / GO).touch()
            terminal.finish()
            for name in sorted({*names} - {"live"}):
                terminal.start(COMMANDS[name])
                terminal.finish()
                made[name] = terminal.picture(name)
        except BaseException:
            terminal.stop()
            raise
        finally:
            _wait_for_supervisor(folder)
    return made


def main() -> None:
    """Write the pictures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", metavar="NAME", nargs="*", help=f"of {', '.join(COMMANDS)} (default: all)")
    parser.add_argument("--out", type=Path, default=HERE, help="the folder (default: this one)")
    parser.add_argument(
        "--pause", type=float, default=PAUSE, help=f"seconds after each epoch (default: {PAUSE})"
    )
    options = parser.parse_args()
    if unknown := set(options.names) - set(COMMANDS):
        parser.error(f"there is no picture {', '.join(unknown)}")
    for name, picture in pictures(options.names or COMMANDS, pause=options.pause).items():
        (options.out / f"{name}.svg").write_text(picture, encoding="utf-8")


if __name__ == "__main__":
    main()
