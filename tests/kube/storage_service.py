"""An S3 server from PyPI, for clusters that come without a real one: moto, one changing request at a time."""

from __future__ import annotations

import io
import threading
from typing import Any

import pytest

S3_VARIABLES = (
    "AWS_ENDPOINT_URL",
    "AWS_ENDPOINT_URL_S3",
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AWS_PROFILE",
    "AWS_REGION",
    "AWS_DEFAULT_REGION",
)


def moto() -> dict[str, str]:
    """Serve until this process ends; the variables by which it is reached."""
    server = pytest.importorskip(
        "moto.moto_server.werkzeug_app", reason="needs an S3 server: pip install 'moto[server,s3]'"
    )
    from werkzeug.serving import make_server

    app = server.DomainDispatcherApplication(server.create_backend_app)
    turn = threading.Lock()

    def one_at_a_time(environ: dict[str, Any], start: Any) -> Any:
        """Moto looks whether an object is there and stores it in two steps, so that two could create the same."""
        if environ["REQUEST_METHOD"] in ("GET", "HEAD"):
            return app(environ, start)
        if length := environ.get("CONTENT_LENGTH"):
            environ["wsgi.input"] = io.BytesIO(environ["wsgi.input"].read(int(length)))
        with turn:
            return app(environ, start)

    found = make_server("127.0.0.1", 0, one_at_a_time, threaded=True, request_handler=server.MotoRequestHandler)
    threading.Thread(target=found.serve_forever, daemon=True).start()
    return {
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{found.server_port}",
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "us-east-1",
    }
