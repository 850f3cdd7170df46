"""Bindrs: ML-Dash's name for collections of files."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from nemorun_cli.tracking.experiment import Experiment
    from nemorun_cli.tracking.files import Files
    from nemorun_cli.tracking.store.file_index import File


class Bindrs(list[str]):
    """The bindrs of an experiment; called with one, `experiment.bindrs("best").list()` lists its files."""

    def __init__(self, bindrs: Iterable[str], experiment: Experiment) -> None:
        super().__init__(bindrs)
        self._experiment = experiment

    def __call__(self, bindr_name: str) -> BindrFiles:
        """The files that were saved with this bindr."""
        return BindrFiles(self._experiment.files, bindr_name)


class BindrFiles:
    """The files of a record that were saved with one bindr."""

    def __init__(self, files: Files, bindr_name: str) -> None:
        self._files = files
        self._bindr_name = bindr_name

    def list(self) -> list[File]:
        """The latest version of each file, by path."""
        return [file for file in self._files.list() if self._bindr_name in (file["bindrs"] or ())]
