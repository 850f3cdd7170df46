"""Files of a record: saved under a name, with all versions, and read back."""

from __future__ import annotations

import copy
import fnmatch
import os
import time
import warnings
from collections.abc import Mapping
from typing import IO, TYPE_CHECKING, Any, Self

from nemorun_cli.errors import InvalidValueError, NotFoundError, UnreadableWarning
from nemorun_cli.model import clock
from nemorun_cli.model.bounded_text import shown
from nemorun_cli.tracking import arguments
from nemorun_cli.tracking.assignments import CheckedAttributes
from nemorun_cli.tracking.store import file_copies, folder_walk, save_formats
from nemorun_cli.tracking.store.blob_store import Blobs
from nemorun_cli.tracking.store.file_index import FileIndex, full_path, join
from nemorun_cli.tracking.store.json_values import dump, plain
from nemorun_cli.tracking.store.record_paths import absolute

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Sequence

    from nemorun_cli.tracking.store.blob_store import BlobContent
    from nemorun_cli.tracking.store.file_index import File
    from nemorun_cli.tracking.store.record_paths import Place
    from nemorun_cli.tracking.store.row_writer import Writer
    from nemorun_cli.tracking.store.save_formats import Format

    FileList = list[File]  # `list` is a method below
    PathList = list[str]


class Files(CheckedAttributes):
    """The files of a record, or those in one of its folders: `files("models").save(model, to="best.pt")`.

    Saving copies and hashes the content before the call returns. Saving under an existing name creates a
    new version; deleting hides a name and keeps its contents.
    """

    label = "experiment.files"
    written = 'experiment.files.save(value, to="{name}.json")'

    def __init__(self, place: Place, writer: Writer) -> None:
        self._place = place
        self._writer = writer
        self._index = FileIndex(place, writer)
        self._discarded: Blobs | None = None  # with tracking off
        if writer.is_off:
            from nemorun_cli.tracking.store import discarded  # noqa: PLC0415 - rarely needed

            self._index = discarded.MemoryIndex(place, writer)
            self._discarded = discarded.MemoryBlobs(place.blobs)
        self._folder = ""
        self._about: dict[str, Any] = {}
        self._id: str | None = None  # of one version, instead of a folder
        self._source: str | os.PathLike[str] | None = None
        self._target: str | os.PathLike[str] | None = None

    @property
    def _blobs(self) -> Blobs:
        return self._discarded or Blobs(self._place.blobs)

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
            InvalidValueError: the path could leave the record.
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
        """Save a value, or the file or folder at a path, in the format of the ending of `to`.

        An existing path is uploaded, and bytes are saved unchanged. Otherwise `.json`, `.jsonl` and `.yaml`
        take plain values, images and figures their usual endings, `.pt`, `.pth` and `.ckpt` what PyTorch
        saves, `.pkl` anything, `.csv`, `.tsv` and `.parquet` tables of pandas and Polars, `.npy` an array,
        `.npz` and `.safetensors` arrays by name, and other endings a text.

        Args:
            content: the value or path to save.
            to: the name to save it under, in this folder; default for an uploaded file: its own.
            about: description, tags, bindrs, metadata.

        Raises:
            NotFoundError: there is no file at the path.
            TypeError: no format fits the value and the ending.
            ValueError: an image has another shape or range.
        """
        files = self(**about) if about else self
        content = self._source if content is None and self._source is not None else content
        if isinstance(content, os.PathLike) or (isinstance(content, str) and _is_path(content, to)):
            return files.upload(content, to=to)
        if to is None:
            raise TypeError("to is required: the name under which the value is saved")
        form = save_formats.decide(content, to)
        saver: Callable[..., File] | None = getattr(files, f"save_{form}", None)
        if saver is not None:
            return saver(content, to=to)
        return files._save_data(content, form, to=to)  # noqa: SLF001 - of this class

    def upload(self, fpath: str | os.PathLike[str], *, to: str | None = None, **about: Any) -> File:
        """Save a copy of a file, or of all files of a folder; they are only read.

        The files of a folder keep their paths in it. Links are followed only to files in the folder, and
        everything else that is no file is left out, with a warning. Empty folders are not saved. For a
        folder the result has its `path`, `filename` and `sizeBytes`, its `files`, and what was `skipped`.

        Args:
            fpath: the file or folder.
            to: the name to save it under; default its own. With a slash at the end, a file is saved into that
                folder under its own name. For a folder "." saves its files here.
            about: description, tags, bindrs, metadata.

        Raises:
            NotFoundError: it does not exist.
            InvalidValueError: the folder has no files, a name cannot be used, or it is that of a folder or
                below a file. Nothing is saved.
            OSError: a file or folder cannot be read. Nothing is saved.
        """
        source = absolute(fpath, what="fpath")
        files = self(**about) if about else self
        name = os.path.basename(source) if to is None else to
        if os.path.isdir(source):
            return files._store_folder("" if name == "." else name, source)  # noqa: SLF001 - of this class
        if not os.path.isfile(source):
            raise NotFoundError(f"there is no file {source}")
        name = f"{name}{os.path.basename(source)}" if not name or name.endswith("/") else name
        return files._store(name, lambda: files._blobs.copy_in(source))  # noqa: SLF001 - of this class

    def save_blob(self, data: bytes, *, to: str) -> File:
        """Save bytes."""
        return self._write(lambda stream: stream.write(data), to)

    def save_text(self, content: str, *, to: str) -> File:
        """Save a text as UTF-8.

        Raises:
            TypeError: it is no text.
            ValueError: it has surrogates, which UTF-8 does not allow.
        """
        if not isinstance(content, str):
            raise TypeError(f"save_text saves a text, not {type(content).__qualname__}: {shown(content)}")
        data = content.encode()
        return self._write(lambda stream: stream.write(data), to, "text")

    def save_json(self, content: Any, *, to: str) -> File:
        """Save a value as JSON; NaN and infinities become the texts "NaN", "Infinity" and "-Infinity".

        Raises:
            TypeError: the value, or a part of it, has no JSON form.
        """
        data = f"{dump(plain(content, to))}\n".encode("ascii")
        return self._write(lambda stream: stream.write(data), to, "json")

    def save_pkl(self, content: Any, *, to: str) -> File:
        """Save a value with `pickle`; loading a pickle runs code, so load only your own.

        Raises:
            TypeError: the value cannot be pickled.
        """
        import pickle  # noqa: PLC0415 - used only here

        return self._write(lambda stream: pickle.dump(content, stream), to, "pkl")

    def save_torch(self, model: Any, *, to: str) -> File:
        """Save a model, a state dict or a tensor with PyTorch."""
        from nemorun_cli.tracking.store import savers  # noqa: PLC0415 - depends on other libraries

        return self._write(savers.torch_writer(model), to, "torch")

    def save_image(self, array: Any, *, to: str, quality: int = 95) -> File:
        """Save an array of height x width (x 1, 3 or 4 channels) as an image in the format of the ending.

        Args:
            array: uint8 unchanged, booleans as black and white, floats from 0 to 1 scaled, other numbers from
                0 to 255. Floats may exceed 0 to 1 by 0.2, and are clipped; floats whose largest is above 16
                are from 0 to 255, and between the two nothing is guessed. An image of Pillow is taken too,
                one of 16 bits as PNG or TIFF. Transparency gets a white background in JPEG and BMP.
            to: the name.
            quality: of JPEG, 1 to 100.

        Raises:
            ValueError: the shape is not that of an image, a number is out of range or NaN, the format
                does not hold the numbers of the image, or it is not clear whether floats are from 0 to 1 or
                to 255.
        """
        from nemorun_cli.tracking.store import savers  # noqa: PLC0415 - depends on other libraries

        return self._write(savers.image_writer(array, os.path.splitext(to)[1], quality), to, "image")

    def save_fig(self, fig: Any = None, *, to: str, **options: Any) -> File:
        """Save a matplotlib figure (default: the current one) and close it; options are `savefig`'s."""
        from nemorun_cli.tracking.store import savers  # noqa: PLC0415 - depends on other libraries

        return self._write(savers.figure_writer(fig, os.path.splitext(to)[1], options), to, "fig")

    def _save_data(self, content: Any, form: Format, *, to: str) -> File:
        """Save a table, arrays or plain values in a format that has no method of its own."""
        from nemorun_cli.tracking.store import savers  # noqa: PLC0415 - depends on other libraries

        return self._write(savers.data_writer(content, form, to), to, form)

    def save_with(self, write: Callable[[IO[bytes]], object], *, to: str) -> File:
        """Save what a function writes to the binary stream passed to it; if it raises, nothing is saved."""
        return self._write(write, to)

    def _write(self, write: Callable[[IO[bytes]], object], to: str, form: Format | None = None) -> File:
        def content() -> BlobContent:
            with self._blobs.staging() as staged:
                try:
                    write(staged.stream)
                except (OSError, MemoryError, TypeError, ValueError):
                    raise
                except Exception as error:
                    if form is None:  # the function is the caller's
                        raise
                    raise TypeError(f"{to}: {type(error).__name__}: {error}") from error
            return staged.done()

        return self._store(to, content, form)

    def _store(self, name: str, content: Callable[[], BlobContent], form: Format | None = None) -> File:
        """Record a content under a name. The name and description are checked before anything is written."""
        path = join(self._folder, name)
        if not path or not name:
            raise InvalidValueError("a file needs a name")
        if name.endswith("/"):
            raise InvalidValueError(f"{name!r} is a folder: add the name of the file to it")
        about = self._checked_about()
        self._index.require_free([path])
        timestamp, stored = time.time(), content()
        file = _entry(path, stored, about, timestamp=timestamp, form=form)
        return self._index.add([file], timestamp=timestamp)[0]

    def _checked_about(self) -> dict[str, Any]:
        about = arguments.description(
            {key: self._about.get(key) for key in ("description", "tags", "bindrs", "metadata")}
        )
        self._writer.require_present()
        return {**about, "tags": about["tags"] or [], "bindrs": about["bindrs"] or []}

    def _store_folder(self, name: str, source: str) -> File:
        """Record the files of a folder under their paths in it: all of them, or none."""
        target = join(self._folder, name)
        found = folder_walk.content_of(source, records=self._place.root)
        paths = [join(target, file.relative) for file in found.files]
        about = self._checked_about()
        self._index.require_free(paths)
        timestamp = time.time()
        left_out, files = list(found.left_out), []
        for path, file in zip(paths, found.files, strict=True):
            try:
                stored = self._blobs.copy_in(file.path, inside=found.root)
            except (FileNotFoundError, NotADirectoryError):
                left_out.append(folder_walk.LeftOut(file.relative, "it was removed meanwhile"))
                continue
            files.append(_entry(path, stored, about, timestamp=timestamp))
        reasons = ", ".join(f"{each.relative} ({each.reason})" for each in left_out[:5])
        if not files:
            raise InvalidValueError(
                f"the folder {source} has no files to save" + (f": {reasons}" if reasons else "")
            )
        saved = self._index.add(files, timestamp=timestamp)
        if left_out:
            warnings.warn(
                f"{len(left_out)} of {source} not saved: {reasons}", UnreadableWarning, stacklevel=3
            )
        folder, _, filename = target.rpartition("/")
        return {
            "path": f"/{folder}",
            "filename": filename,
            "sizeBytes": sum(file["sizeBytes"] for file in saved),
            "files": saved,
            "skipped": [{"path": each.relative, "reason": each.reason} for each in left_out],
            **about,
        }

    def versions(self, *, openings: Collection[str] | None = None) -> FileList:
        """All versions of all files, oldest first, including deleted ones."""
        return [file for file in self._index.versions(openings) if _is_in(full_path(file), self._folder)]

    def list(self, pattern: str | None = None, *, openings: Collection[str] | None = None) -> FileList:
        """The latest version of each file in this folder and below it, by path.

        Args:
            pattern: a name, or a path relative to this folder; if no file has exactly this one, a glob that
                is matched against both.
            openings: only files saved in these openings.
        """
        chosen = self._files_in(self._folder, openings)
        if pattern is None:
            return chosen
        wanted = pattern.lstrip("/")
        exact = [file for file in chosen if wanted in self._names(file)]
        return exact or [file for file in chosen if self._matches(file, wanted)]

    def _files_in(self, folder: str, openings: Collection[str] | None = None) -> FileList:
        """The latest version of each file in a folder of the record and below it, by path."""
        present = self._index.present(openings)
        return [file for path, file in present.items() if _is_in(path, folder)]

    def _names(self, file: File) -> tuple[str, str]:
        """The names by which a file is listed: its own, and its path relative to this folder."""
        path = full_path(file)
        return file["filename"], path.removeprefix(f"{self._folder}/") if self._folder else path

    def _matches(self, file: File, pattern: str) -> bool:
        anywhere = pattern.removeprefix("**/")  # `**/` also matches no folder
        return any(
            fnmatch.fnmatchcase(name, glob) for name in self._names(file) for glob in {pattern, anywhere}
        )

    def _is_glob(self, name: str) -> bool:
        """Whether a name is a glob: it has characters of one, and never was that of a file or folder."""
        if not any(character in name for character in "*?["):
            return False
        path = join(self._folder, name)
        return not self.exists(name) and all(full_path(file) != path for file in self._index.versions())

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
        """The file that a call changes or copies; with tracking off, also an unknown one."""
        try:
            return self.find(name)
        except NotFoundError:
            if not self._writer.is_off:
                raise
        from nemorun_cli.tracking.store.discarded import unknown_file  # noqa: PLC0415 - rarely needed

        return unknown_file(join(self._folder, name))

    def read_bytes(self, name: str = "", *, version: int | None = None) -> bytes:
        """The content of a file, checked against its checksum."""
        return self._blobs.read(self.find(name, version=version)["checksum"])

    def read_text(self, encoding: str = "utf-8", *, name: str = "", version: int | None = None) -> str:
        """The content of a file as text."""
        return self.read_bytes(name, version=version).decode(encoding)

    def download(
        self, name: str = "", *, to: str | os.PathLike[str] | None = None, version: int | None = None
    ) -> str | PathList:
        """Copy a file out of the record and return the path; for a folder or a glob, a list of all paths.

        Args:
            name: the path of a file or folder in this folder, or a glob.
            to: the target path, or the target folder; for a folder and a glob always a folder, in which the
                files of a folder keep their paths. Default: the `dest_path` of `files(…)`, otherwise the
                working folder, where a file with another content is not overwritten.
            version: the version of a file; default the latest.

        Raises:
            NotFoundError: there is no such file.
            UsageError: a file with another content exists in the working folder, or two files would have the
                same path.
            LedgerDamagedError: the content has changed since it was saved.
        """
        to = self._target if to is None else to
        if self._is_glob(name):
            files = self.list(name)
            if not files:
                raise NotFoundError(f"no file matches {name!r}")
            pairs = [(file["filename"], file) for file in files]
            folder = absolute(to if to is not None else ".", what="to")
            return file_copies.copy_all(self._blobs, pairs, folder, replace=to is not None)
        try:
            file = self.find(name, version=version)
        except NotFoundError:
            path = join(self._folder, name)
            inner = self._files_in(path)
            if version is not None or not inner or not (path or to):
                raise
            folder = absolute(to if to is not None else path.rpartition("/")[2], what="to")
            start = len(path) + 1 if path else 0
            pairs = [(full_path(file)[start:], file) for file in inner]
            return file_copies.copy_all(self._blobs, pairs, folder, replace=to is not None)
        target = absolute(to if to is not None else file["filename"], what="to")
        if os.path.isdir(target) or (to is not None and os.fspath(to).endswith("/")):
            target = f"{target}/{file['filename']}"
        return file_copies.copy_one(self._blobs, file, target, replace=to is not None)

    def copy_all(self, files: Iterable[File], folder: str | os.PathLike[str]) -> PathList:
        """Copy files to their paths in a folder and return these; what has another content is not replaced.

        A file whose path is that of a folder too, as earlier versions allowed, has to be copied alone.

        Raises:
            UsageError: a path has another content, or is that of a folder. Nothing is copied.
            LedgerDamagedError: the content has changed since it was saved.
        """
        pairs = [(full_path(file), file) for file in files]
        return file_copies.copy_all(
            self._blobs, pairs, os.fspath(folder), replace=False, remedy="choose another folder"
        )

    def content_path(self, file: File) -> str:
        """The path of the content of a file, named by its checksum; do not write to it."""
        return self._blobs.path(file["checksum"])

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
        is_glob = self._is_glob(name)
        files = self.list(name) if is_glob else [self._saved(name)]
        if not files and not self._writer.is_off:
            raise NotFoundError(f"no file matches {name!r}")
        timestamp = time.time()
        self._index.remove([full_path(file) for file in files], timestamp=timestamp)
        deleted = [{**file, "deletedAt": clock.stamp(timestamp)} for file in files]
        return deleted if is_glob else deleted[0]

    def duplicate(self, source: str | Mapping[str, Any], to: str) -> File:
        """Save a file's content under another path as well; the content is stored once.

        Args:
            source: the file as returned when it was saved, its id or its path.
            to: the path in the record; with a slash at the end, the folder.

        Raises:
            NotFoundError: there is no such file.
            InvalidValueError: the path is a folder, or below a file.
        """
        if not isinstance(source, str) and not (isinstance(source, Mapping) and "id" in source):
            raise TypeError(f"source is a file that was saved, its id or its path, not {shown(source)}")
        file = self._saved(source if isinstance(source, str) else source["id"])
        path = self._blobs.path(file["checksum"])
        to = f"{to}{file['filename']}" if isinstance(to, str) and to.endswith("/") else to
        return self._with(_folder="")._store(to, lambda: self._blobs.copy_in(path))  # noqa: SLF001 - the same


def _is_in(path: str, folder: str) -> bool:
    return not folder or path == folder or path.startswith(f"{folder}/")


def _is_path(text: str, to: str | None) -> bool:
    """Whether a text given to `save` is the path of a file or folder to upload.

    Raises:
        NotFoundError: it looks like a path, and nothing is there.
        TypeError: it is the name of a folder, and `to` that of a file.
    """
    if os.path.isdir(text) and to is not None and os.path.splitext(to)[1]:
        raise TypeError(
            f"{text!r} is a folder: pass a Path to save it as {to!r}, or use save_text for the text"
        )
    if os.path.exists(text):
        return True
    if to is None or save_formats.looks_like_path(text, to):
        raise NotFoundError(
            f"there is no file {text!r:.200}: check the path, or use save_text to save the text itself",
            hint=f"the working folder is {os.getcwd()}",
        )
    return False


def _entry(
    path: str,
    stored: BlobContent,
    about: Mapping[str, Any],
    *,
    timestamp: float,
    form: Format | None = None,
) -> File:
    """The entry of a content under a path in the index."""
    folder, _, filename = path.rpartition("/")
    return {
        "id": os.urandom(8).hex(),
        "path": f"/{folder}",
        "filename": filename,
        "checksum": stored.checksum,
        "sizeBytes": stored.size,
        "contentType": save_formats.content_type(filename, form),
        **about,
        "uploadedAt": clock.stamp(timestamp),
    }
