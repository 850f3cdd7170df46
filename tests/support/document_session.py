"""A shell session that does what the marked blocks of a document say, and compares their output."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from support import in_process
from support.documents import blocks

if TYPE_CHECKING:
    from support.documents import Block
    from support.workspace import Exp


OWN_PROGRAMS: Final = Path(sys.executable).parent  # those of the environment of the tests

ELSEWHERE: Final = (
    "ml-dash: ",
    "torch: ",
)  # ML-Dash's calls, and what needs PyTorch, have tests of their own

_EXP_ALONE: Final = re.compile(r"exp ([^;&|<>$`]+)(; echo \"exit code \$\?\")?")


def matches(wanted: str, printed: str) -> bool:
    """Whether an output is that of a page, where `...` is any text, and a line `...` any number of lines."""
    lines = (
        "(?:.*\n)*" if line == "...\n" else re.escape(line).replace(r"\.\.\.", ".*")
        for line in wanted.splitlines(keepends=True)
    )
    return re.fullmatch("".join(lines), printed) is not None


def runnable(*pages: Path) -> int:
    """How many marked blocks of pages can run: not `ELSEWHERE`, and not those for jq if it is missing."""
    marks = [block.mark for page in pages for block in blocks(page) if block.mark]
    without = {"run: jq"} if shutil.which("jq") is None else set()
    return sum(not mark.startswith(ELSEWHERE) and mark not in without for mark in marks)


@dataclass(frozen=True, slots=True)
class DocumentSession:
    """Runs the blocks of a document in one folder; the variable `id` of the shell is kept between blocks.

    `programs` is the folder with the `exp` and the `python3` that the document's commands run. If it is
    that of the tests, a command that is `exp` alone runs in the process of the test, which is quicker.
    The user's folder has a link `.nemo_run` to the home, where a document expects it.
    """

    exp: Exp
    programs: Path = OWN_PROGRAMS

    def follow(self, *pages: Path) -> int:
        """Run each marked block of the pages in order; the number of blocks that ran.

        Those marked `run: PROGRAM` run where there is this program. Those in `ELSEWHERE` have other tests.
        """
        user = self.exp.home.parent
        self.exp.home.mkdir(exist_ok=True)
        (user / ".nemo_run").symlink_to(self.exp.home)
        self._variables.touch()
        return sum(self._run(block) for page in pages for block in blocks(page) if block.mark)

    @property
    def _variables(self) -> Path:
        return self.exp.home.parent / "variables"

    def _run(self, block: Block) -> bool:
        """Run a block; whether there was something to run."""
        if block.mark.startswith(ELSEWHERE):
            return False
        if block.mark.startswith("run: "):
            program = block.mark.removeprefix("run: ")
            return shutil.which(program) is not None and self._run(replace(block, mark="run"))
        if block.mark.startswith("file: "):
            (self.exp.folder / block.mark.removeprefix("file: ")).write_text(block.text)
        elif block.mark == "run" and block.language == "console":
            self._compare(block.text)
        elif block.mark == "run" and block.language == "sh":
            self._shell(block.text)
        elif block.mark == "run" and block.language == "python":
            self._call([str(self.programs / "python3"), "-c", block.text])
        else:
            raise AssertionError(f"a block of {block.language} cannot be marked {block.mark!r}")
        return True

    def _compare(self, text: str) -> None:
        for part in re.split(r"^\$ ", text, flags=re.MULTILINE)[1:]:
            command, _, wanted = part.partition("\n")
            printed = self._printed(command)
            assert matches(wanted, printed), f"$ {command}\n{printed}\nthe page has:\n{wanted}"

    def _printed(self, command: str) -> str:
        """What a command of a console prints on both outputs."""
        alone = _EXP_ALONE.fullmatch(command)
        if alone is None or self.programs != OWN_PROGRAMS:
            return self._shell(f"exec 2>&1; set +e; {command}")
        argv, program = shlex.split(alone[1]), self.exp.argv[0]
        code, text, _ = in_process.run(
            argv, program=program, folder=self.exp.folder, env=self.exp.env, is_merged=True
        )
        return text + (f"exit code {code}\n" if alone[2] else "")

    def _shell(self, text: str) -> str:
        keep = f"declare -p id > {self._variables} 2>/dev/null || true"
        return self._call(["bash", "-c", f"set -eu\n. {self._variables}\n{text}\n{keep}\n"])

    def _call(self, argv: list[str]) -> str:
        path = f"{self.programs}{os.pathsep}{os.environ['PATH']}"
        done = subprocess.run(
            argv,
            cwd=self.exp.folder,
            env={**self.exp.env, "PATH": path, "HOME": str(self.exp.home.parent), "LANG": "C.UTF-8"},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, f"{argv[-1]}\n{done.stdout}\n{done.stderr}"
        return done.stdout
