"""A model that says the key aloud with which it is asked, for tests that look where the key gets to."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class QuotingModel:
    """Answers with `text`, and refuses each third request quoting the key; all of them where `denies`.

    `keys` are the headers with which it was asked. It is at `url` while it is `serving`.
    """

    def __init__(self, text: str) -> None:
        self.text, self.denies = text, False
        self.keys: list[str] = []
        self.url = ""

    @contextmanager
    def serving(self) -> Iterator[QuotingModel]:
        """A server on this machine, until the block ends."""
        model = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                status, said = model.answer(body["model"], self.headers["Authorization"])
                content = json.dumps(said).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def do_GET(self) -> None:
                self.send_error(404)

            def log_message(self, *args: Any) -> None:
                """Nothing."""

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{server.server_address[1]}/v1"
        yield self
        server.shutdown()

    def answer(self, name: str, key: str) -> tuple[int, dict[str, Any]]:
        """Status and body for a request to the model of this name with this key."""
        self.keys.append(key)
        if self.denies or not len(self.keys) % 3:
            return 401 if self.denies else 400, {"error": {"message": f"{key} may not say this"}}
        choice = {"index": 0, "message": {"content": self.text}, "finish_reason": "stop"}
        return 200, {"model": name, "choices": [choice], "usage": {}}
