"""The API: what time it is."""

import json
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Handler(BaseHTTPRequestHandler):
    """Answers /time and /healthz."""

    def do_GET(self):
        """Answer one request."""
        answers = {"/time": {"seconds": int(time.time())}, "/healthz": {"status": "ok"}}
        found = answers.get(self.path)
        body = json.dumps(found or {"error": "no such path"}).encode()
        self.send_response(200 if found else 404)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format, *args):  # noqa: A002 - http.server's own name
        """Write nothing for each request: the load balancer asks every few seconds."""


if __name__ == "__main__":
    ThreadingHTTPServer(("", 80), Handler).serve_forever()
