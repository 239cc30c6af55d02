"""An S3 server for tests, in this process: moto with one writer at a time, and faults on demand."""

from __future__ import annotations

import contextlib
import io
import threading
import time
from collections.abc import Callable, Iterable
from typing import Any

import pytest

CUT, DROPPED, SILENT = "cut", "dropped", "silent"  # half of the answer; none; none for long

Fault = Callable[[dict[str, Any]], tuple[str, bytes] | str | None]  # of a request: status and body, or how it ends

SILENCE = 35.0  # seconds: longer than anybody waits


class S3:
    """Serves until `close`, or as long as this process. `fault` looks at each request first; `asked` counts them."""

    def __init__(self) -> None:
        pytest.importorskip("moto", reason="moto is not installed: pip install 'megascience-ops[test]'")
        from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
        from werkzeug.serving import WSGIRequestHandler, make_server

        class Handler(WSGIRequestHandler):
            protocol_version = "HTTP/1.1"

            def connection_dropped(self, *args: Any, **kwargs: Any) -> None:
                self.close_connection = True

            def log(self, *args: Any, **kwargs: Any) -> None:
                """Nothing: a test says what it wants to say."""

        self._app = DomainDispatcherApplication(create_backend_app)
        self._writing = threading.Lock()
        self.fault: Fault | None = None
        self.asked = 0
        self._server = make_server("127.0.0.1", 0, self._answer, threaded=True, request_handler=Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def _answer(self, environ: dict[str, Any], start: Any) -> Iterable[bytes]:
        self.asked += 1
        body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        environ["wsgi.input"] = io.BytesIO(body)
        fault = self.fault(environ) if self.fault else None
        if isinstance(fault, tuple):
            status, said = fault
            start(status, [("Content-Type", "application/xml"), ("Content-Length", str(len(said)))])
            return [said]
        if fault in (DROPPED, SILENT):
            time.sleep(SILENCE if fault == SILENT else 0)
            raise ConnectionAbortedError  # which closes it
        if fault == CUT:
            return self._half(environ, start)
        if environ["REQUEST_METHOD"] in ("GET", "HEAD"):
            return self._app(environ, start)  # type: ignore[no-any-return]
        with self._writing:  # moto looks at If-None-Match and stores in two steps, so that two writers can both win
            return self._app(environ, start)  # type: ignore[no-any-return]

    def _half(self, environ: dict[str, Any], start: Any) -> Iterable[bytes]:
        """What the answer would be, but the connection closes in the middle of it."""

        def begin(status: str, headers: list[tuple[str, str]], *more: Any) -> Any:
            return start(status, [*headers, ("Connection", "close")], *more)

        with self._writing:
            whole = b"".join(self._app(environ, begin))
        return [whole[: len(whole) // 2]]

    @property
    def variables(self) -> dict[str, str]:
        """The environment by which it is reached."""
        keys = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test12345"}
        return {"AWS_ENDPOINT_URL": self.url, **keys, "AWS_REGION": "us-east-1", "AWS_DEFAULT_REGION": "us-east-1"}

    def client(self) -> Any:
        """boto3's client of this server."""
        import boto3

        return boto3.client("s3", endpoint_url=self.url, region_name="us-east-1")

    def empty(self) -> None:
        """A bucket named `bucket` with nothing in it, and no faults."""
        self.fault = None
        client = self.client()
        with contextlib.suppress(client.exceptions.BucketAlreadyOwnedByYou):
            client.create_bucket(Bucket="bucket")
        while found := client.list_objects_v2(Bucket="bucket").get("Contents"):
            for one in found:
                client.delete_object(Bucket="bucket", Key=one["Key"])

    def close(self) -> None:
        """End the server."""
        self._server.shutdown()
