"""An S3 server for tests, in this process: moto with one writer at a time, and faults on demand."""

from __future__ import annotations

import contextlib
import io
import logging
import random
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import pytest

CUT, DROPPED, SILENT = "cut", "dropped", "silent"  # half of the answer; none; none for long

Fault = Callable[[dict[str, Any]], tuple[str, bytes] | str | None]  # of a request: status and body, or how it ends

SILENCE = 35.0  # seconds: longer than anybody waits

SLOW_DOWN = b"<Error><Code>SlowDown</Code><Message>Please reduce your request rate.</Message></Error>"
ERROR = b"<Error><Code>InternalError</Code><Message>We encountered an internal error.</Message></Error>"


class S3:
    """A bucket named `bucket` at `url`. `fault` looks at each request first; `asked` counts them by method."""

    def __init__(self) -> None:
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

    def client(self) -> Any:
        """boto3's client of this server."""
        import boto3

        return boto3.client("s3", endpoint_url=self.url, region_name="us-east-1")

    def empty(self) -> None:
        """A bucket with nothing in it, and no faults."""
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


def now_and_then(share: float, seed: int) -> Fault:
    """Of this share of requests, a server that is down, slow or hangs up; always the same ones."""
    dice = random.Random(seed)
    lock = threading.Lock()

    def fault(environ: dict[str, Any]) -> tuple[str, bytes] | None:
        with lock:
            if dice.random() >= share:
                return None
            return dice.choice([("500 Internal Server Error", ERROR), ("503 Slow Down", SLOW_DOWN), DROPPED])

    return fault


@pytest.fixture(scope="session")
def _s3_server() -> Iterator[S3]:
    pytest.importorskip("moto", reason="moto is not installed: pip install 'megascience-ops[test]'")
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = S3()
    yield server
    server.close()


@pytest.fixture
def s3(_s3_server: S3, monkeypatch: pytest.MonkeyPatch) -> S3:
    """An empty bucket, with the environment that leads to it."""
    said = {"ENDPOINT_URL": _s3_server.url, "ACCESS_KEY_ID": "test", "SECRET_ACCESS_KEY": "test12345"}
    for name, value in {**said, "REGION": "us-east-1", "DEFAULT_REGION": "us-east-1"}.items():
        monkeypatch.setenv(f"AWS_{name}", value)
    _s3_server.empty()
    return _s3_server


@pytest.fixture
def faults() -> Callable[[float, int], Fault]:
    """Makes a server that is not well: see `now_and_then`."""
    return now_and_then
