from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from nemorun_cli.packagers.environments import existing, interpreters
from nemorun_cli.packagers.environments.interpreters import EnvironmentFault

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(autouse=True)
def without_conda(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No environment of this machine's conda is found."""
    for name in ("CONDA_EXE", "MAMBA_ROOT_PREFIX"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "user"))


def prefix(path: Path) -> Path:
    """What conda has made, around the Python of this test."""
    (path / "bin").mkdir(parents=True)
    (path / "bin" / "python").symlink_to(interpreters.find(None).path)
    (path / "conda-meta").mkdir()
    (path / "conda-meta" / "python-3.11.9-h955ad1f_0.json").write_text("{}")
    (path / "conda-meta" / "libgcc-ng-13.2.0-h807b86a_5.json").write_text("{}")
    return path


def test_environments_of_conda_are_found_without_conda(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By $CONDA_EXE, $MAMBA_ROOT_PREFIX and ~/.conda/environments.txt; one that several name is one."""
    root, mamba = prefix(tmp_path / "conda"), tmp_path / "mamba"
    train, report, away = root / "envs" / "train", mamba / "envs" / "report", tmp_path / "work" / "away"
    for path in (train, report, away):
        prefix(path)
    monkeypatch.setenv("CONDA_EXE", str(root / "bin" / "conda"))
    monkeypatch.setenv("MAMBA_ROOT_PREFIX", str(mamba))
    listed = tmp_path / "user" / ".conda" / "environments.txt"
    listed.parent.mkdir(parents=True)
    listed.write_text(f"{train}\n{away}\n{tmp_path}/removed\n")
    found = existing.conda_environments()
    assert found == {"base": [root], "train": [train], "report": [report], "away": [away]}
    assert existing.conda_prefix("train") == train
    assert existing.conda_prefix(str(away)) == away
    with pytest.raises(EnvironmentFault) as fault:
        existing.conda_prefix("trian")
    assert fault.value.hint is not None
    assert fault.value.hint.startswith("did you mean train?")


def test_a_name_that_two_environments_have_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Which of them is meant cannot be known, so the path has to be named."""
    for root, name in (("conda", "CONDA_EXE"), ("mamba", "MAMBA_ROOT_PREFIX")):
        prefix(tmp_path / root / "envs" / "train")
        monkeypatch.setenv(name, str(tmp_path / root / ("bin/conda" if root == "conda" else "")))
    with pytest.raises(EnvironmentFault, match="several environments of conda are called 'train'"):
        existing.conda_prefix("train")


def test_versions_are_read_without_running_anything(tmp_path: Path) -> None:
    """Packages by the folders of their metadata, those of conda by its own, the Python by either."""
    conda = prefix(tmp_path / "conda")
    (conda / "lib" / "python3.11" / "site-packages" / "scikit_learn-1.5.0.dist-info").mkdir(parents=True)
    version, packages = existing.versions("conda", conda)
    assert (version, packages) == (
        "3.11.9",
        {"libgcc-ng": "13.2.0", "python": "3.11.9", "scikit-learn": "1.5.0"},
    )
    before = existing.fingerprint(version, packages)
    assert existing.fingerprint(version, {**packages, "scikit-learn": "1.5.1"}) != before


@pytest.mark.parametrize("text", ["version = 3.12.4\n", "home = /x\nversion_info = 3.12.4.final.0\n"])
def test_the_version_of_a_virtual_environment_is_in_its_configuration(tmp_path: Path, text: str) -> None:
    """As venv writes it, and as uv and virtualenv do."""
    venv = prefix(tmp_path / "venv")
    (venv / "pyvenv.cfg").write_text(text)
    assert existing.versions("venv", venv)[0] == "3.12.4"


def test_what_is_no_environment_is_refused_with_a_remedy(tmp_path: Path) -> None:
    """A missing folder, one of conda, one without a Python, and one that is no environment."""
    conda = prefix(tmp_path / "conda")
    empty = tmp_path / "empty"
    empty.mkdir()
    plain = prefix(tmp_path / "plain")
    _emptied(plain / "conda-meta").rmdir()
    for path, message in (
        (tmp_path / "no", "there is no folder"),
        (conda, "is an environment of conda"),
        (empty, "has no bin/python that can run"),
        (plain, "it has no pyvenv.cfg"),
    ):
        with pytest.raises(EnvironmentFault, match=message):
            existing.require_venv(path)


def _emptied(folder: Path) -> Path:
    for path in folder.iterdir():
        path.unlink()
    return folder


def test_a_python_is_found_by_its_version(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On the PATH, without programs that do not work; an absent version lists what the machine has."""
    real = interpreters.find(None)
    short = ".".join(real.version.split(".")[:2])
    (tmp_path / "shims").mkdir()
    shim = tmp_path / "shims" / f"python{short}"
    shim.write_text("#!/bin/sh\nexit 127\n")
    shim.chmod(0o700)
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / f"python{short}").symlink_to(real.path)
    monkeypatch.setenv("PATH", f"{tmp_path}/shims:{tmp_path}/bin:/nowhere")
    assert interpreters.find(short) == interpreters.find(real.version) == real
    with pytest.raises(EnvironmentFault) as fault:
        interpreters.find("3.99")
    assert fault.value.key == "version"
    assert real.version in str(fault.value.hint)
