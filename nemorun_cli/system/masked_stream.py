"""A text stream that hides the values of secrets in whole lines before it writes them."""

from __future__ import annotations

import contextlib
import io
import sys
from typing import TYPE_CHECKING, Final

from nemorun_cli.model import masking

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator
    from typing import TextIO

LONGEST_LINE: Final = 1 << 20  # characters of an incomplete line that are kept


@contextlib.contextmanager
def masked_output(secrets: Collection[str]) -> Iterator[None]:
    """Hide secrets in all that this process prints meanwhile; a program that it starts prints as it does."""
    streams = sys.stdout, sys.stderr  # None if the descriptor was closed
    masked = [stream and MaskedStream(stream, secrets) for stream in streams]
    sys.stdout, sys.stderr = masked
    try:
        yield
    finally:
        sys.stdout, sys.stderr = streams
        for stream in filter(None, masked):
            stream.finish()


class MaskedStream(io.TextIOBase):
    """Takes the place of standard output or error; the end of an incomplete line is written at the end.

    Args:
        stream: where the lines go.
        secrets: the values to hide.
    """

    def __init__(self, stream: TextIO, secrets: Collection[str]) -> None:
        super().__init__()
        self._stream, self._secrets, self._rest = stream, frozenset(secrets), ""

    def write(self, text: str) -> int:
        """Write the lines that the text completes, and keep the rest."""
        lines, newline, self._rest = (self._rest + text).rpartition("\n")
        if newline:
            self._stream.write(masking.mask(lines + newline, self._secrets))
            self._stream.flush()
        if len(self._rest) > LONGEST_LINE:
            self.finish()
        return len(text)

    def finish(self) -> None:
        """Write what is left of an incomplete line."""
        rest, self._rest = self._rest, ""
        self._stream.write(masking.mask(rest, self._secrets))
        self._stream.flush()

    def fileno(self) -> int:
        """The descriptor, for what has to write past this stream, such as `faulthandler`."""
        return self._stream.fileno()

    def writable(self) -> bool:
        """It can be written."""
        return True

    @property
    def encoding(self) -> str:  # type: ignore[override] # of a stream it does not change
        """That of the stream."""
        return self._stream.encoding
