"""A registry that has one image, says that its only layer is small, and sends that layer without an end."""

from __future__ import annotations

import hashlib
import json
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from harness.host.archives import architecture

CONFIG = json.dumps(
    {"architecture": architecture(), "os": "linux", "rootfs": {"type": "layers", "diff_ids": [f"sha256:{'0' * 64}"]}}
).encode()
KIND = "application/vnd.docker.distribution.manifest.v2+json"
MANIFEST = json.dumps(
    {
        "schemaVersion": 2,
        "mediaType": KIND,
        "config": {
            "mediaType": "application/vnd.docker.container.image.v1+json",
            "size": len(CONFIG),
            "digest": f"sha256:{hashlib.sha256(CONFIG).hexdigest()}",
        },
        "layers": [{"mediaType": "application/vnd.docker.image.rootfs.diff.tar", "size": 1000, "digest": f"sha256:{'0' * 64}"}],
    }
).encode()


class Handler(BaseHTTPRequestHandler):
    """Answers as a registry does."""

    def do_GET(self) -> None:
        """Give what is asked for."""
        if "/blobs/" in self.path and "0" * 64 in self.path:
            self._head("application/octet-stream")
            try:
                while True:
                    self.wfile.write(bytes(1 << 16))
            except OSError:
                return
        body = CONFIG if "/blobs/" in self.path else MANIFEST if "/manifests/" in self.path else b"{}"
        self._head(KIND, len(body))
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""

    def _head(self, kind: str, size: int | None = None) -> None:
        self.send_response(200)
        self.send_header("Content-Type", kind)
        if size is not None:
            self.send_header("Content-Length", str(size))
        self.end_headers()


if __name__ == "__main__":
    with ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler) as server:
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        server.serve_forever()
