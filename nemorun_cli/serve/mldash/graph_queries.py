"""ML-Dash's GraphQL: the root fields of the sixteen texts that its clients send, each answered by a function.

There is no engine. A query is known by its first field, and answered with more than it asks for: the clients
read names and paths that their texts do not mention. A costly field is given only if the text names it.
"""

from __future__ import annotations

import fnmatch
import os
import re
from typing import TYPE_CHECKING, Any, Final

from nemorun_cli.errors import ExpError, InvalidValueError, LedgerError, NotFoundError, UsageError
from nemorun_cli.replication.protocol import RESERVED
from nemorun_cli.serve.mldash import file_nodes, metric_pages, node_ids
from nemorun_cli.serve.mldash.addresses import UNNAMED
from nemorun_cli.serve.mldash.held_records import is_record
from nemorun_cli.serve.mldash.node_ids import NodeId, NodeKind
from nemorun_cli.tracking.access import reader
from nemorun_cli.tracking.experiment import Experiment
from nemorun_cli.tracking.store import row_files
from nemorun_cli.tracking.store.json_values import MAX_DIGITS
from nemorun_cli.tracking.store.record_paths import MAX_PREFIX, RECORD, decode_name

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from starlette.requests import Request

    from nemorun_cli.serve.mldash.adapter import Adapter
    from nemorun_cli.tracking.access.reader import Record

LONGEST: Final = 1 << 16  # characters of a query
DEEPEST: Final = 20  # levels of a tree
MOST: Final = 1_000  # entries of a page

_FIELD: Final = re.compile(r"\s*(?:\w+\s*:\s*)?(?P<name>[A-Za-z_]\w*)\s*(?:\((?P<arguments>[^()]*)\))?\s*")
_ARGUMENT: Final = re.compile(r"(\w+)\s*:\s*(\$\w+|\"(?:[^\"\\]|\\.)*\"|-?\d+|true|false|null|\w+)")
_WORD: Final = re.compile(r"[A-Za-z_]\w*")


class GraphQuery:
    """One query: its root field, the arguments of that, and the words in its text."""

    def __init__(self, text: object, variables: object) -> None:
        if not isinstance(text, str) or len(text) > LONGEST:
            raise InvalidValueError("query is not a text of at most 65,536 characters")
        given = variables if isinstance(variables, dict) else {}
        if re.match(r"\s*(?:mutation|subscription)\b", text):
            raise InvalidValueError("there are no mutations and no subscriptions here")
        begin = text.find("{")
        match = _FIELD.match(text, begin + 1) if begin >= 0 else None
        if match is None:
            raise InvalidValueError("query has no field")
        self.name = match["name"]
        self.words = frozenset(_WORD.findall(text, match.end()))
        self.arguments: dict[str, Any] = dict(given)
        for name, value in _ARGUMENT.findall(match["arguments"] or ""):
            self.arguments[name] = _literal(value, given)
        if (other := _second_field(text, match.end())) is not None:
            raise InvalidValueError(
                f"a query has one field here, and this one has {self.name!r} and {other!r}"
            )

    def asks(self, word: str) -> bool:
        """Whether a field is in the text."""
        return word in self.words

    def text(self, *names: str) -> str | None:
        """The first of these arguments that is given.

        Raises:
            InvalidValueError: it is no text.
        """
        value = next((self.arguments[name] for name in names if self.arguments.get(name) is not None), None)
        if value is not None and not isinstance(value, str):
            raise InvalidValueError(f"{names[0]} is not a text")
        return value

    def required(self, *names: str) -> str:
        """The first of these arguments.

        Raises:
            InvalidValueError: none is given, or it is no text.
        """
        value = self.text(*names)
        if value is None:
            raise InvalidValueError(f"{names[0]} is missing")
        return value

    def page(self, items: list[Any], key: str) -> dict[str, Any]:
        """The part of a list that is asked for."""
        limit, offset = self.arguments.get("limit"), self.arguments.get("offset")
        count = limit if type(limit) is int and 0 <= limit <= MOST else MOST
        begin = offset if type(offset) is int and offset >= 0 else 0
        part = items[begin : begin + count]
        return {key: part, "totalCount": len(items), "hasMore": begin + len(part) < len(items)}


def _literal(value: str, variables: Mapping[str, Any]) -> Any:
    if value.startswith("$"):
        return variables.get(value[1:])
    if value.startswith('"'):
        return re.sub(r"\\(.)", r"\1", value[1:-1])
    known = {"true": True, "false": False, "null": None}
    if value in known:
        return known[value]
    return int(value) if len(value) <= MAX_DIGITS and value.lstrip("-").isdigit() else value


def _second_field(text: str, position: int) -> str | None:
    """The field behind the first one at the root, if there is another."""
    depth = 1
    for index in range(position, len(text)):
        character = text[index]
        depth += {"{": 1, "}": -1}.get(character, 0)
        if depth == 0:
            return None
        if depth == 1 and (match := _WORD.match(text, index)):
            return match[0]
    return None


def respond(adapter: Adapter, request: Request, body: object) -> dict[str, Any]:
    """The answer to a query; a problem with it is in `errors`, as in every answer of GraphQL."""
    try:
        fields = body if isinstance(body, dict) else {}
        query = GraphQuery(fields.get("query"), fields.get("variables"))
        function = ROOTS.get(query.name)
        if function is None:
            known = ", ".join(sorted(ROOTS))
            raise InvalidValueError(f"there is no field {query.name!r:.80} (there are: {known})")
        return {"data": {query.name: function(adapter, request, query)}}
    except ExpError as error:
        return {"errors": [{"message": error.message}], "data": None}


def _me(adapter: Adapter, request: Request, query: GraphQuery) -> dict[str, Any]:
    del adapter, query
    user = request.state.caller.user
    return {
        "id": user,
        "username": user,
        "name": user,
        "email": None,
        "given_name": None,
        "family_name": None,
        "picture": None,
        "namespace": {"id": user, "slug": user},
    }


def _namespace(adapter: Adapter, request: Request, query: GraphQuery) -> dict[str, Any]:
    slug = query.required("slug", "namespace")
    return {"id": slug, "slug": slug, "projects": _projects(adapter, request, slug)}


def _projects(
    adapter: Adapter, request: Request, namespace: str, *, counts: bool = False
) -> list[dict[str, Any]]:
    node_ids.checked_prefix(namespace, least=1)
    found = []
    for name in folders(f"{adapter.root}/{namespace}"):
        prefix = f"{namespace}/{name}"
        if not adapter.may_read(request, prefix):
            continue
        project = project_json(prefix)
        if counts:
            project["experimentCount"] = sum(1 for _ in records_below(str(adapter.root), prefix))
        found.append(project)
    return found


def project_json(prefix: str) -> dict[str, Any]:
    """What ML-Dash reports about a project, which here is the second part of prefixes."""
    namespace, _, name = prefix.partition("/")
    return {
        "id": str(NodeId(NodeKind.PROJECT, prefix)),
        "slug": name,
        "name": name,
        "description": None,
        "tags": [],
        "namespace": {"id": namespace, "slug": namespace},
    }


def folders(path: str) -> list[str]:
    """The names of the folders in a folder that can be parts of a prefix, sorted; links are not followed."""
    try:
        with os.scandir(path) as entries:
            names = [entry.name for entry in entries if entry.is_dir(follow_symlinks=False)]
    except (FileNotFoundError, NotADirectoryError):
        return []
    return sorted(name for name in names if name != RECORD and name not in RESERVED)


def records_below(root: str, prefix: str) -> Iterator[str]:
    """The prefixes of the records at and below a prefix."""
    waiting = [prefix]
    while waiting:
        current = waiting.pop()
        if is_record(f"{root}/{current}"):
            yield current
        if len(current.encode()) < MAX_PREFIX:
            waiting += (f"{current}/{name}" for name in reversed(folders(f"{root}/{current}")))


def _experiment_node(adapter: Adapter, request: Request, query: GraphQuery) -> dict[str, Any] | None:
    prefix = node_ids.parsed(query.required("experimentId"), NodeKind.EXPERIMENT).prefix
    _require(adapter, request, prefix)
    return {"id": str(NodeId(NodeKind.NODE, prefix)), "name": prefix.rpartition("/")[2], "type": "EXPERIMENT"}


def _require(adapter: Adapter, request: Request, prefix: str) -> None:
    if not adapter.may_read(request, prefix):
        raise UsageError(f"this token may not read {prefix!r}")


def _experiment_by_id(adapter: Adapter, request: Request, query: GraphQuery) -> dict[str, Any]:
    prefix = node_ids.parsed(query.required("experimentId", "id"), NodeKind.EXPERIMENT).prefix
    _require(adapter, request, prefix)
    return experiment_json(adapter, prefix, query)


def _experiment(adapter: Adapter, request: Request, query: GraphQuery) -> dict[str, Any] | None:
    namespace = query.text("namespaceSlug") or request.state.caller.user
    project = node_ids.checked_prefix(f"{namespace}/{query.required('projectSlug')}")
    wanted = query.required("experimentName").strip("/")
    last = None
    for prefix in records_below(str(adapter.root), project):
        if not adapter.may_read(request, prefix):
            continue
        path = prefix.removeprefix(f"{project}/")
        if path == wanted:
            return experiment_json(adapter, prefix, query)
        if last is None and prefix.rpartition("/")[2] == wanted:
            last = prefix
    return None if last is None else experiment_json(adapter, last, query)


def experiment_json(adapter: Adapter, prefix: str, query: GraphQuery) -> dict[str, Any]:
    """What ML-Dash reports about an experiment, which here is a record.

    Raises:
        NotFoundError: it does not exist.
    """
    place = adapter.records.place(prefix)
    project = project_json("/".join(prefix.split("/")[:2]))
    shown: dict[str, Any] = {
        "id": str(NodeId(NodeKind.EXPERIMENT, prefix)),
        "name": prefix.rpartition("/")[2],
        "projectId": project["id"],
        "project": project,
        "displayPath": prefix,
        "prefix": prefix,
    }
    if not is_record(f"{place.root}/{prefix}"):
        raise NotFoundError(f"there is no experiment {prefix!r}")
    if query.asks("status") or query.asks("tags") or query.asks("description"):
        shown |= _about(reader.record(place.root, prefix))
    experiment = Experiment.at(place)
    if query.asks("logMetadata"):
        shown["logMetadata"] = {"totalLogs": metric_pages.extent(place.logs).rows}
    if query.asks("metrics"):
        counts = query.asks("metricMetadata")
        shown["metrics"] = [
            _metric(place.metrics, name, counts=counts) for name in row_files.names(place.metrics)
        ]
    if query.asks("filesPaginated") or query.asks("files"):
        files = [file_nodes.node_json(prefix, file) for file in file_nodes.files_of(place)]
        shown["files"] = files
        shown["filesPaginated"] = query.page(files, "files")
    if query.asks("trackCount"):
        shown["trackCount"] = len(row_files.names(place.tracks))
    if query.asks("parameters"):
        shown["parameters"] = {"id": shown["id"], "data": experiment.params.get()}
    return shown


def _metric(folder: str, encoded: str, *, counts: bool) -> dict[str, Any]:
    shown: dict[str, Any] = {"name": decode_name(encoded) or UNNAMED}
    if counts:
        shown["metricMetadata"] = {"totalDataPoints": metric_pages.extent(f"{folder}/{encoded}").rows}
    return shown


def _about(record: Record | None) -> dict[str, Any]:
    if record is None:
        return {"status": None, "description": None, "tags": [], "metadata": None}
    return {
        "status": str(record.status),
        "description": record.description,
        "tags": record.tags,
        "bindrs": record.bindrs,
        "metadata": record.metadata,
        "startedAt": record.opened,
        "endedAt": record.ended,
    }


def _project(adapter: Adapter, request: Request, query: GraphQuery) -> dict[str, Any]:
    identity = query.text("id", "projectId")
    if identity is not None and query.text("projectSlug") is None:
        prefix = node_ids.parsed(identity, NodeKind.PROJECT).prefix
    else:
        namespace = query.text("namespaceSlug") or request.state.caller.user
        prefix = node_ids.checked_prefix(f"{namespace}/{query.required('projectSlug')}")
    _require(adapter, request, prefix)
    return {**project_json(prefix), "nodes": _nodes(adapter, request, prefix, DEEPEST)}


def _nodes(adapter: Adapter, request: Request, above: str, depth: int) -> list[dict[str, Any]]:
    """The nodes below a prefix. An experiment has one for each client that began an opening of it.

    A client looks for the node that it got when it opened the experiment, to know in which folder that is.
    """
    found = []
    for name in folders(f"{adapter.root}/{above}"):
        prefix = f"{above}/{name}"
        if not adapter.may_read(request, prefix):
            continue
        node: dict[str, Any] = {"name": name, "pPath": f"/{prefix}", "parentId": None, "experimentId": None}
        node["children"] = _nodes(adapter, request, prefix, depth - 1) if depth > 1 else []
        if is_record(f"{adapter.root}/{prefix}"):
            node |= {"type": "EXPERIMENT", "experimentId": str(NodeId(NodeKind.EXPERIMENT, prefix))}
            openings = ["", *adapter.records.openings(prefix)]
            found += [{**node, "id": str(NodeId(NodeKind.NODE, prefix, opening))} for opening in openings]
        else:
            found.append({**node, "type": "FOLDER", "id": str(NodeId(NodeKind.FOLDER, prefix))})
    return found


def _projects_paginated(adapter: Adapter, request: Request, query: GraphQuery) -> dict[str, Any]:
    namespace = query.text("namespaceSlug") or request.state.caller.user
    return query.page(_projects(adapter, request, namespace, counts=True), "projects")


def _experiments_paginated(adapter: Adapter, request: Request, query: GraphQuery) -> dict[str, Any]:
    namespace = query.text("namespaceSlug") or request.state.caller.user
    project = node_ids.checked_prefix(f"{namespace}/{query.required('projectSlug')}")
    prefixes = [each for each in records_below(str(adapter.root), project) if adapter.may_read(request, each)]
    status = query.text("status")
    if status is not None:
        root = str(adapter.root)
        prefixes = [
            each
            for each in prefixes
            if (record := reader.record(root, each)) and str(record.status) == status
        ]
    return _page_of(adapter, query, prefixes)


def _search(adapter: Adapter, request: Request, query: GraphQuery) -> dict[str, Any]:
    """Experiments by a glob over `namespace/project/experiment`, whose last part matches a path or a name."""
    parts = query.required("pattern").strip("/").split("/", 2)
    root = str(adapter.root)
    prefixes = []
    for namespace in _matching(root, parts[0]):
        for project in _matching(f"{root}/{namespace}", parts[1] if len(parts) > 1 else "*"):
            base = f"{namespace}/{project}"
            for prefix in records_below(root, base):
                path, last = prefix.removeprefix(f"{base}/"), prefix.rpartition("/")[2]
                wanted = parts[2] if len(parts) > 2 else "*"  # noqa: PLR2004 - namespace, project, experiment
                is_match = fnmatch.fnmatchcase(path, wanted) or fnmatch.fnmatchcase(last, wanted)
                if is_match and adapter.may_read(request, prefix):
                    prefixes.append(prefix)
    return _page_of(adapter, query, prefixes)


def _matching(folder: str, glob: str) -> Iterable[str]:
    return (name for name in folders(folder) if fnmatch.fnmatchcase(name, glob))


def _page_of(adapter: Adapter, query: GraphQuery, prefixes: list[str]) -> dict[str, Any]:
    page = query.page(prefixes, "experiments")
    shown = []
    for prefix in page["experiments"]:
        try:
            shown.append(experiment_json(adapter, prefix, query))
        except LedgerError as error:  # one damaged record hides no other
            shown.append(
                {"id": str(NodeId(NodeKind.EXPERIMENT, prefix)), "name": prefix, "error": error.message}
            )
    return {**page, "experiments": shown}


ROOTS: Final[Mapping[str, Callable[[Adapter, Request, GraphQuery], Any]]] = {
    "me": _me,
    "namespace": _namespace,
    "experimentNode": _experiment_node,
    "experimentById": _experiment_by_id,
    "experiment": _experiment,
    "project": _project,
    "projectsPaginated": _projects_paginated,
    "experimentsPaginated": _experiments_paginated,
    "searchExperimentsPaginated": _search,
}
