from __future__ import annotations

import hashlib
import math
import pickle
import tempfile
from pathlib import Path
from typing import IO

import numpy as np
import pytest

from nemorun_cli.errors import LedgerDamagedError, NotFoundError, UsageError
from nemorun_cli.tracking import Experiment
from nemorun_cli.tracking.store.savers import as_bytes


def _blobs(root: Path) -> list[Path]:
    return [path for path in (root / "owner/project/name/.record/blobs").rglob("*") if path.is_file()]


def test_handle_is_real_when_it_returns(experiment: Experiment) -> None:
    """What is returned describes a file that is there: its id, checksum, size and type."""
    file = experiment.files("models", description="best", tags=["x"]).save_text("weights", to="w.txt")
    assert file["checksum"] == hashlib.sha256(b"weights").hexdigest()
    assert (file["path"], file["filename"], file["sizeBytes"], file["version"]) == ("/models", "w.txt", 7, 1)
    assert (file["contentType"], file["description"], file["tags"]) == ("text/plain", "best", ["x"])
    assert experiment.files(file_id=file["id"]).read_text() == "weights"
    assert experiment.files("models/w.txt").exists()
    assert not experiment.files("models/v.txt").exists()
    copy = experiment.files().duplicate(file, to="latest/w.txt")
    assert experiment.files("latest/w.txt").read_text() == "weights"
    assert copy["checksum"] == file["checksum"]


def test_each_kind_is_saved_as_what_it_is(experiment: Experiment, tmp_path: Path) -> None:
    """`save` tells bytes, mappings, texts, pickles and paths apart; each method saves what it says."""
    (tmp_path / "there.bin").write_bytes(b"\0")
    files = experiment.files("a")
    files.save(b"\1", to="b.bin")
    files.save({"x": math.nan}, to="c.json")
    files.save({1: object}, to="d.pkl")
    files.save("text", to="e.md")
    files.save(tmp_path / "there.bin")
    files.save(str(tmp_path / "there.bin"), to="f.bin", tags=["up"])
    files.save_json([1], to="g/h.json")
    assert [f"{file['path']}/{file['filename']}" for file in files.list()] == [
        *("/a/b.bin", "/a/c.json", "/a/d.pkl", "/a/e.md", "/a/f.bin"),
        *("/a/g/h.json", "/a/there.bin"),
    ]
    assert experiment.files("a/c.json").read_text() == '{"x":"NaN"}\n'
    assert pickle.loads(files.read_bytes("d.pkl")) == {1: object}  # noqa: S301 - written just above
    assert files.find("f.bin")["tags"] == ["up"]
    for bad, to in ((object(), "x.bin"), ({}, None), (object(), "x.json")):
        with pytest.raises(TypeError):
            files.save(bad, to=to)


def test_source_is_never_touched(experiment: Experiment) -> None:
    """An uploaded file stays as it was, a temporary one too, and later changes to it change nothing here."""
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder, "model.bin")
        source.write_bytes(b"one")
        before = source.stat()
        experiment.files("m").upload(str(source))
        assert source.stat() == before
        source.write_bytes(b"two")
        assert experiment.files("m/model.bin").read_text() == "one"
        experiment.files("m").upload(source, to="renamed.bin")
        assert [path.name for path in Path(folder).iterdir()] == ["model.bin"]
    assert experiment.files("m").read_bytes("renamed.bin") == b"two"
    with pytest.raises(NotFoundError, match="no file"):
        experiment.files.upload("/no/such/file")


@pytest.mark.parametrize("name", ["../x", "a/../../x", "..", "a//b", "x\0y", ".record/x", "x" * 201, "", "/"])
def test_no_name_leaves_its_place(name: str, experiment: Experiment, root: Path) -> None:
    """A name that could lead out is refused wherever it is given, and nothing is written."""
    with pytest.raises(UsageError):
        experiment.files.save_text("x", to=name)
    if name.strip("/"):
        with pytest.raises(UsageError):
            experiment.files(name).save_text("x", to="y")
        with pytest.raises(UsageError):
            experiment.files.download(name)
    assert not (root / "owner/project/name/.record/blobs").exists()


def test_index_from_elsewhere_cannot_write_outside(
    experiment: Experiment, root: Path, tmp_path: Path
) -> None:
    """A record of somebody else's can name neither a file outside nor a content that is not its own."""
    experiment.files.save_text("x", to="x.txt")
    (index,) = (root / "owner/project/name/.record/files").iterdir()
    before = index.read_text()
    index.write_text(before.replace('"x.txt"', '"../../x.txt"'))
    with pytest.raises(UsageError):
        experiment.files.download("*", to=tmp_path / "out")
    checksum = hashlib.sha256(b"x").hexdigest()
    index.write_text(before.replace(checksum, "../../../../secret"))
    with pytest.raises(NotFoundError, match="not a checksum"):
        experiment.files("x.txt").read_text()


def test_same_name_is_a_new_version_and_same_content_is_kept_once(experiment: Experiment, root: Path) -> None:
    """Every version can be read; equal contents are one file on disk."""
    for text in ("one", "two", "one"):
        file = experiment.files("m").save_text(text, to="w.txt")
    assert file["version"] == 3
    assert experiment.files("m").read_text(name="w.txt", version=2) == "two"
    assert [version["version"] for version in experiment.files("m").versions()] == [1, 2, 3]
    assert len(experiment.files.list()) == 1
    assert len(_blobs(root)) == 2
    with pytest.raises(NotFoundError, match="version 9"):
        experiment.files("m").find("w.txt", version=9)


def test_versions_go_on_in_the_next_opening(root: Path) -> None:
    """The second run's first save of a name is the version after the first run's last."""
    for expected in (1, 2):
        with Experiment("a", dash_root=root).run as experiment:
            assert experiment.files.save_text("x", to="x.txt")["version"] == expected


def test_deleting_hides_a_name_and_keeps_its_versions(experiment: Experiment) -> None:
    """A deleted file is not listed; saving it again brings it back with the next version."""
    files = experiment.files("m")
    for name in ("a.png", "b.png", "c.txt"):
        files.save_text(name, to=name)
    assert [file["filename"] for file in files.delete("*.png")] == ["a.png", "b.png"]
    assert [file["filename"] for file in files.list()] == ["c.txt"]
    assert experiment.files("m/c.txt").delete()["deletedAt"]
    with pytest.raises(NotFoundError):
        experiment.files("m/c.txt").delete()
    with pytest.raises(NotFoundError):
        files.delete("*.png")
    assert files.save_text("again", to="a.png")["version"] == 2


def test_listing_takes_globs_and_keeps_to_its_folder(experiment: Experiment) -> None:
    """A folder is that folder, not all that begins like it, and `**` spans folders."""
    for path in ("m/a.pt", "mm/b.pt", "m/deep/c.pt", "d.json"):
        experiment.files.save_text(path, to=path)
    assert [file["filename"] for file in experiment.files("/m").list()] == ["a.pt", "c.pt"]
    assert [file["filename"] for file in experiment.files("m").list("*.pt")] == ["a.pt", "c.pt"]
    assert [file["filename"] for file in experiment.files().list("m/*.pt")] == ["a.pt", "c.pt"]
    assert len(experiment.files.list("**/*.pt")) == 3
    assert [file["filename"] for file in experiment.files.list("**/*.json")] == ["d.json"]
    with pytest.raises(NotFoundError) as caught:
        experiment.files.find("nothing")
    assert caught.value.hint == "there are: d.json, m/a.pt, m/deep/c.pt, mm/b.pt"


def test_download_copies_out_and_overwrites_nothing_unasked(experiment: Experiment, tmp_path: Path) -> None:
    """A file is copied to where it is asked for; what is in the working folder and differs is left alone."""
    experiment.files("m").save_text("saved", to="w.txt")
    assert experiment.files("m/w.txt").download() == str(tmp_path / "w.txt")
    assert experiment.files("m/w.txt").download() == str(tmp_path / "w.txt")
    (tmp_path / "w.txt").write_text("mine")
    with pytest.raises(UsageError, match="another content"):
        experiment.files("m/w.txt").download()
    assert (tmp_path / "w.txt").read_text() == "mine"
    experiment.files("m/w.txt").download(to=tmp_path / "w.txt")
    assert (tmp_path / "w.txt").read_text() == "saved"
    assert experiment.files("m").download("*.txt", to="out") == [str(tmp_path / "out/w.txt")]
    assert experiment.files.download("m/w.txt", to=tmp_path / "out") == str(tmp_path / "out/w.txt")
    with pytest.raises(NotFoundError):
        experiment.files.download("*.none")


def test_content_that_changed_is_never_given_out(experiment: Experiment, root: Path, tmp_path: Path) -> None:
    """A damaged content is an error on every way out, and leaves no copy; a missing one is told."""
    experiment.files.save_text("saved", to="w.txt")
    (blob,) = _blobs(root)
    blob.write_text("other")
    with pytest.raises(LedgerDamagedError, match="changed since"):
        experiment.files("w.txt").read_text()
    with pytest.raises(LedgerDamagedError, match="changed since"):
        experiment.files("w.txt").download()
    assert [path.name for path in tmp_path.iterdir()] == ["dash"]
    blob.unlink()
    with pytest.raises(NotFoundError, match="content"):
        experiment.files("w.txt").read_text()


def test_saving_that_fails_leaves_nothing(experiment: Experiment, root: Path) -> None:
    """If what is saved cannot be written out, there is no file, no content and no name."""

    def write(stream: IO[bytes]) -> None:
        stream.write(b"half")
        raise RuntimeError("no more")

    with pytest.raises(RuntimeError, match="no more"):
        experiment.files.save_with(write, to="x.bin")
    with pytest.raises((pickle.PicklingError, AttributeError, TypeError)):
        experiment.files.save_pkl(lambda: 0, to="x.pkl")
    with pytest.raises(TypeError, match="tags"):
        experiment.files("m", metadata={"tags": object()}).save_text("x", to="x.txt")
    assert experiment.files.list() == []
    assert _blobs(root) == []


def test_image_bytes_keep_their_contrast() -> None:
    """Floats from 0 to 1 are scaled, numbers to 255 taken as they are, and nothing is ever stretched."""
    grey = np.array([[0.0, 0.5], [1.0, 0.25]])
    assert as_bytes(grey).tolist() == [[0, 128], [255, 64]]
    assert as_bytes(np.full((2, 2, 1), 100.0)).tolist() == [[100, 100], [100, 100]]
    assert as_bytes(np.array([[10, 200]])).tolist() == [[10, 200]]
    assert as_bytes(np.array([[True, False]])).tolist() == [[255, 0]]
    assert as_bytes(np.zeros((2, 3, 4), dtype=np.uint8)).shape == (2, 3, 4)
    for bad in (
        np.array([[-1.0]]),
        np.array([[256]]),
        np.array([[math.nan]]),
        np.zeros(3),
        np.zeros((2, 2, 2)),
    ):
        with pytest.raises(ValueError, match="image"):
            as_bytes(bad)


def test_missing_library_is_told_with_how_to_get_it(experiment: Experiment) -> None:
    """Saving an image, a figure or a model without its library names what to install."""
    for name, save in (
        ("PIL", lambda: experiment.files.save_image(np.zeros((2, 2)), to="x.png")),
        ("matplotlib", lambda: experiment.files.save_fig(to="x.png")),
        ("torch", lambda: experiment.files.save_torch({}, to="x.pt")),
    ):
        try:
            __import__(name)
        except ModuleNotFoundError:
            with pytest.raises(UsageError, match="not installed") as caught:
                save()
            assert caught.value.hint is not None
            assert "pip install" in caught.value.hint
        else:
            assert save()["sizeBytes"] > 0


def test_what_is_stored_about_a_file_can_change(experiment: Experiment) -> None:
    """An update changes one version, whichever way it is named, and is read back by everybody."""
    first = experiment.files("m", tags=["old"]).save_text("one", to="x.txt")
    second = experiment.files("m").save_text("two", to="x.txt")
    experiment.files("m/x.txt").update(description="latest", metadata={"a": 1})
    experiment.files(file_id=first["id"], tags=["first"]).update()
    experiment.files("m").update("x.txt", bindrs=["v1"])
    read = Experiment(experiment.prefix, dash_root=experiment.dash_root).files("m")
    assert [
        (file["description"], file["tags"], file["bindrs"], file["version"]) for file in read.versions()
    ] == [
        (None, ["first"], [], 1),
        ("latest", [], ["v1"], 2),
    ]
    assert read.read_text(name="x.txt") == "two"
    assert [file["id"] for file in read.list()] == [second["id"]]
    for refused, error in (
        (lambda: read("x.txt").update(), TypeError),
        (lambda: read.update("y"), NotFoundError),
    ):
        with pytest.raises(error):
            refused()
    with pytest.raises(RuntimeError, match="not open"):
        read("x.txt").update(tags=["closed"])


def test_an_id_is_one_version(experiment: Experiment) -> None:
    """`files(file_id=…)` reads that version, and not the latest one at its path."""
    first = experiment.files("m").save_text("one", to="x.txt")
    experiment.files("m").save_text("two", to="x.txt")
    chosen = experiment.files(file_id=first["id"], dest_path="copy.txt")
    assert chosen.read_text() == "one"
    assert Path(str(chosen.download())).read_text(encoding="utf-8") == "one"
    with pytest.raises(TypeError, match="pass only one"):
        experiment.files("m", prefix="n")
