"""A registry with one image, from which a Docker engine pulls as from any other."""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import io
import json
import tarfile
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

    from engines.dockerd import Dockerd

_MANIFEST: Final = "application/vnd.docker.distribution.manifest.v2+json"
_CONFIG: Final = "application/vnd.docker.container.image.v1+json"
_LAYER: Final = "application/vnd.docker.image.rootfs.diff.tar.gzip"


@contextlib.contextmanager
def registry(engine: Dockerd, image: Any) -> Iterator[tuple[str, str]]:
    """Serve an image of the engine at its loopback address: its name there, and its digest."""
    blobs: dict[str, tuple[str, bytes]] = {}

    def add(media_type: str, data: bytes) -> dict[str, Any]:
        digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
        blobs[digest] = (media_type, data)
        return {"mediaType": media_type, "digest": digest, "size": len(data)}

    with tarfile.open(fileobj=io.BytesIO(b"".join(image.save()))) as saved:

        def read(name: str) -> bytes:
            file = saved.extractfile(name)
            assert file is not None
            return file.read()

        (entry,) = json.loads(read("manifest.json"))
        manifest = {
            "schemaVersion": 2,
            "mediaType": _MANIFEST,
            "config": add(_CONFIG, read(entry["Config"])),
            "layers": [add(_LAYER, gzip.compress(read(name), mtime=0)) for name in entry["Layers"]],
        }
    top = add(_MANIFEST, json.dumps(manifest).encode())["digest"]
    blobs["latest"] = blobs[top]

    class Handler(BaseHTTPRequestHandler):
        """Answers with what a path names in its last part."""

        def do_GET(self) -> None:
            """Send a manifest or a blob."""
            media_type, data = blobs.get(self.path.rpartition("/")[2], ("application/json", b"{}"))
            self.send_response(200)
            self.send_header("Content-Type", media_type)
            self.send_header("Content-Length", str(len(data)))
            self.send_header("Docker-Content-Digest", f"sha256:{hashlib.sha256(data).hexdigest()}")
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(data)

        do_HEAD = do_GET  # noqa: N815 - the name that the base class calls

        def log_message(self, *_: object) -> None:
            """Keep the output of the tests clean."""

    with engine.listen() as listening:
        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler, bind_and_activate=False)
        server.socket.close()
        server.socket = listening
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield f"127.0.0.1:{listening.getsockname()[1]}/exp-test/served", top
        finally:
            server.shutdown()
            thread.join()
