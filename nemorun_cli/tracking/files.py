"""Files of a record: saved under a name, with all versions, and read back."""

from __future__ import annotations

import copy
import fnmatch
import mimetypes
import os
import time
from collections.abc import Mapping
from typing import IO, TYPE_CHECKING, Any, Final, Self

from nemorun_cli.errors import NotFoundError, UsageError
from nemorun_cli.model import clock
from nemorun_cli.model.bounded_text import shown
from nemorun_cli.system.files import make_folder, open_to_read
from nemorun_cli.tracking import arguments
from nemorun_cli.tracking.store.blob_store import Blobs
from nemorun_cli.tracking.store.file_index import FileIndex, full_path, join
from nemorun_cli.tracking.store.json_values import dump, plain
from nemorun_cli.tracking.store.record_paths import absolute, check_path

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    from nemorun_cli.tracking.store.blob_store import BlobContent
    from nemorun_cli.tracking.store.file_index import File
    from nemorun_cli.tracking.store.record_paths import Place
    from nemorun_cli.tracking.store.row_files import Writer

    FileList = list[File]  # `list` is a method below
    PathList = list[str]

TORCH_ENDINGS: Final = (".pt", ".pth", ".ckpt")
PICKLE_ENDINGS: Final = (".pkl", ".pickle")
IMAGE_ENDINGS: Final = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".tif", ".tiff")


class Files:
    """The files of a record, or those in one of its folders: `files("models").save(model, to="best.pt")`.

    Saving copies and hashes the content before the call returns. Saving under an existing name creates a
    new version; deleting hides a name and keeps its contents.
    """

    def __init__(self, place: Place, writer: Writer) -> None:
        self._place = place
        self._writer = writer
        self._index = FileIndex(place, writer)
        self._folder = ""
        self._about: dict[str, Any] = {}
        self._id: str | None = None  # of one version, instead of a folder
        self._source: str | os.PathLike[str] | None = None
        self._target: str | os.PathLike[str] | None = None

    @property
    def _blobs(self) -> Blobs:
        if self._writer.is_off:
            from nemorun_cli.tracking.store.discarded import DiscardedBlobs  # noqa: PLC0415 - rarely needed

            return DiscardedBlobs(self._place.blobs)
        return Blobs(self._place.blobs)

    def _with(self, **attributes: Any) -> Self:
        """The files of the same record, with other attributes."""
        files = copy.copy(self)
        files.__dict__.update(attributes)
        return files

    def __call__(
        self,
        dir: str | None = None,  # noqa: A002 - ML-Dash's name
        *,
        path: str | None = None,
        prefix: str | None = None,
        file_id: str | None = None,
        file_path: str | os.PathLike[str] | None = None,
        dest_path: str | os.PathLike[str] | None = None,
        description: str | None = None,
        tags: Sequence[str] | None = None,
        bindrs: Sequence[str] | None = None,
        metadata: Mapping[str, Any] | None = None,
    ) -> Self:
        """The files in a folder, or one by path or id; the other arguments are stored with saved files.

        Args:
            dir: the path of a folder or a file; `path` and `prefix` are other names of it in ML-Dash.
            path: the same.
            prefix: the same.
            file_id: the id of a file, instead of its path.
            file_path: the file on this machine that `save()` without arguments saves.
            dest_path: the target of `download()` without `to`.
            description: a text about the file.
            tags: words to find it by.
            bindrs: ML-Dash's name for what it is bound to.
            metadata: other data, as a mapping.

        Raises:
            TypeError: a folder is given twice.
            UsageError: the path could leave the record.
        """
        places = [place for place in (dir, path, prefix, file_id) if place is not None]
        if len(places) > 1:
            raise TypeError("dir, path, prefix and file_id are names of one argument: pass only one")
        if file_id is not None:
            dir = full_path(self._saved(file_id))  # noqa: A001 - the same
        arguments = {"description": description, "tags": tags, "bindrs": bindrs, "metadata": metadata}
        about = {**self._about, **{name: value for name, value in arguments.items() if value is not None}}
        return self._with(
            _folder=join(self._folder, dir or path or prefix or ""),
            _about=about,
            _id=file_id,
            _source=self._source if file_path is None else file_path,
            _target=self._target if dest_path is None else dest_path,
        )

    def save(self, content: Any = None, *, to: str | None = None, **about: Any) -> File:
        """Save a value, or the file at a path.

        An existing path is uploaded. Bytes are saved unchanged, mappings and lists as JSON. The ending of
        `to` selects other formats: arrays as images, figures as images or PDF, models and tensors with
        PyTorch, any value as `.pkl`.

        Args:
            content: the value or path to save.
            to: the name to save it under, in this folder; default for an uploaded file: its own.
            about: description, tags, bindrs, metadata.

        Raises:
            TypeError: no format fits the value and the ending.
        """
        files = self(**about) if about else self
        content = self._source if content is None and self._source is not None else content
        if isinstance(content, os.PathLike) or (isinstance(content, str) and os.path.exists(content)):
            return files.upload(content, to=to)
        if to is None:
            raise TypeError("to is required: the name under which the value is saved")
        return files._saver(content, os.path.splitext(to)[1].lower())(content, to=to)  # noqa: SLF001 - of this class

    def _saver(self, content: Any, ending: str) -> Callable[..., File]:
        """The method that saves a value with an ending: the first that matches."""
        candidates: tuple[tuple[bool, Callable[..., File]], ...] = (
            (isinstance(content, (bytes, bytearray, memoryview)), self.save_blob),
            (ending in TORCH_ENDINGS, self.save_torch),
            (ending in PICKLE_ENDINGS, self.save_pkl),
            (hasattr(content, "savefig"), self.save_fig),
            (ending in IMAGE_ENDINGS and hasattr(content, "dtype"), self.save_image),
            (isinstance(content, (dict, list, tuple)) or ending == ".json", self.save_json),
            (isinstance(content, str) and bool(ending), self.save_text),
        )
        for matches, saver in candidates:
            if matches:
                return saver
        raise TypeError(
            f"no format for {type(content).__qualname__} with the ending {ending!r}: use save_json,"
            " save_text, save_blob, save_pkl, save_torch, save_image or save_fig"
        )

    def upload(self, fpath: str | os.PathLike[str], *, to: str | None = None, **about: Any) -> File:
        """Save a copy of a file; the file itself is only read.

        Args:
            fpath: the file.
            to: the name to save it under; default its own.
            about: description, tags, bindrs, metadata.

        Raises:
            NotFoundError: it does not exist, or is a folder.
        """
        source = absolute(fpath, what="fpath")
        if not os.path.isfile(source):
            raise NotFoundError(f"there is no file {source}")
        files = self(**about) if about else self
        return files._store(to or os.path.basename(source), lambda: files._blobs.copy_in(source))  # noqa: SLF001 - of this class

    def save_blob(self, data: bytes, *, to: str) -> File:
        """Save bytes."""
        return self.save_with(lambda stream: stream.write(data), to=to)

    def save_text(self, content: str, *, to: str) -> File:
        """Save a text as UTF-8.

        Raises:
            TypeError: it is no text.
        """
        if not isinstance(content, str):
            raise TypeError(f"save_text saves a text, not {type(content).__qualname__}: {shown(content)}")
        return self.save_blob(content.encode(), to=to)

    def save_json(self, content: Any, *, to: str) -> File:
        """Save a value as JSON; NaN and infinities become the texts "NaN", "Infinity" and "-Infinity".

        Raises:
            TypeError: the value, or a part of it, has no JSON form.
        """
        return self.save_blob(f"{dump(plain(content, to))}\n".encode("ascii"), to=to)

    def save_pkl(self, content: Any, *, to: str) -> File:
        """Save a value with `pickle`; loading a pickle runs code, so load only your own."""
        import pickle  # noqa: PLC0415 - used only here

        return self.save_with(lambda stream: pickle.dump(content, stream), to=to)

    def save_torch(self, model: Any, *, to: str) -> File:
        """Save a model, a state dict or a tensor with PyTorch."""
        from nemorun_cli.tracking.store import savers  # noqa: PLC0415 - depends on other libraries

        return self.save_with(savers.torch_writer(model), to=to)

    def save_image(self, array: Any, *, to: str, quality: int = 95) -> File:
        """Save an array of height x width (x 1, 3 or 4 channels) as an image in the format of the ending.

        Args:
            array: uint8 unchanged, booleans as black and white, floats from 0 to 1 scaled, other numbers from
                0 to 255.
            to: the name.
            quality: of JPEG, 1 to 100.

        Raises:
            ValueError: the shape is not that of an image, or a number is out of range.
        """
        from nemorun_cli.tracking.store import savers  # noqa: PLC0415 - depends on other libraries

        return self.save_with(savers.image_writer(array, os.path.splitext(to)[1], quality), to=to)

    def save_fig(self, fig: Any = None, *, to: str, **options: Any) -> File:
        """Save a matplotlib figure (default: the current one) and close it; options are `savefig`'s."""
        from nemorun_cli.tracking.store import savers  # noqa: PLC0415 - depends on other libraries

        return self.save_with(savers.figure_writer(fig, os.path.splitext(to)[1], options), to=to)

    def save_with(self, write: Callable[[IO[bytes]], object], *, to: str) -> File:
        """Save what a function writes to the binary stream passed to it; if it raises, nothing is saved."""

        def content() -> BlobContent:
            with self._blobs.staging() as staged:
                write(staged.stream)
            return staged.done()

        return self._store(to, content)

    def _store(self, name: str, content: Callable[[], BlobContent]) -> File:
        """Record a content under a name. The name and description are checked before anything is written."""
        path = join(self._folder, name)
        folder, _, filename = path.rpartition("/")
        if not filename:
            raise UsageError("a file needs a name")
        about = arguments.description(
            {key: self._about.get(key) for key in ("description", "tags", "bindrs", "metadata")}
        )
        self._writer.require_present()
        checksum, size = content()
        timestamp = time.time()
        file: File = {
            "id": os.urandom(8).hex(),
            "path": f"/{folder}",
            "filename": filename,
            "checksum": checksum,
            "sizeBytes": size,
            "contentType": mimetypes.guess_type(filename)[0] or "application/octet-stream",
            **about,
            "tags": about["tags"] or [],
            "bindrs": about["bindrs"] or [],
            "uploadedAt": clock.stamp(timestamp),
        }
        return self._index.add(file, timestamp=timestamp)

    def versions(self, *, openings: Collection[str] | None = None) -> FileList:
        """All versions of all files, oldest first, including deleted ones."""
        return [file for file in self._index.versions(openings) if _is_in(full_path(file), self._folder)]

    def list(self, pattern: str | None = None, *, openings: Collection[str] | None = None) -> FileList:
        """The latest version of each file in this folder and below it, by path.

        Args:
            pattern: a glob, matched against the name and against the path relative to this folder.
            openings: only files saved in these openings.
        """
        chosen = self._files_in(self._folder, openings)
        return (
            chosen
            if pattern is None
            else [file for file in chosen if self._matches(file, pattern.lstrip("/"))]
        )

    def _files_in(self, folder: str, openings: Collection[str] | None = None) -> FileList:
        """The latest version of each file in a folder of the record and below it, by path."""
        present = self._index.present(openings)
        return [file for path, file in present.items() if _is_in(path, folder)]

    def _matches(self, file: File, pattern: str) -> bool:
        path = full_path(file)
        relative = path.removeprefix(f"{self._folder}/") if self._folder else path
        anywhere = pattern.removeprefix("**/")  # `**/` also matches no folder
        names = (file["filename"], relative)
        return any(fnmatch.fnmatchcase(name, glob) for name in names for glob in {pattern, anywhere})

    def exists(self, name: str = "") -> bool:
        """Whether there is a file at this path, or any file in this folder."""
        return bool(self._files_in(join(self._folder, name)))

    def find(self, name: str = "", *, version: int | None = None) -> File:
        """The file at a path or with an id, in its latest version or the given one.

        Raises:
            NotFoundError: no file matches; the hint lists existing files.
        """
        path = join(self._folder, name)
        versions = self._index.versions()
        for file in versions:
            if file["id"] == (name or self._id):
                return file
        if version is not None:
            matching = [file for file in versions if full_path(file) == path and file["version"] == version]
        else:
            matching = [file for file in self._files_in(path) if full_path(file) == path]
        if not matching:
            known = ", ".join(full_path(file) for file in self.list()[:20]) or "none"
            which = f"version {version} of " if version is not None else ""
            raise NotFoundError(f"there is no {which}file {path!r}", hint=f"there are: {known}")
        return matching[-1]

    def _saved(self, name: str) -> File:
        """The file that a call changes or copies; with tracking off none is stored, and any name is one."""
        if self._writer.is_off:
            from nemorun_cli.tracking.store.discarded import discarded_file  # noqa: PLC0415 - rarely needed

            return discarded_file(join(self._folder, name))
        return self.find(name)

    def read_bytes(self, name: str = "", *, version: int | None = None) -> bytes:
        """The content of a file, checked against its checksum."""
        return self._blobs.read(self.find(name, version=version)["checksum"])

    def read_text(self, encoding: str = "utf-8", *, name: str = "", version: int | None = None) -> str:
        """The content of a file as text."""
        return self.read_bytes(name, version=version).decode(encoding)

    def download(
        self, name: str = "", *, to: str | os.PathLike[str] | None = None, version: int | None = None
    ) -> str | PathList:
        """Copy a file out of the record and return the path; for a glob, copy all matches and return a list.

        Args:
            name: the path in this folder, or a glob.
            to: the target path, or the target folder; for a glob always a folder. Default: the
                `dest_path` of `files(…)`, otherwise the working folder, where a file with another content is
                not overwritten.
            version: the version; default the latest.

        Raises:
            NotFoundError: there is no such file.
            UsageError: a file with another content exists in the working folder.
            LedgerDamagedError: the content has changed since it was saved.
        """
        to = self._target if to is None else to
        if any(character in name for character in "*?["):
            files = self.list(name)
            if not files:
                raise NotFoundError(f"no file matches {name!r}")
            folder = absolute(to if to is not None else ".", what="to")
            return [
                self._copy_out(file, f"{folder}/{file['filename']}", replace=to is not None) for file in files
            ]
        file = self.find(name, version=version)
        target = absolute(to, what="to") if to is not None else os.path.abspath(file["filename"])
        if os.path.isdir(target):
            target = f"{target}/{file['filename']}"
        return self._copy_out(file, target, replace=to is not None)

    def content_path(self, file: File) -> str:
        """The path of the content of a file, named by its checksum; do not write to it."""
        return self._blobs.path(file["checksum"])

    def _copy_out(self, file: File, target: str, *, replace: bool) -> str:
        check_path(file["filename"], what="file name")  # the index may come from another machine
        if not replace and os.path.exists(target):
            if _has_checksum(target, file["checksum"]):
                return target
            raise UsageError(f"{target} exists with another content", hint="set the target with to=")
        make_folder(os.path.dirname(target))
        self._blobs.copy_out(file["checksum"], target)
        return target

    def update(
        self,
        name: str = "",
        *,
        description: str | None = None,
        tags: Sequence[str] | None = None,
        bindrs: Sequence[str] | None = None,
        metadata: Mapping[str, Any] | None = None,
    ) -> File:
        """Change what is stored about a file: `files("m.pt").update(tags=["best"])`; return the file.

        The arguments of `files(…)` count too, as in ML-Dash. The content and other versions stay as they are.

        Args:
            name: the path in this folder, or an id.
            description: a text about the file.
            tags: words to find it by.
            bindrs: ML-Dash's name for what it is bound to.
            metadata: other data, as a mapping.

        Raises:
            NotFoundError: there is no such file.
            TypeError: nothing to change is given.
        """
        file = self._saved(name)
        given = {"description": description, "tags": tags, "bindrs": bindrs, "metadata": metadata}
        about = {**self._about, **{key: value for key, value in given.items() if value is not None}}
        if not about:
            raise TypeError("update() needs a description, tags, bindrs or metadata")
        self._writer.require_open()
        timestamp = time.time()
        changes = {**arguments.description(about), "updatedAt": clock.stamp(timestamp)}
        self._index.update(file["id"], changes, timestamp=timestamp)
        return {**file, **changes}

    def delete(self, name: str = "") -> File | FileList:
        """Delete a file, or all that match a glob: they are no longer listed, but contents and versions stay.

        Raises:
            NotFoundError: no file matches.
        """
        self._writer.require_open()
        is_glob = any(character in name for character in "*?[")
        files = self.list(name) if is_glob and not self._writer.is_off else [self._saved(name)]
        if not files:
            raise NotFoundError(f"no file matches {name!r}")
        timestamp = time.time()
        self._index.remove([full_path(file) for file in files], timestamp=timestamp)
        deleted = [{**file, "deletedAt": clock.stamp(timestamp)} for file in files]
        return deleted if is_glob else deleted[0]

    def duplicate(self, source: str | Mapping[str, Any], to: str) -> File:
        """Save a file's content under another path as well; the content is stored once.

        Args:
            source: the file as returned when it was saved, its id or its path.
            to: the path in the record.

        Raises:
            NotFoundError: there is no such file.
        """
        if not isinstance(source, str) and not (isinstance(source, Mapping) and "id" in source):
            raise TypeError(f"source is a file that was saved, its id or its path, not {shown(source)}")
        file = self._saved(source if isinstance(source, str) else source["id"])
        path = self._blobs.path(file["checksum"])
        return self._with(_folder="")._store(to, lambda: self._blobs.copy_in(path))  # noqa: SLF001 - the same


def _is_in(path: str, folder: str) -> bool:
    return not folder or path == folder or path.startswith(f"{folder}/")


def _has_checksum(path: str, checksum: str) -> bool:
    import hashlib  # noqa: PLC0415 - used only here

    with open_to_read(path) as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest() == checksum
