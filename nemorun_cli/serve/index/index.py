"""All that is indexed of a site, and what it is asked for."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any, Final, TypeVar

from nemorun_cli.serve.changes import Change, RecordChange
from nemorun_cli.serve.index.background import BackgroundReader
from nemorun_cli.serve.index.cache_file import CacheFile, CacheLostError, is_storable
from nemorun_cli.serve.index.experiment_index import ExperimentIndex, ExperimentPlace
from nemorun_cli.serve.index.record_index import RecordIndex
from nemorun_cli.serve.index.series_index import SeriesIndex
from nemorun_cli.tracking.store.record_paths import Place

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.requests import Request

    from nemorun_cli.serve.changes import Changes
    from nemorun_cli.serve.site import Site

CACHE: Final = "cache.sqlite"
TRIES: Final = 3  # of what needs the cache: it may be lost, and built again, in between
_Result = TypeVar("_Result")


class Index:
    """The index of a site; it is made from the plain files, and can be deleted at any time.

    Attributes:
        records: the records.
        experiments: the experiments.
        series: the series of metrics.
        digests: of what each user may read of a list: the version of the list, and the digest.

    Args:
        site: what is served.
        changes: announces what is written; None if nobody announces it.
    """

    def __init__(self, site: Site, changes: Changes | None = None) -> None:
        self.site = site
        self.cache = CacheFile(site.own / CACHE)
        self.digests: dict[tuple[str, str], tuple[str, str]] = {}
        self.records = RecordIndex(self.cache, is_announced=site.root is not None)
        self.experiments = ExperimentIndex(self.cache, site)
        self.series = SeriesIndex(self.cache)
        self._generation = self.cache.generation
        self._lock = threading.Lock()
        self._background = BackgroundReader(self.series.rows)
        self._end = changes.listen(self._changed) if changes is not None else lambda: None

    def close(self) -> None:
        """Listen to no more changes, and close the cache."""
        self._end()
        self._background.close()
        self.records.close()
        self.experiments.close()
        self.cache.close()

    def _changed(self, change: Change) -> None:
        if isinstance(change, RecordChange):
            if change.path.startswith(("openings/", "labels/")) or not change.path:
                self.records.changed(change.prefix)
            elif change.path.startswith("metrics/") and self.site.root is not None:
                self._background.changed(f"{Place(str(self.site.root), change.prefix).record}/{change.path}")
        else:
            self.experiments.changed(ExperimentPlace(change.owner, change.home, change.id))

    def roots(self) -> list[str]:
        """The folders of records: that of a collector, or all that are known on this machine.

        Those whose path is not Unicode are left out.
        """
        if self.site.root is not None:
            return [str(self.site.root)]
        known = [*map(str, self.site.dash_roots), *self.experiments.dash_roots()]
        return [root for root in dict.fromkeys(known) if is_storable(root)]

    def fresh(self, ask: Callable[[Index], _Result]) -> _Result:
        """What a function returns once all changes are read; it is called again if the cache is lost."""
        for left in reversed(range(TRIES)):
            generation = self.cache.generation
            self._forget_lost(generation)
            try:
                self.experiments.refresh()
                self.records.refresh(self.roots())
                found = ask(self)
                if self.cache.generation == generation:
                    return found
            except CacheLostError:
                if not left:
                    raise
        raise CacheLostError("the cache was lost again and again")

    def _forget_lost(self, generation: int) -> None:
        """Forget what is known of the content of a cache whose place another one has taken, for anyone."""
        with self._lock:
            if self._generation != generation:
                self.experiments.forget()
                self.records.forget()
                self._generation = generation


_making: Final = threading.Lock()


def index_of(request: Request) -> Index:
    """The index of the server that answers a request."""
    return index_of_state(request.app.state)


def index_of_state(state: Any) -> Index:
    """The index in the state of an application, made when it is needed first."""
    with _making:
        if not hasattr(state, "index"):
            state.index = Index(state.site, state.changes)
    index: Index = state.index
    return index
