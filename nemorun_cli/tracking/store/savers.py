"""Saves values with other libraries, each imported at its first use."""

from __future__ import annotations

import importlib
from typing import IO, TYPE_CHECKING, Any, Final

from nemorun_cli.errors import UsageError
from nemorun_cli.tracking.store.json_values import dump, plain
from nemorun_cli.tracking.store.object_fields import guarded, kind_of
from nemorun_cli.tracking.store.save_formats import FIGURES, IMAGES, is_pillow

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from nemorun_cli.tracking.store.save_formats import Format

    Write = Callable[[IO[bytes]], object]

CLEARLY_BYTES: Final = 16  # an image from 0 to 255 whose largest float is not above it is nearly black
OVERSHOOT: Final = 0.2  # floats from 0 to 1 may exceed that range by so much, as resizing does
HALF_A_BYTE: Final = 0.5  # the same from 0 to 255, where it is rounded
_PILLOW_FORMATS: Final = {".jpg": "JPEG", ".tif": "TIFF"}
_CHANNELS: Final = (3, 4)
_LARGEST: Final = 255  # value of a byte of an image
_LARGEST_OF_16_BITS: Final = 65535
_OPAQUE: Final = frozenset({"JPEG", "BMP"})


def library(name: str, package: str, purpose: str) -> Any:
    """Import a library.

    Raises:
        UsageError: it is not installed; the hint shows how to install it.
    """
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError:
        raise UsageError(
            f"{purpose} needs {package}, which is not installed", hint=f"pip install {package}"
        ) from None


def torch_writer(model: Any) -> Write:
    """A function that writes a model, a state dict or a tensor to a stream."""
    torch = library("torch", "torch", "save_torch")
    return lambda stream: torch.save(model, stream)


def figure_writer(figure: Any, ending: str, options: Mapping[str, Any]) -> Write:
    """A function that writes a matplotlib figure to a stream and closes the figure.

    Raises:
        ValueError: the ending is no format of figures, and `options` have none.
    """
    pyplot = library("matplotlib.pyplot", "matplotlib", "save_fig")
    if ending and ending.lower() not in FIGURES and "format" not in options:
        raise ValueError(f"a figure is saved as {', '.join(sorted(FIGURES))}, not with the ending {ending!r}")
    chosen = pyplot.gcf() if figure is None else figure

    def write(stream: IO[bytes]) -> None:
        chosen.savefig(stream, **{"format": ending.lstrip(".") or "png", **options})
        pyplot.close(chosen)

    return write


def image_writer(array: Any, ending: str, quality: int) -> Write:
    """A function that writes an array, or an image of Pillow, as an image to a stream.

    Raises:
        ValueError: the shape is not that of an image, a number is out of range, or the ending is no format.
    """
    pillow = library("PIL.Image", "Pillow", "save_image")
    pillow_format = _pillow_format(pillow, ending.lower())
    image = array if is_pillow(array) else pillow.fromarray(as_bytes(array))
    check_depth(image.mode, pillow_format)
    if image.mode == "I" and pillow_format == "PNG":
        image = _of_16_bits(image)
    if pillow_format in _OPAQUE:
        image = _opaque(pillow, image, is_jpeg=pillow_format == "JPEG")
    options = {"quality": quality, "optimize": True} if pillow_format == "JPEG" else {}

    def write(stream: IO[bytes]) -> None:
        try:
            image.save(stream, format=pillow_format, **options)
        except OSError as error:
            if error.errno is not None:  # of the disk
                raise
            raise ValueError(
                f"{pillow_format} has no images of mode {image.mode} ({error}): write image.convert('RGB')"
            ) from error

    return write


def check_depth(mode: str, pillow_format: str) -> None:
    """Refuse an image of more than 8 bits, which Pillow would clip to 0 to 255 in some formats.

    Raises:
        ValueError: the format does not hold the numbers of the image.
    """
    is_deep = mode in {"I", "F"} or mode.startswith("I;16")
    if is_deep and pillow_format != "TIFF" and (mode == "F" or pillow_format != "PNG"):
        numbers = "floats" if mode == "F" else "more than 8 bits"
        kept = ".tif" if mode == "F" else ".png or .tif"
        raise ValueError(
            f"{pillow_format} does not hold images with {numbers} (mode {mode}): save it as {kept}, its"
            " array as .npy, or scale it to 0 to 255 first"
        )


def _of_16_bits(image: Any) -> Any:
    """An image of 32 bits as one of 16, which PNG has.

    Raises:
        ValueError: a number does not fit.
    """
    low, high = image.getextrema()
    if not 0 <= low <= high <= _LARGEST_OF_16_BITS:
        raise ValueError(
            f"PNG has numbers of 16 bits, and those of the image are {low} to {high}: save it as .tif, or its"
            " array as .npy"
        )
    return image.convert("I;16")


def _pillow_format(pillow: Any, ending: str) -> str:
    """Pillow's name of the format of an ending.

    Raises:
        ValueError: it has none.
    """
    if ending in IMAGES:
        return _PILLOW_FORMATS.get(ending, ending[1:].upper())
    known = pillow.registered_extensions()
    if known.get(ending) not in pillow.SAVE:
        raise ValueError(f"an image is saved as {', '.join(sorted(IMAGES))}, not with the ending {ending!r}")
    return str(known[ending])


def _opaque(pillow: Any, image: Any, *, is_jpeg: bool) -> Any:
    """An image for a format without transparency: the background is white."""
    if image.mode in {"La", "RGBa"}:  # multiplied by the transparency
        image = image.convert(image.mode.upper())
    if "transparency" in image.info or image.mode in {"LA", "PA"}:
        image = image.convert("RGBA")
    if image.mode == "RGBA":
        white = pillow.new("RGB", image.size, (_LARGEST, _LARGEST, _LARGEST))
        white.paste(image, mask=image.getchannel("A"))
        return white
    return image if not is_jpeg or image.mode in {"L", "RGB", "CMYK"} else image.convert("RGB")


def as_bytes(array: Any) -> Any:
    """Convert an array of height x width or height x width x 3 or 4 to bytes; contrast is never changed.

    Floats are from 0 to 1; interpolation may exceed that by OVERSHOOT, and is clipped. If the largest one is
    above CLEARLY_BYTES, they are from 0 to 255, as integers are. Between the two, nothing is guessed.

    Raises:
        ValueError: the shape is not that of an image, a number is out of range, or the range is not clear.
    """
    numpy = library("numpy", "numpy", "save_image")
    if hasattr(array, "detach"):  # a tensor
        array = array.detach().cpu()
        array = array.float() if str(array.dtype) == "torch.bfloat16" else array  # unknown to NumPy
    pixels = numpy.asarray(array)
    if pixels.ndim == 3 and pixels.shape[2] == 1:  # noqa: PLR2004 - height, width, channel
        pixels = pixels[:, :, 0]
    _check_shape(pixels)
    if pixels.dtype == numpy.uint8:
        return numpy.ascontiguousarray(pixels)
    if pixels.dtype == bool:
        return pixels.astype(numpy.uint8) * _LARGEST
    if pixels.dtype.kind not in "iuf":
        raise ValueError(f"the numbers of an image are integers or floats, not {pixels.dtype}")
    low, high = pixels.min().item(), pixels.max().item()
    if low != low:  # noqa: PLR0124 - NaN
        raise ValueError("the image has pixels that are NaN: replace them, for example with numpy.nan_to_num")
    if pixels.dtype.kind == "f":
        return _bytes_of_floats(numpy, pixels, low, high)
    if not 0 <= low <= high <= _LARGEST:
        raise ValueError(
            f"the numbers of an image are from 0 to 1 or 0 to 255, not {low} to {high}: scale them, save the"
            " array as .npy, or an array of uint16 with Pillow's Image.fromarray(array) as .png or .tif"
        )
    return pixels.astype(numpy.uint8)


def _check_shape(pixels: Any) -> None:
    is_image = pixels.ndim == 2 or (pixels.ndim == 3 and pixels.shape[2] in _CHANNELS)  # noqa: PLR2004 - height, width
    if is_image and pixels.size:
        return
    is_first = pixels.ndim == 3 and pixels.shape[0] in {1, *_CHANNELS}  # noqa: PLR2004 - the same
    remedy = (
        ": move the channels last, with array.transpose(1, 2, 0) or tensor.permute(1, 2, 0)"
        if is_first
        else ""
    )
    raise ValueError(f"an image is height x width (x 1, 3 or 4), not of the shape {pixels.shape}{remedy}")


def _bytes_of_floats(numpy: Any, pixels: Any, low: float, high: float) -> Any:
    """The bytes of floats from 0 to 1, or clearly from 0 to 255.

    Raises:
        ValueError: they are neither.
    """
    scale = 1 if high > CLEARLY_BYTES else _LARGEST
    largest = _LARGEST / scale
    margin = HALF_A_BYTE if scale == 1 else OVERSHOOT
    if not -margin <= low <= high <= largest + margin:
        raise ValueError(
            f"the floats of an image are from 0 to 1, or clearly from 0 to 255, not {low:.6g} to {high:.6g}:"
            " write numpy.clip(image, 0, 1), or numpy.rint(image).astype('uint8') for 0 to 255"
        )
    scaled = numpy.clip(pixels.astype(numpy.float64) * scale, 0, _LARGEST)
    return numpy.rint(scaled).astype(numpy.uint8)


def data_writer(content: Any, form: Format, to: str) -> Write:
    """A function that writes a table, arrays or plain values in a format to a stream.

    Raises:
        TypeError: a value has no form in this format.
        UsageError: the library is not installed.
    """
    return _DATA[form](content, to)


def _write_bytes(data: bytes) -> Write:
    return lambda stream: stream.write(data)


def _lines(content: Any, to: str) -> Write:
    lines = [f"{dump(plain(row, f'{to}[{index}]'))}\n" for index, row in enumerate(content)]
    return _write_bytes("".join(lines).encode("ascii"))


def _yaml(content: Any, to: str) -> Write:
    import yaml  # noqa: PLC0415 - used only here

    return _write_bytes(yaml.safe_dump(plain(content, to), sort_keys=False, allow_unicode=True).encode())


def _csv(table: Any, to: str) -> Write:
    separator = "\t" if to.lower().endswith(".tsv") else ","
    if hasattr(table, "write_csv"):  # Polars
        return _write_bytes(table.write_csv(separator=separator).encode())
    index = table.index
    is_numbered = index.nlevels == 1 and index.name is None and index.tolist() == list(range(len(table)))
    return _write_bytes(table.to_csv(sep=separator, index=not is_numbered).encode())


def _parquet(table: Any, to: str) -> Write:
    if hasattr(table, "write_parquet"):  # Polars
        return table.write_parquet  # type: ignore[no-any-return] # a method that takes a stream
    library("pyarrow", "pyarrow", to)
    return lambda stream: table.to_parquet(stream, engine="pyarrow")


def _npy(array: Any, to: str) -> Write:
    numpy, (whole,) = library("numpy", "numpy", to), _arrays({"": array}, to).values()
    return lambda stream: numpy.save(stream, whole, allow_pickle=False)


def _npz(arrays: Any, to: str) -> Write:
    numpy, named = library("numpy", "numpy", to), _arrays(arrays, to)
    if taken := {"file", "allow_pickle"} & named.keys():
        raise TypeError(f"{to}: NumPy cannot save an array called {taken.pop()!r} in a .npz file")
    return lambda stream: numpy.savez(stream, **named)


def _arrays(values: Mapping[str, Any], to: str) -> dict[str, Any]:
    """Arrays of NumPy with the same numbers, which can be read without running code.

    Raises:
        TypeError: a value has no such array.
    """
    numpy = library("numpy", "numpy", to)
    arrays = {}
    for name, value in values.items():
        where = f"{to}: {name}" if name else to
        array = guarded(lambda value=value: numpy.asarray(_on_cpu(value)), value, where)  # type: ignore[misc] # bound early
        if array.dtype.hasobject or (array.dtype.kind == "V" and not array.dtype.names):
            raise TypeError(
                f"{where}: {kind_of(value)} of {value.dtype} is no array of NumPy that can be saved"
            )
        arrays[name] = array
    return arrays


def _on_cpu(value: Any) -> Any:
    return value.detach().cpu() if hasattr(value, "detach") else value


def _safetensors(arrays: Any, to: str) -> Write:
    library("safetensors", "safetensors", to)
    if all(hasattr(value, "detach") for value in arrays.values()):
        save = library("safetensors.torch", "torch", to).save
        tensors = {name: _on_cpu(value).contiguous() for name, value in arrays.items()}
    else:
        numpy = library("numpy", "numpy", to)
        save = library("safetensors.numpy", "numpy", to).save
        tensors = {name: numpy.ascontiguousarray(value) for name, value in _arrays(arrays, to).items()}
    return _write_bytes(guarded(lambda: save(tensors), arrays, to))


_DATA: Final[Mapping[Format, Callable[[Any, str], Write]]] = {
    "jsonl": _lines,
    "yaml": _yaml,
    "csv": _csv,
    "parquet": _parquet,
    "npy": _npy,
    "npz": _npz,
    "safetensors": _safetensors,
}
