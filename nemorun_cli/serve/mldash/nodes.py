"""The nodes of ML-Dash's API: projects, folders and experiments, which here are parts of a prefix."""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING, Any, Final

from nemorun_cli.errors import InvalidValueError, NotFoundError
from nemorun_cli.model.status import ExperimentStatus
from nemorun_cli.replication.ml_dash_rows import plain_about
from nemorun_cli.serve.mldash import file_nodes, graph_queries, node_ids
from nemorun_cli.serve.mldash.answers import answer, refusal
from nemorun_cli.serve.mldash.node_ids import NodeId, NodeKind
from nemorun_cli.serve.store import replica_addresses, replica_folders
from nemorun_cli.system.files import make_folder, sync
from nemorun_cli.tracking.store.file_index import join
from nemorun_cli.tracking.store.sessions import ENDS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from starlette.requests import Request
    from starlette.responses import Response

    from nemorun_cli.serve.mldash.adapter import Adapter

_STATUSES: Final = {str(status): status for status in ENDS}


def create(adapter: Adapter, request: Request, namespace: str, fields: Mapping[str, Any]) -> Response:
    """Create a node, or return the one that exists.

    Raises:
        InvalidValueError: the type is unknown, or the name cannot be a part of a prefix.
    """
    kind = fields.get("type")
    if kind == "PROJECT":
        return _project(adapter, request, namespace, fields)
    if kind == "FOLDER":
        return _folder(adapter, request, namespace, fields)
    if kind == "EXPERIMENT":
        return _experiment(adapter, request, namespace, fields)
    raise InvalidValueError(f"type is PROJECT, FOLDER, EXPERIMENT or FILE, not {kind!r:.40}")


def _name(fields: Mapping[str, Any], *keys: str) -> str:
    value = next((fields[key] for key in keys if fields.get(key)), None)
    if not isinstance(value, str):
        raise InvalidValueError(
            f"the name of a {fields.get('type')} is missing", hint="write the prefix as owner/project/name"
        )
    return value


def _project(adapter: Adapter, request: Request, namespace: str, fields: Mapping[str, Any]) -> Response:
    prefix = node_ids.checked_prefix(f"{namespace}/{_name(fields, 'slug', 'name')}")
    adapter.require_write(request, prefix)
    folder = f"{adapter.root}/{prefix}"
    is_new = not os.path.isdir(folder)
    if not is_new and "description" in fields:  # only the command `create` sends one
        return refusal(409, "exists", f"there is already a project {prefix!r}")
    make_folder(folder)
    sync(os.path.dirname(folder))
    sync(adapter.root)
    return answer({"project": graph_queries.project_json(prefix)}, status=201 if is_new else 200)


def _folder(adapter: Adapter, request: Request, namespace: str, fields: Mapping[str, Any]) -> Response:
    """A folder needs no file: a record, or a saved file, makes it."""
    name = _name(fields, "name")
    if fields.get("experimentId") is not None:
        prefix = node_ids.parsed(fields["experimentId"], NodeKind.EXPERIMENT).prefix
        _require_namespace(prefix, namespace)
        adapter.require_write(request, prefix)
        path = join(file_nodes.inner_folder(fields.get("parentId") or "ROOT", prefix), name)
        node = NodeId(NodeKind.INNER, prefix, path)
    else:
        prefix = node_ids.checked_prefix(f"{_above(namespace, fields)}/{name}")
        adapter.require_write(request, prefix)
        node = NodeId(NodeKind.FOLDER, prefix)
    return answer(
        {
            "node": {
                "id": str(node),
                "type": "FOLDER",
                "name": name,
                "experimentId": fields.get("experimentId"),
            }
        }
    )


def _require_namespace(prefix: str, namespace: str) -> None:
    if prefix.partition("/")[0] != namespace:
        raise InvalidValueError(f"{prefix!r} is not in the namespace {namespace!r:.80}")


def _above(namespace: str, fields: Mapping[str, Any]) -> str:
    """The prefix of what a new folder or experiment is in."""
    parent = fields.get("parentId")
    if parent is not None and parent != "ROOT":
        prefix = node_ids.parsed(parent, NodeKind.FOLDER, NodeKind.PROJECT).prefix
    elif fields.get("projectId") is not None:
        prefix = node_ids.parsed(fields["projectId"], NodeKind.PROJECT).prefix
    else:
        prefix = node_ids.checked_prefix(f"{namespace}/{_name(fields, 'projectSlug')}")
    _require_namespace(prefix, namespace)
    return prefix


def _experiment(adapter: Adapter, request: Request, namespace: str, fields: Mapping[str, Any]) -> Response:
    """Open a record: each request is a new opening, which is RUNNING."""
    prefix = node_ids.checked_prefix(f"{_above(namespace, fields)}/{_name(fields, 'name')}", least=3)
    adapter.require_write(request, prefix)
    about = {"description": None, "tags": None, "bindrs": None, "metadata": None, **plain_about(fields)}
    with adapter.records.locked(prefix) as held:
        opening = held.open(about, adapter.sender(request))
    identity = str(NodeId(NodeKind.EXPERIMENT, prefix))
    name = prefix.rpartition("/")[2]
    project = graph_queries.project_json("/".join(prefix.split("/")[:2]))
    experiment = {"id": identity, "name": name, "projectId": project["id"], "status": "RUNNING", **about}
    node = {
        "id": str(NodeId(NodeKind.NODE, prefix, opening)),
        "type": "EXPERIMENT",
        "name": name,
        "experimentId": identity,
    }
    return answer({"experiment": experiment, "node": node, "project": project}, status=201)


def change(adapter: Adapter, request: Request, identity: NodeId, fields: Mapping[str, Any]) -> Response:
    """Change a file, or end an experiment."""
    adapter.require_write(request, identity.prefix)
    if identity.kind is NodeKind.FILE:
        return file_nodes.update(adapter, identity, fields, adapter.sender(request))
    if identity.kind is not NodeKind.NODE:
        raise NotFoundError("only files and experiments can be changed")
    status = fields.get("status")
    if not isinstance(status, str) or status not in {*_STATUSES, "RUNNING"}:
        raise InvalidValueError(
            f"status is one of {', '.join(sorted(_STATUSES))}, RUNNING, not {status!r:.40}"
        )
    with adapter.records.locked(identity.prefix) as held:
        if status == "RUNNING":
            if not held.running():
                held.open({}, adapter.sender(request))
        else:
            held.end(ExperimentStatus(status), opening=identity.opening)
    return answer({"id": str(identity), "node": {"id": str(identity), "status": status}, "status": status})


def show(adapter: Adapter, request: Request, identity: NodeId) -> Response:
    """What is known about a node."""
    adapter.require_read(request, identity.prefix)
    if identity.kind is NodeKind.FILE:
        place = adapter.records.place(identity.prefix)
        return answer(file_nodes.node_json(identity.prefix, file_nodes.find(place, identity)))
    name = (identity.path if identity.kind is NodeKind.INNER else identity.prefix).rpartition("/")[2]
    kind = "EXPERIMENT" if identity.kind in {NodeKind.NODE, NodeKind.EXPERIMENT} else "FOLDER"
    return answer({"id": str(identity), "name": name, "type": kind})


def remove_project(adapter: Adapter, request: Request, identity: NodeId) -> Response:
    """Move all records of a project to the trash of the server."""
    adapter.require_write(request, identity.prefix)
    prefixes = [*graph_queries.records_below(str(adapter.root), identity.prefix)]
    for prefix in prefixes:  # a glob of the token may have the project, but not all that is below it
        adapter.require_write(request, prefix)
    removed = 0
    for prefix in prefixes:
        replica = replica_addresses.record_at(adapter.root, prefix)
        replica_folders.discard(replica, user=request.state.caller.user)
        adapter.note_change(prefix)
        removed += 1
    _remove_empty(f"{adapter.root}/{identity.prefix}")
    return answer({"projectId": str(identity), "deleted": removed, "experiments": removed})


def _remove_empty(folder: str) -> None:
    """Remove a folder and those in it, unless something else is in one of them."""
    for above, _, _ in os.walk(folder, topdown=False):
        with contextlib.suppress(OSError):
            os.rmdir(above)
