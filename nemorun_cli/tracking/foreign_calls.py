"""Calls of NeMo-Run, wandb and MLflow on a tracked experiment: each is an error that shows what to write."""

from __future__ import annotations

from typing import Any, Final, TypeVar

from nemorun_cli.model.bounded_text import shown

RUNS_TASKS: Final = "nemorun_cli.nemo.Experiment (as in NeMo-Run) or nemorun_cli.Builder"

# Arguments of NeMo-Run's Experiment.
NEMO_ARGUMENTS: Final = frozenset(
    {
        *("title", "executor", "id", "log_level", "jobs", "base_dir", "clean_mode", "threadpool_workers"),
        *("enable_goodbye_message", "skip_status_at_exit", "serialize_metadata_for_scripts", "tunnels"),
    }
)


Kind = TypeVar("Kind", bound=type)

_PREFIX: Final = 'Experiment(prefix="owner/project/name")'
_NUMBERS: Final = 'experiment.metrics("train").log(loss=0.5, step=1)'
_PARAMS: Final = "experiment.params.set(lr=0.1), which also takes a mapping or a namespace"
_FILES: Final = 'experiment.files("models").upload("model.pt")'
_FOLDERS: Final = 'experiment.files("models").upload("folder/")'
_OUTPUTS: Final = 'experiment.files("outputs")'
_IMAGES: Final = f'{_OUTPUTS}.save_image(array, to="image.png")'
_TABLES: Final = f'{_OUTPUTS}.save_json(rows, to="table.json"), or save(table, to="table.csv")'
_TAG: Final = 'experiment.tag(add="baseline"), or experiment.params.set(kind="baseline") for a value'
_STUDY: Final = "exp compare, exp metrics --json, or nemorun_cli.tracking.record and prefixes"
_TAGS: Final = 'Experiment(tags=["baseline"]), or experiment.params.set(kind="baseline") for a value'
_START: Final = "`with Experiment().run as experiment:`, or experiment.run.start()"
_END: Final = "experiment.run.complete(), or leave the block of `with experiment.run`"
_PURPOSE: Final = "tracks what one program measures"
_OF_OTHERS: Final = "a name of wandb or MLflow"
_NONE: Final = "nothing: it is not needed here"

# Arguments of wandb.init, and of MLflow's runs and experiments.
REPLACED_ARGUMENTS: Final = {
    "config": _PARAMS,
    "params": _PARAMS,
    **dict.fromkeys(("project", "name", "entity", "group", "run_name", "experiment_name"), _PREFIX),
    "notes": 'Experiment(description="a first try")',
    **dict.fromkeys(("dir", "tracking_uri", "artifact_location"), 'Experiment(dash_root=".dash")'),
    **dict.fromkeys(("mode", "disabled", "offline"), "EXP_TRACKING=off in the environment to write nothing"),
    "job_type": _TAGS,
    **dict.fromkeys(
        ("reinit", "nested", "run_id"), "Experiment(prefix=…) again: a prefix that exists is continued"
    ),
}

# Names of both, on an experiment and on this package.
REPLACED_NAMES: Final = {
    **dict.fromkeys(("init", "start_run", "active_run"), _START),
    **dict.fromkeys(("finish", "end_run"), _END),
    **dict.fromkeys(("config", "log_param", "log_params", "log_hyperparams"), _PARAMS),
    **dict.fromkeys(("log_metric", "log_metrics", "add_scalar"), _NUMBERS),
    "summary": 'experiment.metrics("train").stats(), or last("loss"); exp compare shows both',
    "history": 'experiment.metrics("train").read()',
    **dict.fromkeys(("log_artifact", "log_model", "save"), _FILES),
    "log_artifacts": _FOLDERS,
    "use_artifact": 'experiment.files("models").download("model.pt", to="model.pt")',
    "log_dict": f'{_OUTPUTS}.save_json(value, to="value.json")',
    "log_text": f'{_OUTPUTS}.save_text(text, to="text.txt")',
    "log_figure": f'{_OUTPUTS}.save_fig(figure, to="figure.png")',
    **dict.fromkeys(("log_image", "Image"), _IMAGES),
    **dict.fromkeys(("log_table", "Table"), _TABLES),
    **dict.fromkeys(("set_tag", "set_tags"), _TAG),
    **dict.fromkeys(("search_runs", "get_run"), _STUDY),
    "define_metric": f"{_NONE}: `step`, or else `epoch`, is the x axis",
    **dict.fromkeys(("watch", "unwatch", "autolog"), f"{_NONE}; log what you want to see: {_NUMBERS}"),
    "notes": 'experiment.note("a text"), or Experiment(description="a first try")',
    "log_code": f"{_NONE}: the commit and the changes are stored with each opening",
    "alert": 'experiment.log("text", level="warn"); the plugin `notify` reports ends and failures',
}

REPLACED_IN_PACKAGE: Final = {
    **REPLACED_NAMES,
    "log": f"{_NUMBERS} for numbers, experiment.log(text) for a line",
    "login": f"{_NONE}: records are files on this machine",
    **dict.fromkeys(("set_experiment", "set_tracking_uri"), f'{_PREFIX[:-1]}, dash_root=".dash")'),
    **dict.fromkeys(("sweep", "agent"), "a matrix in a spec, or nemorun_cli.Builder"),
    "Artifact": _FILES,
    "Api": "nemorun_cli.tracking.record and prefixes, or exp compare --json",
}


class ForeignCallError(TypeError, AttributeError):
    """A call of another library on an Experiment; `hasattr` is false for its names."""


class ForeignName:
    """A name of NeMo-Run's Experiment, or another library's, on the class and on its instances."""

    def __init__(
        self, replacement: str, *, of: str = "NeMo-Run's", on: str | None = None, purpose: str = _PURPOSE
    ) -> None:
        self._replacement = replacement
        self._of = of
        self._on = on  # what the user wrote before the name; default: the class
        self._purpose = purpose
        self._name = ""

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    def __get__(self, instance: object, owner: type) -> Any:
        if instance is not None and self._name in vars(instance):
            return vars(instance)[self._name]
        raise self._refused(owner)

    def __set__(self, instance: object, value: object) -> None:
        """Refuse `experiment.config = {…}`, which would be lost; a class of a user may have such a name."""
        if type(instance).__module__.startswith(f"{__package__.partition('.')[0]}."):
            raise self._refused(type(instance))
        vars(instance)[self._name] = value

    def _refused(self, owner: type) -> ForeignCallError:
        return ForeignCallError(
            f"{self._on or owner.__name__}.{self._name} is {self._of}: {self._on or f'this {owner.__name__}'}"
            f" {self._purpose}. Write {self._replacement}"
        )


def refusing_names(kind: Kind) -> Kind:
    """Decorate a class so that the names of wandb and MLflow are errors on it and on its instances."""
    for name, replacement in REPLACED_NAMES.items():
        foreign = ForeignName(replacement, of=_OF_OTHERS)
        foreign.__set_name__(kind, name)
        setattr(kind, name, foreign)
    return kind


def refuse_name(kind: type, name: str) -> None:
    """Raise for a foreign name, for the `__getattr__` of a class, to which its AttributeError led."""
    for ancestor in kind.__mro__:
        foreign = vars(ancestor).get(name)
        if isinstance(foreign, ForeignName):
            foreign.__get__(None, kind)


def in_package(name: str) -> ForeignCallError | None:
    """The error for `nemorun_cli.init()` and the like; None for other names."""
    replacement = REPLACED_IN_PACKAGE.get(name)
    if replacement is None:
        return None
    return ForeignCallError(f"nemorun_cli.{name} is {_OF_OTHERS}. Write {replacement}")


def of_a_run(replacement: str, *, of: str) -> ForeignName:
    """A name that a run has in another library, for `experiment.run`."""
    return ForeignName(replacement, of=of, on="experiment.run", purpose="is the life cycle of a record")


def metric_given_by_position(values: tuple[object, ...]) -> ForeignCallError:
    """The error for `metrics.log("loss", 0.5)` and the like."""
    given = ", ".join(shown(value, 30) for value in values)
    return ForeignCallError(f"log() takes fields by name, not log({given}): write {_NUMBERS}")


def params_given_by_position(values: tuple[object, ...]) -> ForeignCallError:
    """The error for `params.set("lr", 0.1)`."""
    given = ", ".join(shown(value, 30) for value in values)
    return ForeignCallError(f"set() takes params by name, not set({given}): write {_PARAMS}")


def params_read_by_position(values: tuple[object, ...]) -> ForeignCallError:
    """The error for `params.get("lr")` and `params.get("lr", 0.1)`."""
    given = ", ".join(shown(value, 30) for value in values)
    call = f"get({given})" if len(values) > 1 else f"[{given}]"
    joint = "." if len(values) > 1 else ""
    return ForeignCallError(
        f"get() returns all params, and takes no name: write experiment.params.get(){joint}{call}"
    )


def decorated_without_call(function: object) -> ForeignCallError:
    """The error for `@ml_dash_experiment` without parentheses."""
    name = getattr(function, "__name__", "function")
    return ForeignCallError(
        f"ml_dash_experiment takes a prefix, not the function {name}: write @ml_dash_experiment() above it"
        ' for a default prefix, or @ml_dash_experiment(prefix="owner/project/name")'
    )


def params_name(name: str) -> ForeignCallError:
    """The error for `params.update`, `params.items`, `params.lr` and `params.lr = 0.1`."""
    if name in {"update", "setdefault"}:
        return ForeignCallError(f"experiment.params is no mapping and has no {name}(): write {_PARAMS}")
    if hasattr(dict, name):
        return ForeignCallError(
            f"experiment.params is no mapping and has no {name}(): write experiment.params.get(), which is"
            f" one, or {_PARAMS}"
        )
    return ForeignCallError(
        f"experiment.params has no attribute {name!r}: write {_PARAMS}, and"
        f" experiment.params.get()[{name!r}] to read one"
    )


def params_item(key: object) -> ForeignCallError:
    """The error for `params["lr"]` and `params["lr"] = 0.1`."""
    return ForeignCallError(
        f"experiment.params is no mapping: write {_PARAMS}, and experiment.params.get()[{shown(key)}] to read"
    )


def metrics_item(key: object) -> ForeignCallError:
    """The error for `metrics["train"]`."""
    return ForeignCallError(
        f"experiment.metrics is no mapping: write experiment.metrics({shown(key)}).log(loss=0.5, step=1)"
    )


def is_title(path: str) -> bool:
    """Whether this is the title of an experiment of NeMo-Run, rather than a prefix: words without a slash."""
    return "/" not in path and "{" not in path and len(path.split()) > 1


def titled(title: str) -> ForeignCallError:
    """The error for `Experiment("My Experiment")`."""
    return ForeignCallError(
        f"Experiment({title!r}) has the title of an experiment that runs tasks, as in NeMo-Run; this"
        " Experiment tracks what one program measures. Write\n"
        f"  nemorun_cli.nemo.Experiment({title!r})  to run tasks with the calls of NeMo-Run\n"
        f"  nemorun_cli.Builder({title!r})  to run tasks\n"
        '  nemorun_cli.Experiment(prefix="owner/project/name")  to track'
    )


def argument(name: str) -> ForeignCallError:
    """The error for an argument of NeMo-Run's Experiment."""
    return ForeignCallError(
        f"Experiment() has no argument {name!r}: it tracks what one program measures. An experiment that runs"
        f" tasks is {RUNS_TASKS}"
    )


def entered(name: str) -> ForeignCallError:
    """The error for `with Experiment(…) as e`."""
    return ForeignCallError(
        f"{name} is no context manager: write `with {name}(…).run as experiment` to track. An experiment that"
        f" runs tasks in its `with` block is {RUNS_TASKS}"
    )


def started() -> ForeignCallError:
    """The error for `exp.run()`."""
    return ForeignCallError(
        "experiment.run is the life cycle of a record: write `with experiment.run`, experiment.run.start(),"
        f" or @experiment.run above a function. An experiment whose run() starts tasks is {RUNS_TASKS}"
    )


def logs_of_a_task() -> ForeignCallError:
    """The error for `exp.logs("task")`."""
    return ForeignCallError(
        "experiment.logs writes lines: experiment.logs.info(text), and reads them: experiment.logs.read()."
        ' The log of a task is nemorun_cli.find(name).logs("task")'
    )


def logged(fields: object) -> ForeignCallError:
    """The error for `log({"loss": 0.1})` and for `log(loss=0.1)`."""
    return ForeignCallError(
        f"log() writes a line of text, not {shown(fields, 60)}: write experiment.metrics.log(loss=0.1) or"
        ' experiment.metrics("train").log(loss=0.1) for numbers, experiment.params.set(lr=0.1) for parameters'
    )
