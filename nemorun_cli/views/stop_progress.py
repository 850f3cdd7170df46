"""How far the conditions of the key `stop` are, and which of them had no value to judge."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from nemorun_cli.model.control_characters import escaped
from nemorun_cli.model.status import TaskStatus
from nemorun_cli.model.stop_rules import values_text

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

    from nemorun_cli.model.spec import Task
    from nemorun_cli.scheduler.metric_judges import RuleProgress
    from nemorun_cli.tracking.store.record_paths import Place
    from nemorun_cli.views.snapshot import Snapshot

MOST_LOOKS: Final = 64  # mebibytes of each file of a record that are read to explain a running task
_ENDS: Final = frozenset({TaskStatus.SUCCEEDED, TaskStatus.FAILED})


def tasks(snapshot: Snapshot, names: Collection[str] | None = None) -> list[str]:
    """The tasks, or those of the named ones, that ended without a value of a metric of their `stop`."""
    return [
        name
        for name, state in snapshot.history.tasks.items()
        if snapshot.history.unjudged.get(name) and state.status in _ENDS and (names is None or name in names)
    ]


def warning(snapshot: Snapshot, names: Collection[str] | None = None) -> str | None:
    """One line about all such tasks; None if no task has any."""
    affected = tasks(snapshot, names)
    if not affected:
        return None
    first = affected[0]
    others = len(affected) - 1
    more = f"; so with {others} other task{'s' if others > 1 else ''}" if others else ""
    text = sentence(snapshot.history.unjudged[first][0])
    return f"warning: stop of {first}: {text}{more}; see: exp why {snapshot.files.id} '{first}'"


def sentence(entry: Mapping[str, Any]) -> str:
    """Why a metric could not be judged."""
    metric, names = escaped(entry["metric"]), ", ".join(map(escaped, entry["names"]))
    if entry["reason"] == "ambiguous":
        return f"{metric} means several metrics, so none was judged: {names}"
    if entry["reason"] == "text":
        return f"{names} had no number"
    if not names:
        return f"there was no metric {metric}, nor any other"
    return f"there was no metric {metric}{_meant(entry)}; there were: {names}"


def _meant(entry: Mapping[str, Any]) -> str:
    """The metric whose name resembles that of a metric that never came, as a question; empty if none does."""
    from difflib import get_close_matches  # noqa: PLC0415 - rarely needed

    names: list[str] = entry["names"]
    by_end = {name[name.rfind("/") + 1 :]: name for name in names} | {name: name for name in names}
    close = get_close_matches(entry["metric"], by_end, n=1)
    return f" (did you mean {escaped(by_end[close[0]])}?)" if close else ""


def details(snapshot: Snapshot, task: Task) -> Iterator[str]:
    """A sentence for each condition: how far it is, or after the end why it was not judged."""
    state = snapshot.history.tasks[task.id]
    if state.is_over:
        yield from (f"stop: {sentence(entry)}" for entry in snapshot.history.unjudged.get(task.id, ()))
    elif task.stop and state.started and state.stop is None:
        yield from _progress(snapshot, task)


def _progress(snapshot: Snapshot, task: Task) -> Iterator[str]:
    from nemorun_cli.scheduler.metric_judges import StopJudge  # noqa: PLC0415 - few tasks have `stop`
    from nemorun_cli.supervisor import metric_watch  # noqa: PLC0415 - the same
    from nemorun_cli.tracking.access.value_follower import ValueFollower  # noqa: PLC0415 - the same

    judge, state = StopJudge(task.stop), snapshot.history.tasks[task.id]
    follower = ValueFollower(judge.metrics, experiment=snapshot.files.id, task=task.id, attempt=state.attempt)
    places = list(_places(snapshot, task.id, state.attempt))
    judge.see(map(metric_watch.metric_value, follower.read(places)))
    for _ in range(MOST_LOOKS):
        if follower.is_behind:
            judge.see(map(metric_watch.metric_value, follower.read(places)))
    if follower.is_behind:
        yield f"stop: of {MOST_LOOKS} MiB of rows; it has more"
    yield from (f"stop: some metrics cannot be read: {problem}" for problem in follower.problems)
    missing = {entry["metric"]: entry for entry in metric_watch.unjudged(follower)}
    for each in judge.progress:
        if not each.count and (entry := missing.get(each.rule.metric)) is not None:
            yield f"stop: {escaped(each.rule.text)}: so far {sentence(entry)}"
        else:
            yield f"stop: {escaped(each.rule.text)}: {_so_far(each)}"


def _so_far(progress: RuleProgress) -> str:
    """The values of a condition so far, in a few words."""
    text = values_text(progress.count)
    if progress.last is not None:
        text += f", the last is {progress.last:g}"
    if progress.rule.patience is None:
        return text
    best = "none is finite" if progress.best is None else f"the best is {progress.best:g}"
    return f"{text}, {best}, {progress.since} of {progress.rule.patience} without an improvement"


def _places(snapshot: Snapshot, task: str, attempt: int) -> Iterator[Place]:
    """The records that an attempt has opened."""
    from nemorun_cli.executors import planning  # noqa: PLC0415 - few tasks have `stop`
    from nemorun_cli.tracking.access import supervisor_api  # noqa: PLC0415 - the same
    from nemorun_cli.tracking.store.record_paths import Place  # noqa: PLC0415 - the same

    files, spec = snapshot.files, snapshot.spec
    own = (str(planning.dash_root(spec, files.home)), f"{planning.prefix(spec, files.id)}/{task}")
    register = files.attempt(task, attempt).records
    for root, prefix in dict.fromkeys([own, *supervisor_api.registered(register, inside=files.directory)]):
        yield Place(root, prefix)
