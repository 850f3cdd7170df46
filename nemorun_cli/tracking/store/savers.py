"""Saves values with other libraries, each imported at its first use."""

from __future__ import annotations

import importlib
from typing import IO, TYPE_CHECKING, Any, Final

from nemorun_cli.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    Write = Callable[[IO[bytes]], object]

_PILLOW_FORMATS: Final = {"jpg": "JPEG", "tif": "TIFF"}
_CHANNELS: Final = (3, 4)
_LARGEST: Final = 255  # value of a byte of an image


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
    """A function that writes a matplotlib figure to a stream and closes the figure."""
    pyplot = library("matplotlib.pyplot", "matplotlib", "save_fig")
    chosen = pyplot.gcf() if figure is None else figure

    def write(stream: IO[bytes]) -> None:
        chosen.savefig(stream, **{"format": ending.lstrip(".") or "png", **options})
        pyplot.close(chosen)

    return write


def image_writer(array: Any, ending: str, quality: int) -> Write:
    """A function that writes an array as an image to a stream.

    Raises:
        ValueError: the shape is not that of an image, or a number is out of range.
    """
    pillow = library("PIL.Image", "Pillow", "save_image")
    image = pillow.fromarray(as_bytes(array))
    kind = ending.lstrip(".").lower()
    pillow_format = _PILLOW_FORMATS.get(kind, kind.upper())
    if pillow_format == "JPEG" and image.mode == "RGBA":  # JPEG has no transparency: use a white background
        white = pillow.new("RGB", image.size, (_LARGEST, _LARGEST, _LARGEST))
        white.paste(image, mask=image.getchannel("A"))
        image = white
    options = {"quality": quality, "optimize": True} if pillow_format == "JPEG" else {}
    return lambda stream: image.save(stream, format=pillow_format, **options)


def as_bytes(array: Any) -> Any:
    """Convert an array of height x width or height x width x 3 or 4 to bytes; contrast is never changed.

    Raises:
        ValueError: the shape is not that of an image, or a number is out of range.
    """
    numpy = library("numpy", "numpy", "save_image")
    if hasattr(array, "detach"):  # a tensor
        array = array.detach().cpu()
    pixels = numpy.asarray(array)
    if pixels.ndim == 3 and pixels.shape[2] == 1:  # noqa: PLR2004 - height, width, channel
        pixels = pixels[:, :, 0]
    if pixels.ndim != 2 and not (pixels.ndim == 3 and pixels.shape[2] in _CHANNELS):  # noqa: PLR2004 - the same
        raise ValueError(f"an image is height x width (x 1, 3 or 4), not of the shape {pixels.shape}")
    if pixels.dtype == numpy.uint8:
        return numpy.ascontiguousarray(pixels)
    if pixels.dtype == bool:
        return pixels.astype(numpy.uint8) * _LARGEST
    low, high = (float(pixels.min()), float(pixels.max())) if pixels.size else (0.0, 0.0)
    if not 0 <= low <= high <= _LARGEST:
        raise ValueError(f"the numbers of an image are from 0 to 1 or 0 to 255, not {low} to {high}")
    if numpy.issubdtype(pixels.dtype, numpy.floating) and high <= 1:
        pixels = pixels * _LARGEST
    return numpy.rint(pixels).astype(numpy.uint8)
