"""The forms of a remote host's name, user, key and folder that are safe in the arguments of ssh and rsync."""

from __future__ import annotations

from typing import Final

_END: Final = r"(?![\s\S])"  # `$` would also match before a final newline
_NO_PARENT: Final = rf"(?!.*(^|/)\.\.(/|{_END}))"

HOST: Final = rf"^[A-Za-z0-9_:][A-Za-z0-9._:%-]*{_END}"
USER: Final = rf"^[A-Za-z0-9_][A-Za-z0-9._-]*{_END}"
IDENTITY: Final = rf"^~?/[^\n\r\x00]+{_END}"
ARTIFACT: Final = rf"^{_NO_PARENT}[^/\n\r\x00-][^\n\r\x00]*{_END}"
FOLDER: Final = rf"^/{_NO_PARENT}[A-Za-z0-9./_=@%+,~-]*{_END}"
LARGEST_PORT: Final = 65535
