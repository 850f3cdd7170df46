"""`lazy_imports` and `LazyEntrypoint`, which NeMo-Run has because its imports are slow."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from nemorun_cli.nemo.elsewhere import Absent

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextlib.contextmanager
def lazy_imports(fallback_to_lazy: bool = False) -> Iterator[None]:  # noqa: FBT001, FBT002 - NeMo-Run's signature
    """A block whose imports are as usual; here nothing else imports what a task needs."""
    del fallback_to_lazy
    yield


class LazyEntrypoint(metaclass=Absent):
    """A function that is imported later."""

    why = "exp imports no function before its task runs"
    instead = "name it: nemorun_cli.Partial('module:function', …), or import it and use run.Partial"
