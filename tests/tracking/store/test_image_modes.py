"""Images of Pillow: a format that does not hold the numbers of an image refuses it."""

from __future__ import annotations

import importlib.util
import io
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from nemorun_cli.errors import UsageError
from nemorun_cli.tracking.store import savers

if TYPE_CHECKING:
    from collections.abc import Callable

DEEP = np.array([[0, 300, 30000, 60000]], dtype=np.uint16)


@pytest.mark.parametrize("mode", ["I;16", "I;16B", "I", "F"])
@pytest.mark.parametrize("form", ["JPEG", "WEBP", "GIF", "BMP", "PNG", "TIFF"])
def test_numbers_are_not_clipped(mode: str, form: str) -> None:
    """16 bits need PNG or TIFF, floats TIFF; the message names the endings and `.npy`."""
    if form == "TIFF" or (form == "PNG" and mode != "F"):
        savers.check_depth(mode, form)
        return
    with pytest.raises(ValueError, match=r"\.tif, .*\.npy"):
        savers.check_depth(mode, form)


def test_modes_of_8_bits_have_any_format() -> None:
    """Only deep images are refused."""
    for mode in ("1", "L", "P", "RGB", "RGBA", "CMYK"):
        savers.check_depth(mode, "JPEG")


def test_an_array_of_16_bits_is_refused_with_what_to_write() -> None:
    """It is not scaled: the message names the formats that hold it."""
    with pytest.raises(ValueError, match=r"\.npy, or an array of uint16 .* as \.png or \.tif"):
        savers.as_bytes(DEEP)


def _saved(image: Any, ending: str) -> Any:
    from PIL import Image  # noqa: PLC0415 - not installed everywhere

    stream = io.BytesIO()
    savers.image_writer(image, ending, 95)(stream)
    return np.asarray(Image.open(stream))


def _check_pillow() -> None:
    from PIL import Image  # noqa: PLC0415 - the same

    for dtype in ("uint16", "int32"):
        for ending in (".png", ".tif"):
            assert np.array_equal(_saved(Image.fromarray(DEEP.astype(dtype)), ending), DEEP)
    for image, ending in (
        (Image.fromarray(DEEP.astype("int32") * 2), ".png"),
        (Image.fromarray(DEEP.astype("float32")), ".png"),
        (Image.new("CMYK", (2, 2)), ".png"),
        (Image.fromarray(DEEP), ".jpg"),
    ):
        with pytest.raises(ValueError, match=r"save it as|write image"):
            _saved(image, ending)
    transparent = np.full((2, 2, 4), [10, 20, 30, 0], dtype=np.uint8)
    for ending in (".jpg", ".bmp"):
        for value in (
            transparent,
            Image.fromarray(transparent),
            Image.fromarray(transparent).convert("RGBa"),
        ):
            assert (_saved(value, ending) == 255).all()


def _check_missing() -> None:
    with pytest.raises(UsageError, match="Pillow"):
        savers.image_writer(DEEP, ".png", 95)


def test_images_keep_their_numbers() -> None:
    """They are read as they were saved, or refused; transparency becomes white where a format has none."""
    check: Callable[[], None] = _check_pillow if importlib.util.find_spec("PIL") else _check_missing
    check()
