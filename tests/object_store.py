"""A server that speaks S3's protocol on this machine, counts what it sends and can damage it."""

from __future__ import annotations

import re
import threading
from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any

from moto.server import DomainDispatcherApplication, create_backend_app
from pyarrow import fs
from werkzeug.serving import make_server

BUCKET = "bucket"


class ObjectStore:
    """A running server.

    Attributes:
        sent: path below the bucket -> bytes of files that were sent.
        listed: path -> how often it was named in a listing.
        damaged: path -> how often a file's first part is still to be sent with a wrong byte.
    """

    def __init__(self) -> None:
        self.sent: Counter[str] = Counter()
        self.listed: Counter[str] = Counter()
        self.damaged: Counter[str] = Counter()
        self._app = DomainDispatcherApplication(create_backend_app)
        self._server = make_server("127.0.0.1", 0, self._answer, threaded=True)
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)

    def uri(self, path: str) -> str:
        """The URI of a path below the bucket."""
        where = f"127.0.0.1:{self._server.server_port}"
        return f"s3://{BUCKET}/{path}?endpoint_override={where}&scheme=http&region=us-east-1&allow_bucket_creation=true"

    def __enter__(self) -> ObjectStore:
        self._thread.start()
        filesystem, path = fs.FileSystem.from_uri(self.uri(""))
        filesystem.create_dir(path)
        return self

    def __exit__(self, *error: object) -> None:
        self._server.shutdown()
        self._thread.join(timeout=300)

    def _answer(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        body = b"".join(self._app(environ, start_response))
        path = environ["PATH_INFO"].removeprefix(f"/{BUCKET}/")
        if environ["REQUEST_METHOD"] == "GET" and path and not environ["QUERY_STRING"]:
            self.sent[path] += len(body)
            if self.damaged[path] and body and environ.get("HTTP_RANGE", "bytes=0-").startswith("bytes=0-"):
                self.damaged[path] -= 1
                body = bytes([body[0] ^ 1]) + body[1:]
        if environ["REQUEST_METHOD"] == "GET" and "list-type=2" in environ["QUERY_STRING"]:
            self.listed.update(re.findall(r"<Key>(.*?)</Key>", body.decode()))
        return [body]
