"""A stand-in for S3 on loopback: moto, which looks at conditions and writes in two steps, one request at a time.

Like an old object store the bucket ``careless`` does not heed conditions.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterable
from typing import Any, Final

from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import WSGIRequestHandler, run_simple

CARELESS: Final = "/careless/"


class _Quiet(WSGIRequestHandler):
    def log(self, *_: object) -> None: ...


class _Atomic:
    def __init__(self) -> None:
        self._app = DomainDispatcherApplication(create_backend_app)
        self._lock = threading.Lock()

    def __call__(self, environ: dict[str, Any], start: Callable[..., object]) -> Iterable[bytes]:
        if environ["PATH_INFO"].startswith(CARELESS):
            environ.pop("HTTP_IF_MATCH", None)
            environ.pop("HTTP_IF_NONE_MATCH", None)
        with self._lock:
            return list(self._app(environ, start))


if __name__ == "__main__":
    run_simple("127.0.0.1", int(sys.argv[1]), _Atomic(), threaded=True, request_handler=_Quiet)
