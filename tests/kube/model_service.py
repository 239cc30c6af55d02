"""A model that always says YES, on an OpenAI-compatible server: slow enough to be interrupted, and it counts."""

from __future__ import annotations

import json
import threading
import time
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

SAYS = "Analysis: One thing follows from the other.\nDecision: YES"
SECONDS = 0.5  # for an answer


class Model:
    """`asked` counts requests by model and message."""

    def __init__(self) -> None:
        self.asked: dict[str, Counter[str]] = {}
        self._lock = threading.Lock()
        model = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                self._reply({"object": "list", "data": [{"id": "any", "object": "model", "max_model_len": 32768}]})

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                name = body["model"]
                with model._lock:
                    asked = model.asked.setdefault(name, Counter())
                    asked[json.dumps(body["messages"])] += 1
                time.sleep(SECONDS)
                choice = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": SAYS}}
                usage = {"prompt_tokens": 500, "completion_tokens": 20}
                self._reply(
                    {"id": "1", "object": "chat.completion", "model": name, "choices": [choice], "usage": usage}
                )

            def _reply(self, said: Any) -> None:
                content = json.dumps(said).encode()
                self.send_response(200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def handle(self) -> None:
                try:
                    super().handle()
                except ConnectionError:
                    return  # a client that was killed

            def log_message(self, *said: Any) -> None:
                return

        class Server(ThreadingHTTPServer):
            daemon_threads = True
            request_queue_size = 128

        server = Server(("127.0.0.1", 0), Handler)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{server.server_port}/v1"

    def count(self, name: str) -> int:
        """How many different messages the model of this name was asked."""
        with self._lock:
            return len(self.asked.get(name, ()))

    def again(self, name: str) -> int:
        """How many requests it was asked more than once."""
        with self._lock:
            return sum(self.asked[name].values()) - len(self.asked[name])
