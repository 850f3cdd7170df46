"""`exp metrics --plot-file`: curves in a file, as SVG, as a page with it, or as PNG."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

from nemorun_cli.cli import curve_svg
from nemorun_cli.cli.metrics_view import curves_of
from nemorun_cli.errors import UsageError
from nemorun_cli.system import files

if TYPE_CHECKING:
    from collections.abc import Sequence

    from nemorun_cli.experiment.records.series import Series

KINDS: Final = (".svg", ".html", ".png")
PNG_ZOOM: Final = 2.0  # pixels of the picture for each of its units, for screens with many
MODE: Final = 0o666  # less the umask: it is the user's, and can be shared


def require_kind(path: str) -> None:
    """Check what can be checked before anything is read.

    Raises:
        UsageError: the ending of the file is unknown, or PNG lacks its library.
    """
    ending = Path(path).suffix.lower()
    if ending not in KINDS:
        raise UsageError(f"--plot-file {path}: must end with {', '.join(KINDS)}")
    if ending == ".png":
        _png_library()


def write(path: str, title: str, all_series: Sequence[Series], *, by_attempt: bool, is_log: bool) -> int:
    """Write the curves, in place of a file that exists; returns its size in bytes.

    Raises:
        UsageError: it cannot be written.
    """
    svg = curve_svg.picture(title, curves_of(all_series, by_attempt=by_attempt), is_log=is_log)
    ending = Path(path).suffix.lower()
    if ending == ".png":
        data = _png(svg)
    else:
        data = (curve_svg.page(title, svg) if ending == ".html" else svg).encode()
    try:
        with files.whole(path, mode=MODE) as stream:
            stream.write(data)
    except OSError as error:
        raise UsageError(f"cannot write {path}: {error.strerror}") from error
    return len(data)


def _png(svg: str) -> bytes:
    _png_library()
    import resvg_py  # noqa: PLC0415 - of an extra

    return bytes(resvg_py.svg_to_bytes(svg_string=svg, zoom=PNG_ZOOM, sans_serif_family="DejaVu Sans"))


def _png_library() -> None:
    try:
        import resvg_py  # noqa: F401, PLC0415 - of an extra
    except ImportError:
        raise UsageError(
            "PNG needs the library resvg_py",
            hint="pip install 'nemorun-cli[plot]', or write .svg or .html",
        ) from None
