"""What each request of the API does, in a sentence, and the published schema of its answer."""

from __future__ import annotations

from typing import Final, NamedTuple


class ApiSummary(NamedTuple):
    """One method of one path.

    Attributes:
        sentence: what the request does.
        schema: the name of the published schema of the answer; None for others.
        others: those of answers that have another form.
    """

    sentence: str
    schema: str | None = None
    others: tuple[str, ...] = ()

    @property
    def schemas(self) -> tuple[str, ...]:
        """All of them."""
        return (*([] if self.schema is None else [self.schema]), *self.others)


_RECORD: Final = "/v1/records/{prefix:path}/.record"
_EXPERIMENT: Final = "/v1/experiments/{owner}/{home}/{experiment_id}"
_VIEW: Final = "/v1/views/records/{prefix:path}/.record"
_EXPERIMENT_VIEW: Final = "/v1/views/experiments/{owner}/{home}/{id}"
_CONTROL: Final = "/v1/control/experiments/{owner}/{home}/{id}"
_RECORD_CONTROL: Final = "/v1/control/records/{prefix:path}/.record"
SUMMARIES: Final = {
    "GET:/": ApiSummary("The page: its first view."),
    "GET:/experiments": ApiSummary("The page: the list of experiments."),
    "GET:/experiments/{rest:path}": ApiSummary("The page: an experiment."),
    "GET:/records": ApiSummary("The page: the list of records."),
    "GET:/records/{rest:path}": ApiSummary("The page: a record."),
    "GET:/compare": ApiSummary("The page: records side by side."),
    "GET:/device": ApiSummary("The page: to allow a login."),
    "GET:/static/{name}": ApiSummary("A script, a style sheet or an image of the page."),
    "GET:/v1/hello": ApiSummary("The server's version, protocols, time and limits.", "hello"),
    "GET:/v1/openapi.json": ApiSummary("This description."),
    "GET:/v1/whoami": ApiSummary("The user of the token, and what it allows.", "whoami"),
    "POST:/v1/session": ApiSummary("Begin a session of a page, for a one-time token or a token."),
    "POST:/v1/logout": ApiSummary("End the session, or the token, with which this is asked."),
    "POST:/v1/link": ApiSummary("A link to a file, which needs no token for a minute."),
    "POST:/v1/device/find": ApiSummary("The program that waits with a code."),
    "POST:/v1/device/approve": ApiSummary("Give the program with a code a token of the caller's rights."),
    "POST:/v1/device/deny": ApiSummary("Refuse the program with a code."),
    "POST:/api/device/start": ApiSummary("Begin a login of a program."),
    "POST:/api/device/poll": ApiSummary("The access token of an approved login."),
    "POST:/api/auth/exchange": ApiSummary("A token of this server for an access token."),
    f"GET:{_RECORD}": ApiSummary("The files of a replica of a record, with their sizes."),
    f"PATCH:{_RECORD}": ApiSummary("Write several small files of a record."),
    f"POST:{_RECORD}": ApiSummary("Create a record that does not exist."),
    f"DELETE:{_RECORD}": ApiSummary("Move a record to the trash."),
    f"GET:{_RECORD}/{{rest:path}}": ApiSummary("A file of a record, or a range of it."),
    f"PUT:{_RECORD}/{{rest:path}}": ApiSummary("Store a whole file of a record."),
    f"PATCH:{_RECORD}/{{rest:path}}": ApiSummary("Append to a file of a record at an offset."),
    f"GET:{_EXPERIMENT}": ApiSummary("The files of a replica of an experiment, with their sizes."),
    f"PATCH:{_EXPERIMENT}": ApiSummary("Write several small files of an experiment."),
    f"DELETE:{_EXPERIMENT}": ApiSummary("Move an experiment to the trash."),
    f"GET:{_EXPERIMENT}/{{rest:path}}": ApiSummary("A file of an experiment, or a range of it."),
    f"PUT:{_EXPERIMENT}/{{rest:path}}": ApiSummary("Store a whole file of an experiment."),
    f"PATCH:{_EXPERIMENT}/{{rest:path}}": ApiSummary("Append to a file of an experiment at an offset."),
    "POST:/v1/heard": ApiSummary("Report what runs on a machine.", "heard"),
    "GET:/v1/live": ApiSummary("A stream of events about topics."),
    "POST:/v1/live/{stream}": ApiSummary("Change the topics of a stream.", "live"),
    "GET:/v1/views/records": ApiSummary("A page of the records.", "records"),
    f"GET:{_VIEW}": ApiSummary("One record with its openings.", "record-view"),
    f"GET:{_VIEW}/params": ApiSummary("The params of a record.", "params"),
    f"GET:{_VIEW}/metrics": ApiSummary("The metrics of a record, with their statistics.", "metrics"),
    f"GET:{_VIEW}/logs": ApiSummary("Lines that a program logged.", "record-log"),
    f"GET:{_VIEW}/tracks": ApiSummary("The tracks of a record.", "tracks"),
    f"GET:{_VIEW}/files": ApiSummary("The files that were saved in a record.", "files"),
    f"GET:{_VIEW}/environment": ApiSummary("The environments of the openings of a record.", "environment"),
    f"GET:{_VIEW}/openings": ApiSummary("The openings of a record.", "openings"),
    f"GET:{_VIEW}/curve": ApiSummary("Series of a record, reduced to a number of points.", "curve"),
    f"GET:{_VIEW}/contents/{{checksum}}": ApiSummary("A saved content, or a range of it."),
    f"POST:{_VIEW}/contents/{{checksum}}/link": ApiSummary(
        "A link to a content, valid for a minute.", "link"
    ),
    "POST:/v1/views/curves": ApiSummary("Curves of many records, and what distinguishes these.", "curves"),
    "GET:/v1/views/compare": ApiSummary("A table of runs with their params and metrics.", "compare"),
    "GET:/v1/views/experiments": ApiSummary("A page of the experiments.", "list"),
    f"GET:{_EXPERIMENT_VIEW}": ApiSummary("One experiment.", "status"),
    f"GET:{_EXPERIMENT_VIEW}/status": ApiSummary("The status of an experiment and of its tasks.", "status"),
    f"GET:{_EXPERIMENT_VIEW}/graph": ApiSummary(
        "The tasks of an experiment and their dependencies.", "graph"
    ),
    f"GET:{_EXPERIMENT_VIEW}/show": ApiSummary("All details of an experiment.", "show"),
    f"GET:{_EXPERIMENT_VIEW}/events": ApiSummary("The events of an experiment's ledger.", "event-list"),
    f"GET:{_EXPERIMENT_VIEW}/why": ApiSummary("Why tasks wait, failed or were skipped.", "why"),
    f"GET:{_EXPERIMENT_VIEW}/diff": ApiSummary("The differences between two experiments.", "diff"),
    f"GET:{_EXPERIMENT_VIEW}/spec": ApiSummary("The spec of an experiment, where it was sent.", "spec"),
    f"GET:{_EXPERIMENT_VIEW}/timeline": ApiSummary("When attempts waited and ran.", "timeline"),
    f"GET:{_EXPERIMENT_VIEW}/search": ApiSummary("Its searches with all of their trials.", "search"),
    f"GET:{_EXPERIMENT_VIEW}/files": ApiSummary("The files that the tasks of an experiment saved.", "files"),
    f"GET:{_EXPERIMENT_VIEW}/log": ApiSummary("The log of an attempt, or a range of it."),
    f"GET:{_EXPERIMENT_VIEW}/log/outline": ApiSummary(
        "The lines of a log, the one that explains a failure, and how the attempt ended.", "log-outline"
    ),
    f"GET:{_EXPERIMENT_VIEW}/log/find": ApiSummary(
        "How often a text occurs in a log, and in which lines.", "log-matches"
    ),
    f"POST:{_CONTROL}/cancel": ApiSummary(
        "Cancel an experiment of this machine, or some of its tasks.", "cancel", ("control",)
    ),
    f"POST:{_CONTROL}/resume": ApiSummary(
        "Continue an experiment of this machine, or say what that would do.", "run", ("resume", "control")
    ),
    f"POST:{_CONTROL}/rerun": ApiSummary(
        "Start an experiment from the spec of an earlier one, or say what that would do.",
        "run",
        ("plan", "control"),
    ),
    f"POST:{_CONTROL}/rm": ApiSummary("Move an experiment to the trash.", "rm", ("control",)),
    f"POST:{_CONTROL}/tag": ApiSummary("Add and remove tags of an experiment.", "tag", ("control",)),
    f"POST:{_CONTROL}/note": ApiSummary("Add a note to an experiment.", "note", ("control",)),
    f"POST:{_RECORD_CONTROL}/rm": ApiSummary("Move a record to the trash.", "rm", ("control",)),
    f"POST:{_RECORD_CONTROL}/tag": ApiSummary("Add and remove tags of a record.", "tag", ("control",)),
    f"POST:{_RECORD_CONTROL}/note": ApiSummary("Add a note to a record.", "note", ("control",)),
    "POST:/graphql": ApiSummary("ML-Dash: one of its fixed queries."),
    "GET:/api/search/files": ApiSummary("ML-Dash: files of an experiment by name."),
    "POST:/api/namespaces/{namespace}/nodes": ApiSummary("ML-Dash: create a project, folder or file."),
    "GET:/api/nodes/{id}": ApiSummary("ML-Dash: a node."),
    "GET:/api/nodes/{id}/download": ApiSummary("ML-Dash: the bytes of a file."),
    "PATCH:/api/nodes/{id}": ApiSummary("ML-Dash: change a node, such as a status."),
    "DELETE:/api/nodes/{id}": ApiSummary("ML-Dash: remove a file."),
    "DELETE:/api/projects/{id}": ApiSummary("ML-Dash: remove a project."),
    "GET:/api/experiments/{rest:path}": ApiSummary("ML-Dash: read params, logs, metrics and tracks."),
    "POST:/api/experiments/{rest:path}": ApiSummary("ML-Dash: add params, logs, metrics and tracks."),
}
"""By method and pattern of the path. A path that takes GET takes HEAD too."""
