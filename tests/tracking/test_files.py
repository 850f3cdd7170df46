from __future__ import annotations

import hashlib
import io
import math
import os
import pickle
import tempfile
import types
from pathlib import Path
from typing import IO, Any

import numpy as np
import pytest
import yaml

from nemorun_cli.errors import LedgerDamagedError, NotFoundError, UnreadableWarning, UsageError
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
    with pytest.raises(TypeError, match="pickle"):
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


def test_floats_a_little_out_of_range_are_clipped_and_never_turned_black() -> None:
    """What rounding adds to 0 to 1 or 0 to 255 changes no pixel by more than it, in any float type."""
    for kind in ("float16", "float32", "float64"):
        near = np.array([[-0.001, 1.001], [0.5, 0.0]], dtype=kind)
        assert as_bytes(near).tolist() == [[0, 255], [128, 0]]
    assert as_bytes(np.array([[1.0000001, -1e-8]])).tolist() == [[255, 0]]
    assert as_bytes(np.array([[1.2, -0.2, 0.5]])).tolist() == [[255, 0, 128]]
    assert as_bytes(np.array([[255.4, -0.4]])).tolist() == [[255, 0]]
    assert as_bytes(np.array([[16.5, 0.4]])).tolist() == [[16, 0]]


@pytest.mark.parametrize("largest", [1.21, 1.5, 2.0, 16.0, 255.6, math.inf])
def test_range_of_floats_is_never_guessed(largest: float) -> None:
    """Floats that could be from 0 to 1 or from 0 to 255 are refused with what to write."""
    with pytest.raises(ValueError, match=r"numpy\.clip\(image, 0, 1\), or numpy\.rint"):
        as_bytes(np.array([[0.0, largest]]))


def test_image_that_cannot_be_is_refused_with_the_remedy() -> None:
    """Channels that come first, pixels that are NaN and numbers that are none are named."""
    for bad, remedy in (
        (np.zeros((3, 8, 8)), "transpose"),
        (np.zeros((1, 8, 8)), "transpose"),
        (np.zeros((0, 8)), "shape"),
        (np.zeros((2, 3, 8, 8)), "shape"),
        (np.array([[0.5, math.nan]]), "nan_to_num"),
        (np.array([[1j]]), "complex"),
        (np.array([["a"]]), "integers or floats"),
    ):
        with pytest.raises(ValueError, match=remedy):
            as_bytes(bad)


class _LikeArray:
    """What only looks like an array."""

    dtype = "float32"

    def tolist(self) -> list[float]:
        """Two numbers."""
        return [0.1, 0.2]


FIGURE = types.SimpleNamespace(savefig=None)
REFUSED: list[tuple[Any, str, str]] = [
    *(
        (value, f"m{ending}", "save_pkl")
        for value in ({"w": _LikeArray()}, [[1, 2]])
        for ending in ("", ".bin", ".txt")
    ),
    ({"w": _LikeArray()}, "m.npz", "no array of NumPy"),
    ({"w": np.array([object()])}, "m.npz", "no array of NumPy"),
    ({"w": np.zeros(2), "lr": 0.1}, "m.npz", "arrays by name"),
    ({"w": np.zeros(2), "lr": 0.1}, "m.safetensors", "arrays by name"),
    ({"file": np.zeros(2)}, "m.npz", "called 'file'"),
    (np.zeros(2), "m.npz", "a mapping of arrays"),
    (np.zeros(2), "m.txt", r"\.npy"),
    ([[0, 1]], "m.png", "save_image"),
    ([[0, 1]], "m.csv", "DataFrame"),
    ({"a": 1}, "m.parquet", "DataFrame"),
    ({"a": 1}, "m.jsonl", "list of rows"),
    ("text", "m.png", "save_text"),
    ("text", "m", "save_text"),
    ('{"a": 1}', "m.json", "save_text saves it as it is, save_json"),
    (FIGURE, "m.txt", r"\.png"),
    (FIGURE, "m.json", r"\.png"),
    (5, "m.txt", "save_json"),
    (object(), "m.yaml", "object cannot be recorded"),
    (lambda: 0, "m.pkl", "pickle"),
]


@pytest.mark.parametrize(("value", "to", "remedy"), REFUSED, ids=lambda value: str(value)[:20])
def test_value_is_never_saved_against_its_ending(
    value: Any, to: str, remedy: str, experiment: Experiment, root: Path
) -> None:
    """What the ending does not say is refused with the right call, and nothing is stored."""
    with pytest.raises(TypeError, match=remedy):
        experiment.files("m").save(value, to=to)
    assert experiment.files.versions() == []
    assert _blobs(root) == []


@pytest.mark.parametrize(
    "path", ["missing.csv", "./notes", "data/train", "/no/file", "my table.txt", "~/model.pt"]
)
def test_path_that_does_not_exist_is_an_error(path: str, experiment: Experiment) -> None:
    """A text that looks like a path is not saved as a text: the error names both things to do."""
    with pytest.raises(NotFoundError, match="check the path, or use save_text"):
        experiment.files.save(path, to="t.txt")
    with pytest.raises(NotFoundError, match="save_text"):
        experiment.files.save("text")
    assert experiment.files.list() == []


@pytest.mark.parametrize(
    "text",
    ["done", "two words.", "0.95", "1e-3", "v1.2.3", "https://a.org/b", "a/b and c\n", "", "see a.csv there"],
)
def test_text_that_is_no_path_is_saved(text: str, experiment: Experiment) -> None:
    """A text is saved as it is under the ending of a text."""
    assert experiment.files.save(text, to="t.txt")["contentType"] == "text/plain"
    assert experiment.files.read_text(name="t.txt") == text


def test_each_ending_holds_its_format(experiment: Experiment) -> None:
    """What is saved can be read by what reads its ending, and the type agrees."""
    files = experiment.files("m")
    value = {"b": [1, 1e-05, "1e5", None, "yes"], "a": "ü"}
    assert files.save(value, to="v.yaml")["contentType"] == "application/yaml"
    assert yaml.safe_load(files.read_bytes("v.yaml")) == value
    assert files.save([{"a": 1}, [2]], to="v.jsonl")["contentType"] == "application/jsonl"
    assert files.read_text(name="v.jsonl") == '{"a":1}\n[2]\n'
    files.save(np.eye(2), to="v.npy")
    assert np.load(io.BytesIO(files.read_bytes("v.npy"))).tolist() == [[1, 0], [0, 1]]
    files.save({"w": np.eye(2), "n/b": np.arange(2)}, to="v.npz")
    loaded = np.load(io.BytesIO(files.read_bytes("v.npz")))
    assert {name: loaded[name].tolist() for name in loaded} == {"w": [[1, 0], [0, 1]], "n/b": [0, 1]}
    assert files.save("a", to="v.json")["contentType"] == "application/json"
    assert files.read_text(name="v.json") == '"a"\n'


def test_type_is_that_of_the_content(experiment: Experiment) -> None:
    """The type follows the method that wrote the content, and what a name says about compression."""
    files = experiment.files
    types_ = [
        files.save_text("a", to="a.png"),
        files.save_text("a", to="a.html"),
        files.save_json([], to="a.bin"),
        files.save_pkl([], to="a.txt"),
        files.save_blob(b"", to="a.txt.gz"),
        files.save_blob(b"", to="a.png"),
        files.save_blob(b"", to="a"),
    ]
    assert [file["contentType"] for file in types_] == [
        *("text/plain", "text/html", "application/json", "application/octet-stream"),
        *("application/gzip", "image/png", "application/octet-stream"),
    ]


def test_exact_name_comes_before_a_glob(experiment: Experiment, tmp_path: Path) -> None:
    """A name with characters of globs is that file or folder wherever there was one, and a glob elsewhere."""
    files = experiment.files("a[1]")
    for name in ("run[1].txt", "run1.txt", "a*b.txt", "a-b.txt", "x?/y.txt", "xz/y.txt"):
        files.save_text(name, to=name)
    for name in ("run[1].txt", "a*b.txt"):
        assert files.exists(name)
        assert files.read_text(name=name) == name
        assert [file["filename"] for file in files.list(name)] == [name]
        assert files.download(name, to=tmp_path / "copy") == str(tmp_path / "copy")
        assert (tmp_path / "copy").read_text() == name
    assert files.download("x?", to=tmp_path / "x") == [str(tmp_path / "x/y.txt")]
    assert files.delete("run[1].txt")["filename"] == "run[1].txt"
    assert not files.exists("run[1].txt")
    with pytest.raises(NotFoundError):
        files.delete("run[1].txt")
    assert [file["filename"] for file in files.delete("run[!2].txt")] == ["run1.txt"]
    files.delete("a*b.txt")
    assert files.exists("a-b.txt")
    assert experiment.files("a[1]/xz").list() == experiment.files.list("a[[]1]/xz/*")
    assert experiment.files("a1").list() == []


def _folder(path: Path, **files: str) -> Path:
    for name, text in files.items():
        target = path / name.replace("__", "/")
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)
    return path


def test_folder_is_saved_and_copied_out_whole(experiment: Experiment, tmp_path: Path) -> None:
    """Each file of a folder keeps its path, on the way in and out, and each upload makes new versions."""
    source = _folder(tmp_path / "data", a="1", sub__b="2", sub__deep__c="1")
    (source / "empty").mkdir()
    (source / "ü [1]*.txt").write_text("odd")
    saved = experiment.files("sets", tags=["v1"]).upload(f"{source}/")
    assert (saved["path"], saved["filename"], saved["sizeBytes"], saved["skipped"]) == (
        "/sets",
        "data",
        6,
        [],
    )
    assert [file["tags"] for file in saved["files"]] == [["v1"]] * 4
    experiment.files.save(source, to="other")
    experiment.files("here").upload(source, to=".")
    for folder in ("sets/data", "other", "here"):
        out = tmp_path / "out" / folder
        paths = experiment.files(folder).download(to=out)
        assert paths == [str(out / name) for name in ("a", "sub/b", "sub/deep/c", "ü [1]*.txt")]
        assert [Path(path).read_text() for path in paths] == ["1", "2", "1", "odd"]
    assert [file["version"] for file in experiment.files.save(str(source), to="other")["files"]] == [2] * 4
    assert experiment.files.download("other/sub") == [str(tmp_path / "sub/b"), str(tmp_path / "sub/deep/c")]
    (tmp_path / "sub/b").write_text("mine")
    (tmp_path / "sub/deep/c").unlink()
    with pytest.raises(UsageError, match="another content"):
        experiment.files.download("other/sub")
    assert not (tmp_path / "sub/deep/c").exists()


def test_links_are_not_followed_out_of_a_folder(experiment: Experiment, tmp_path: Path) -> None:
    """A link to a file in the folder is saved as that file; what else is no file is left out, and said."""
    source = _folder(tmp_path / "data", a="1", sub__b="2")
    (tmp_path / "secret").write_text("secret")
    (source / "in").symlink_to("sub/b")
    (source / "out").symlink_to(tmp_path / "secret")
    (source / "folder").symlink_to("sub")
    (source / "self").symlink_to(".")
    (source / "nothing").symlink_to("absent")
    os.mkfifo(source / "fifo")
    with pytest.warns(UnreadableWarning, match=r"5 of .*fifo \(not a regular file\)"):
        saved = experiment.files.upload(source)
    assert [file["filename"] for file in saved["files"]] == ["a", "in", "b"]
    assert {entry["path"]: entry["reason"] for entry in saved["skipped"]} == {
        "fifo": "not a regular file",
        "folder": "a link to a folder",
        "nothing": "a link to nothing",
        "out": "a link out of the folder",
        "self": "a link to a folder",
    }
    assert experiment.files.read_text(name="data/in") == "2"


def test_folder_is_saved_whole_or_not_at_all(experiment: Experiment, tmp_path: Path, root: Path) -> None:
    """A name that cannot be used, or a folder without files, refuses the call; nothing is stored."""
    bad = _folder(tmp_path / "bad", a="1")
    (bad / "line\nbreak").write_text("2")
    with pytest.raises(UsageError, match="control character"):
        experiment.files.upload(bad)
    (tmp_path / "none/empty").mkdir(parents=True)
    with pytest.raises(UsageError, match="no files"):
        experiment.files.upload(tmp_path / "none")
    with pytest.raises(TypeError, match="is a folder"):
        experiment.files.save("none", to="none.txt")
    assert experiment.files.versions() == []
    assert _blobs(root) == []


def test_records_in_a_folder_are_left_out(experiment: Experiment, tmp_path: Path) -> None:
    """A folder that contains the records is saved without them."""
    _folder(tmp_path, a="1", other__dash__x__y__d="2")
    (tmp_path / "other/dash/x/.record").mkdir()
    with pytest.warns(UnreadableWarning, match="a folder of records"):
        saved = experiment.files.upload(".", to="all")
    assert [file["filename"] for file in saved["files"]] == ["a", "d"]


def _save_below_a_file(experiment: Experiment, path: str, name: str) -> None:
    """As two processes that know nothing of each other, and earlier versions, can do it."""
    other = Experiment(experiment.prefix, dash_root=experiment.dash_root, print_logs=False)
    with other.run:
        above = experiment.files.find(path)
        experiment.files.delete(path)
        other.files.save_text("below", to=f"{path}/{name}")
        experiment.files.duplicate(above["id"], to=path)


def test_a_path_is_a_file_or_a_folder(experiment: Experiment, tmp_path: Path) -> None:
    """Saving under the name of a folder, or below a file, is refused until what is there is deleted."""
    source = _folder(tmp_path / "data", w="1")
    files = experiment.files
    files.save_text("1", to="a/file")
    files.save_text("2", to="folder/x/y")
    for call in (
        lambda: files.save_text("3", to="a/file/below"),
        lambda: files("a/file").save_text("3", to="b/c"),
        lambda: files.save_text("3", to="folder/x"),
        lambda: files("folder").upload(source / "w", to="x"),
        lambda: files.upload(source, to="a/file"),
        lambda: files.duplicate("a/file", to="folder"),
    ):
        with pytest.raises(UsageError, match=r"is a folder of saved files|is a saved file"):
            call()
    assert [file["filename"] for file in files.versions()] == ["file", "y"]
    files.save_text("4", to="a/file")
    files.delete("a/file")
    assert files.save_text("5", to="a/file/below")["version"] == 1
    with Experiment(experiment.prefix, dash_root=experiment.dash_root).run as other:  # another process
        other.files.delete("folder/x/y")
    assert files.save_text("6", to="folder/x")["version"] == 1


def test_a_slash_at_the_end_means_into_the_folder(experiment: Experiment, tmp_path: Path) -> None:
    """An uploaded, duplicated or downloaded file keeps its name there; a value needs a name."""
    source = _folder(tmp_path / "data", w="1") / "w"
    first = experiment.files("a").upload(source, to="b/")
    assert (first["path"], first["filename"]) == ("/a/b", "w")
    experiment.files.save(source, to="c/")
    experiment.files.duplicate(first, to="d/")
    assert [file["path"] for file in experiment.files.list()] == ["/a/b", "/c", "/d"]
    with pytest.raises(UsageError, match="add the name of the file"):
        experiment.files.save_text("x", to="e/")
    with pytest.raises(UsageError, match="a file needs a name"):
        experiment.files("e").save_text("x", to="")
    assert experiment.files("c/w").download(to="new/") == str(tmp_path / "new/w")


def test_copies_never_replace_each_other(experiment: Experiment, tmp_path: Path) -> None:
    """Two files that would have one path, or one that would be a folder, are refused before any copy."""
    for path in ("m/a/x.pt", "m/b/x.pt", "m/a/y", "n/a"):
        experiment.files.save_text(path, to=path)
    _save_below_a_file(experiment, "n/a", "b")
    with pytest.raises(UsageError, match=r"m/a/x\.pt and m/b/x\.pt would both"):
        experiment.files.download("m/**/*.pt", to="out")
    with pytest.raises(UsageError, match=r"n/a is a file, but n/a/b"):
        experiment.files.download("n", to="out")
    assert not (tmp_path / "out").exists()
    with pytest.raises(NotFoundError):
        experiment.files.download()


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
