"""What all tests share: a home of their own, the installed command, patience, and a look for leftovers."""

from __future__ import annotations

import contextlib
import gc
import os
import re
import signal
import sys
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
import pytest
from engines.dockerd import docker_engine  # noqa: F401 - a fixture
from engines.far import far, far_session  # noqa: F401 - fixtures
from engines.slurm_cluster import (  # noqa: F401 - fixtures
    Slurm,
    slurm,
    slurm_accounting,
    slurm_alone,
    slurm_alone_session,
    slurm_limits,
    slurm_session,
)
from engines.ssh_hosts import ssh_hosts, ssh_hosts_session  # noqa: F401 - fixtures
from engines.sshd import sshd, sshd_session  # noqa: F401 - fixtures
from hypothesis import HealthCheck, settings
from support import warm_supervisors
from support.browsers import browser, context, page  # noqa: F401 - fixtures
from support.ci_skips import pytest_sessionfinish, pytest_terminal_summary  # noqa: F401 - pytest finds hooks here
from support.extent import IS_LONG, amount
from support.failures import pytest_configure  # noqa: F401 - a hook, too
from support.faked_clock import faked_clock  # noqa: F401 - a fixture
from support.other_user import other_users  # noqa: F401 - a fixture, too
from support.patience import eventually as eventually  # noqa: PLC0414 - tests take it from here
from support.workspace import Exp, ExpWorkspace

from nemorun_cli.contract.fixtures import _may_have, processes_of
from nemorun_cli.storage.paths import HOME_VARIABLE, Home
from nemorun_cli.supervisor import client

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

SPAWN = client.spawn

# The tests start thousands of processes, each of which would compile the package anew.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

# Users rarely set it, and it changes the order in which stdout and stderr of a command arrive.
os.environ.pop("PYTHONUNBUFFERED", None)

# Tasks run the `python3` and `exp` of PATH: those of the tests, as in an activated environment.
os.environ["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}"

# A machine that others use too makes and runs examples slowly. A normal run tries the same ones each time.
settings.register_profile(
    "tests",
    deadline=None,
    derandomize=not IS_LONG,
    max_examples=amount(100, long=2000),
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("tests")


@pytest.fixture
def exp(tmp_path: Path) -> Iterator[Exp]:
    """The command with a fresh home; whatever this test leaves behind makes it fail."""
    with _fresh(tmp_path) as fresh:
        yield fresh


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Exp]:
    """The same for all tests of a module, which only read what a fixture of the module ran."""
    with _fresh(tmp_path_factory.mktemp("shared")) as fresh:
        yield fresh


@contextlib.contextmanager
def _fresh(path: Path) -> Iterator[Exp]:
    home, folder = path / "home", path / "work"
    folder.mkdir()
    before, others = environment(), set(psutil.pids())
    yield Exp(home, folder)
    assert environment() == before, "the test changed the environment"
    left = [process for process in _processes_since(others, home) if not _ends(process)]
    for process in left:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
    assert not left, f"left running: {[process.info for process in left]}"


@pytest.fixture
def workspace(exp: Exp, monkeypatch: pytest.MonkeyPatch) -> ExpWorkspace:
    """Experiments from Python under the home of `exp`."""
    monkeypatch.setenv("NEMORUN_HOME", str(exp.home))
    return ExpWorkspace(Home(exp.home), exp.folder)


def environment() -> dict[str, str]:
    """The environment, less what pytest itself keeps changing."""
    return {name: value for name, value in os.environ.items() if name != "PYTEST_CURRENT_TEST"}


def _processes_since(others: set[int], home: Path) -> list[psutil.Process]:
    """Those of experiments under the home that have started since; only they are asked, which is quicker."""
    variable = f"{HOME_VARIABLE}={home}"
    is_any = any(_may_have(pid, variable) for pid in set(psutil.pids()) - others)
    return processes_of(home) if is_any else []


def _ends(process: psutil.Process, within: float = 10.0) -> bool:
    try:
        process.wait(within)
    except psutil.TimeoutExpired:
        return False
    return True


CHOSEN = ("EXP_", "SLURM_", "SBATCH_", "SQUEUE_", "SINFO_")
"""Prefixes of the variables that mark a task or a job, or set defaults for the commands of Slurm."""


@pytest.fixture(autouse=True, scope="session")
def _no_leaked_environment() -> None:
    """Tests run outside of any experiment, and never on the caller's cluster."""
    for name in [name for name in os.environ if name.startswith(CHOSEN)]:
        del os.environ[name]


@pytest.fixture(autouse=True, scope="session")
def _own_user_folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Tests do not read the caller's settings of the login shell, git and ssh."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HOME", str(tmp_path_factory.mktemp("user")))
        yield


@pytest.fixture(autouse=True, scope="session")
def _no_ignored_signals() -> None:
    """What a shell or nohup starts in the background ignores these, and so would every command of a test."""
    for number in (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT):
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)


@pytest.fixture(autouse=True, scope="session")
def _warm_supervisors() -> Iterator[None]:
    """Supervisors that tests start from Python do not import everything anew."""
    with pytest.MonkeyPatch.context() as patch:
        if warm_supervisors.are_possible():
            patch.setattr(client, "spawn", warm_supervisors.spawn)
        yield
    warm_supervisors.close()


@pytest.fixture
def cold_supervisors() -> Iterator[None]:
    """Ordinary supervisors, for what is about how they start."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(client, "spawn", SPAWN)
        yield


ENGINES = {
    "docker_engine",
    "slurm",
    "slurm_alone",
    "slurm_alone_session",
    "slurm_session",
    "sshd",
    "sshd_session",
    "far",
    "far_session",
    "ssh_hosts",
    "ssh_hosts_session",
}
ALONE = {"slurm_alone", "own_engine"}
"""What stops an engine, or starts one of its own: such tests run one after the other."""
USES = re.compile(rf"\b(?:{'|'.join({*ENGINES, *ALONE})})\b[\"']?[:,)]")
"""How a file uses one: `far` is also a word."""


@cache
def _names_an_engine(path: Path) -> bool:
    """Whether tests of a file may use a real engine; those of the contract get theirs from their subjects."""
    return path.parent.name == "contract" or USES.search(path.read_text(encoding="utf-8")) is not None


@cache
def _names_a_browser(path: Path) -> bool:
    """Whether tests of a file may use a browser."""
    return "playwright" in path.read_text(encoding="utf-8")


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """With `-m engine`, do not import files without such tests; the same for `-m torch` and `-m page`."""
    if not (collection_path.name.startswith("test_") and collection_path.suffix == ".py"):
        return None
    chosen = config.option.markexpr
    if chosen.startswith("torch"):
        return re.search(rf"mark\.{chosen}\b", collection_path.read_text(encoding="utf-8")) is None or None
    if chosen == "page":
        return True if not _names_a_browser(collection_path) else None
    return True if chosen.startswith("engine") and not _names_an_engine(collection_path) else None


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """What is collected lives until the end: looking for garbage among it takes a third of collecting it."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests that want a real engine, and put them in the order in which they wait least."""
    ranks = {}
    for item in items:
        subject = item.callspec.params.get("subject") if hasattr(item, "callspec") else None
        needed = {getattr(subject, "needs", None), *getattr(item, "fixturenames", ())}
        if needed & ENGINES:
            assert _names_an_engine(item.path), f"{item.path} is not collected with -m engine"
            item.add_marker(pytest.mark.engine)
        if "browser" in needed:
            assert _names_a_browser(item.path), f"{item.path} is not collected with -m page"
            item.add_marker(pytest.mark.page)
        if needed & ALONE:
            item.add_marker(pytest.mark.alone)
        if "ended" in needed:  # one worker runs the tasks of all of them
            item.add_marker(pytest.mark.xdist_group(f"tasks of rules on {subject}"))
        # The longest first, so that no worker ends late.
        ranks[item] = ("docker_engine" not in needed, "e2e" not in item.path.parts)
    items.sort(key=ranks.__getitem__)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Show beside a failure what the Slurm cluster of the test was doing."""
    report = yield
    if report.failed and report.when == "call":
        clusters = {each for each in getattr(item, "funcargs", {}).values() if isinstance(each, Slurm)}
        report.sections += [("Slurm", cluster.account) for cluster in clusters]
    return report
