"""What Optuna writes for a trial and for its study, as JSON and back.

CMA-ES writes its state as a pickle. A ledger has none: to read one would run whatever somebody wrote there.
So its state is kept as numbers, of which the pickle is made again.
"""

from __future__ import annotations

import json
import pickle
from typing import TYPE_CHECKING, Any, Final

from nemorun_cli.scheduler.search.faults import SearchFault

if TYPE_CHECKING:
    from collections.abc import Mapping

_TRIAL: Final = "trial"
_STUDY: Final = "study"
_CMA: Final = "cma"
_PICKLES: Final = "cma:optimizer"  # begins the keys from which Optuna reads a pickle
_PICKLE: Final = f"{_PICKLES}:"  # with a number, the keys of the parts of CMA-ES's pickle
_PART: Final = 2045  # characters of each, as Optuna splits it
_ARRAY: Final = "array"
_HISTORY: Final = "_funhist_values"  # the only state that CMA-ES begins without a value


def encode(trial: Mapping[str, Any], study: Mapping[str, Any]) -> dict[str, Any]:
    """The attributes that Optuna wrote for a trial, and for the study at the same time, as JSON."""
    plain = {key: value for key, value in trial.items() if not key.startswith(_PICKLE)}
    pickled = [key for key in trial if key.startswith(_PICKLE)]
    document: dict[str, Any] = {_TRIAL: plain, _STUDY: dict(study)}
    if pickled:
        parts = (trial[key] for key in sorted(pickled, key=lambda key: int(key.removeprefix(_PICKLE))))
        document[_CMA] = _state_of(bytes.fromhex("".join(parts)))
    written: dict[str, Any] = json.loads(json.dumps({key: value for key, value in document.items() if value}))
    return written


def decode(written: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """The attributes of a trial, and those of its study, from their JSON.

    Raises:
        SearchFault: these are none.
    """
    try:
        trial, study = dict(written.get(_TRIAL, {})), dict(written.get(_STUDY, {}))
        if any(str(key).startswith(_PICKLES) for key in trial):
            raise SearchFault("what a sampler wrote has a pickle, which is not read")
        if _CMA in written:
            text = _pickle_of(written[_CMA])
            for number, start in enumerate(range(0, len(text), _PART)):
                trial[f"{_PICKLE}{number}"] = text[start : start + _PART]
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise SearchFault(f"what a sampler wrote cannot be read: {error}") from error
    return trial, study


def _state_of(pickled: bytes) -> dict[str, Any]:
    import numpy as np  # noqa: PLC0415 - other samplers do without

    optimizer = pickle.loads(pickled)  # noqa: S301 - this process has just made it
    state = dict(optimizer.__getstate__())
    history, known = np.array(state[_HISTORY]), 2 * (state["_g"] + 1)
    if known < history.size:
        history[known:] = 0.0
    history[:2] = history[:2] if state["_g"] >= state["_funhist_term"] else 0.0
    state[_HISTORY] = history
    return {name: _as_json(value) for name, value in state.items()}


def _pickle_of(state: Mapping[str, Any]) -> str:
    from cmaes import CMA  # noqa: PLC0415 - other samplers do without

    optimizer = CMA.__new__(CMA)
    optimizer.__setstate__({name: _from_json(value) for name, value in state.items()})
    return pickle.dumps(optimizer).hex()


def _as_json(value: Any) -> Any:
    import numpy as np  # noqa: PLC0415 - other samplers do without

    if isinstance(value, np.ndarray):
        return {_ARRAY: value.tolist()}
    return value.item() if isinstance(value, np.generic) else value


def _from_json(value: Any) -> Any:
    import numpy as np  # noqa: PLC0415 - other samplers do without

    if isinstance(value, dict):
        return np.array(value[_ARRAY], dtype=float)
    if value is None or isinstance(value, (bool, int)):
        return value
    return np.float64(value)
