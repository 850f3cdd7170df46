"""Which format `files.save` uses for a value under a name: one that fits the ending of the name, or none."""

from __future__ import annotations

import mimetypes
import os
import re
import sys
from collections.abc import Mapping, Sequence
from typing import Any, Final, Literal

from nemorun_cli.tracking.store.foreign_values import is_array
from nemorun_cli.tracking.store.object_fields import fields_of, kind_of

Format = Literal[
    "blob",
    "text",
    "json",
    "jsonl",
    "yaml",
    "pkl",
    "torch",
    "fig",
    "image",
    "csv",
    "parquet",
    "npy",
    "npz",
    "safetensors",
]


def _endings(words: str) -> frozenset[str]:
    return frozenset(f".{word}" for word in words.split())


TORCH: Final = _endings("pt pth ckpt")
PICKLE: Final = _endings("pkl pickle")
IMAGES: Final = _endings("png jpg jpeg bmp gif webp tif tiff")
FIGURES: Final = _endings("png jpg jpeg webp tif tiff pdf svg svgz eps ps pgf raw rgba")
LINES: Final = _endings("jsonl ndjson")
YAML: Final = _endings("yaml yml")
TABLES: Final = _endings("csv tsv parquet")
BINARY: Final = IMAGES | _endings(  # a text under such a name would be another format
    "7z ai arrow avi avif bin bz2 db docx dll doc exe feather flac gguf gz h5 hdf5 heic ico joblib lz4 m4a"
    " mat mkv mov mp3 mp4 mpeg msgpack npy npz ogg onnx orc parquet pb pdf pptx pyc safetensors so sqlite tar"
    " tflite tgz ttf wasm wav webm whl xls xlsx xz zip zst"
)
CALLS: Final = (
    "save_json, save_text, save_blob, save_pkl, save_torch, save_image and save_fig choose it themselves"
)

_CONTENT_TYPES: Final[Mapping[Format, str]] = {
    "json": "application/json",
    "jsonl": "application/jsonl",
    "yaml": "application/yaml",
    "parquet": "application/vnd.apache.parquet",
}
_OPAQUE: Final = "application/octet-stream"
_OPAQUE_FORMATS: Final[frozenset[Format]] = frozenset({"pkl", "torch", "npy", "npz", "safetensors"})
_ENCODINGS: Final = {"gzip": "application/gzip", "bzip2": "application/x-bzip2", "xz": "application/x-xz"}
_TEXTS: Final = re.compile(
    r"text/.*|.*[+/](json|xml|yaml|x-yaml|toml|javascript|x-sh|x-csh|x-tex|x-latex|sql|jsonl)"
)
_ENDING: Final = re.compile(r"\.(?=[^.]*[A-Za-z])[A-Za-z0-9]{1,11}")


def content_type(filename: str, form: Format | None = None) -> str:
    """The media type of a file, of a format or, for uploaded files and bytes, by the ending of its name."""
    guess, encoding = mimetypes.guess_type(filename)
    if form is not None and form in _CONTENT_TYPES:
        return _CONTENT_TYPES[form]
    if form in _OPAQUE_FORMATS:
        return _OPAQUE
    if encoding is not None:  # the guess is that of the content before it was compressed
        guess = _ENCODINGS.get(encoding)
    if form == "text":
        return guess if guess is not None and _TEXTS.fullmatch(guess) else "text/plain"
    return guess or _OPAQUE


def looks_like_path(text: str, to: str) -> bool:
    """Whether a text is more likely the path of a file than the content of `to`."""
    if not text or text != text.strip() or not text.isprintable() or re.match(r"\w+://", text):
        return False
    ending = os.path.splitext(text)[1]
    if text.startswith(("/", "./", "../", "~/")):
        return True
    if any(character.isspace() for character in text):  # a sentence, or a path with blanks
        return bool(ending) and ending.lower() == os.path.splitext(to)[1].lower()
    return "/" in text or (_ENDING.fullmatch(ending) is not None and not _is_number(text))


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def decide(content: Any, to: str) -> Format:
    """The format of a value under a name.

    Raises:
        TypeError: no format fits the value and the ending; the message names other calls.
    """
    ending = os.path.splitext(to)[1].lower()
    form = _form(content, ending)
    if form is not None:
        return form
    kind = kind_of(content)
    raise TypeError(
        f"{to}: no format for {kind} with the ending {ending!r}: {_remedy(content, ending)} ({CALLS})"
    )


def _form(content: Any, ending: str) -> Format | None:  # noqa: PLR0911 - one return per format
    if isinstance(content, (bytes, bytearray, memoryview)):
        return "blob"
    if ending in TORCH:
        return "torch"
    if ending in PICKLE:
        return "pkl"
    if hasattr(content, "savefig"):
        return "fig" if ending in FIGURES else None
    if isinstance(content, str):
        return _form_of_text(content, ending)
    if ending in IMAGES:
        return "image" if is_array(type(content)) or is_pillow(content) else None
    return _form_of_data(content, ending)


def _form_of_text(content: str, ending: str) -> Format | None:
    if ending == ".json":  # a text that is JSON already may be meant as the content
        return None if content.lstrip().startswith(("{", "[")) else "json"
    return "text" if ending and ending not in BINARY else None


def _form_of_data(content: Any, ending: str) -> Format | None:  # noqa: PLR0911 - one return per format
    if ending == ".json":
        return "json"
    if ending in YAML:
        return "yaml"
    if ending in LINES:
        return "jsonl" if _is_list(content) else None
    if ending in {".csv", ".tsv"}:
        return "csv" if has_table_method(content, "csv") else None
    if ending == ".parquet":
        return "parquet" if has_table_method(content, "parquet") else None
    if ending == ".npy":
        return "npy" if is_array(type(content)) else None
    if ending in {".npz", ".safetensors"} and _are_arrays(content):
        return "npz" if ending == ".npz" else "safetensors"
    return None


def _is_list(content: Any) -> bool:
    return isinstance(content, Sequence) and not isinstance(content, str)


def _are_arrays(content: Any) -> bool:
    """Whether it is a mapping of names to arrays or tensors."""
    return (
        isinstance(content, Mapping)
        and bool(content)
        and all(isinstance(name, str) and is_array(type(value)) for name, value in content.items())
    )


def is_pillow(content: Any) -> bool:
    """Whether it is an image of Pillow."""
    module = sys.modules.get("PIL.Image")
    return module is not None and isinstance(content, module.Image)


def has_table_method(content: Any, form: str) -> bool:
    """Whether it is a table of pandas or Polars with a method for a format."""
    libraries = {ancestor.__module__.partition(".")[0] for ancestor in type(content).__mro__}
    return ("pandas" in libraries and hasattr(content, f"to_{form}")) or (
        "polars" in libraries and hasattr(content, f"write_{form}")
    )


def _remedy(content: Any, ending: str) -> str:  # noqa: PLR0911 - one return per kind of value
    """What to write instead."""
    if isinstance(content, str) and ending == ".json":
        return "save_text saves it as it is, save_json as a JSON text"
    if isinstance(content, str):
        return "save_text saves a text under any name"
    if hasattr(content, "savefig"):
        return f"a figure is saved as {', '.join(sorted(FIGURES))}"
    if has_table_method(content, "csv"):
        return "a table is saved as .csv, .tsv or .parquet"
    if ending in TABLES:
        return "pass a DataFrame of pandas or Polars, or save it as .json"
    if ending in IMAGES:
        return "pass an array of height x width to save_image"
    if ending in LINES:
        return "pass a list of rows"
    if is_array(type(content)):
        return "an array is saved as .npy, .npz (a mapping of arrays), .pt, .json, .pkl or an image"
    if _is_list(content) or fields_of(content) is not None:
        return "save it as .json, .yaml, .pt, .pkl, or arrays by name as .npz or .safetensors"
    return "save it as .pkl, or a model as .pt"
