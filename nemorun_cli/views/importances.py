"""How important the params of a search are, as its sampler computes it in a process of its own."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import subprocess
import sys
from collections import OrderedDict
from dataclasses import asdict, dataclass
from threading import Lock
from typing import TYPE_CHECKING, Any, Final

from nemorun_cli.model.search import Suggestion

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from nemorun_cli.views.searches import StudyView

FEWEST: Final = 4  # complete trials, below which shares would be noise
TIMEOUT: Final = 30.0  # seconds
REMEMBERED: Final = 32  # answers of the latest questions
_PROCESS: Final = ("-m", "nemorun_cli.scheduler.search.sampler_process")


@dataclass(frozen=True, slots=True)
class Importances:
    """The share of each param in the differences of the values, or why it is not known."""

    shares: Mapping[str, float] | None = None
    message: str | None = None


NOT_ASKED: Final = Importances(message="they were not asked for")
_answers: OrderedDict[bytes, Importances] = OrderedDict()
_lock: Final = Lock()


def of(study: StudyView, *, is_own: bool) -> Importances:
    """The importances of the params of a search, from its complete trials.

    Args:
        study: the search.
        is_own: whether this home created the experiment; for others no process is started.
    """
    complete = sum(trial.values is not None for trial in study.trials)
    if len(study.rule.goals) > 1:
        return Importances(message="with several goals there is no one value that they could explain")
    if complete < FEWEST:
        return Importances(message=f"{complete} of the {FEWEST} complete trials that they need have ended")
    if not is_own:
        return Importances(message="they are computed where the experiment was created: exp show --json")
    if importlib.util.find_spec("optuna") is None:
        return Importances(
            message="they need Optuna, which is not installed: pip install 'nemorun-cli[search]'"
        )
    question = b"".join(json.dumps(line).encode() + b"\n" for line in _question(study))
    key = hashlib.sha256(question).digest()
    with _lock:
        if (known := _answers.get(key)) is not None:
            return known
    answer = _ask(question)
    with _lock:
        _answers[key] = answer
        while len(_answers) > REMEMBERED:
            _answers.popitem(last=False)
    return answer


def _question(study: StudyView) -> Iterator[dict[str, Any]]:
    """What the process is asked: the rule, what happened in the order of the ledger, and the question."""
    yield {"search": study.rule.to_json()}
    for entry in study.order:
        yield {("suggested" if isinstance(entry, Suggestion) else "trial_ended"): asdict(entry)}
    yield {"importances": True}


def _ask(question: bytes) -> Importances:
    command = [sys.executable, *_PROCESS]
    try:
        done = subprocess.run(command, input=question, capture_output=True, timeout=TIMEOUT, check=False)
    except subprocess.TimeoutExpired:
        return Importances(message=f"its sampler did not compute them within {TIMEOUT:g} s")
    except OSError as error:
        return Importances(message=f"its sampler cannot be started: {error.strerror}")
    for line in done.stdout.splitlines():
        try:
            answer = json.loads(line)
        except ValueError:
            continue
        if isinstance(shares := answer.get("importances"), dict):
            return Importances(shares=shares)
        if isinstance(problem := answer.get("problem"), dict):
            return Importances(message=str(problem.get("message")))
    last = done.stderr.decode(errors="replace").strip().splitlines()
    return Importances(message=f"its sampler did not compute them: {last[-1] if last else 'no answer'}")
