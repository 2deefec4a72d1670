"""GitHub on loopback: what its API does with comments and pull requests."""

import json
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

BOT = "github-actions[bot]"


class GitHub(ThreadingHTTPServer):
    """Comments of one pull request, and the requests that came."""

    def __init__(self, handler=None):
        super().__init__(("127.0.0.1", 0), handler or Handler)
        self.url = f"http://127.0.0.1:{self.server_port}"
        self.comments, self.requests, self.refuse = [], [], None

    def add(self, body, login=BOT):
        number = len(self.comments) + 1
        self.comments.append(
            {
                "id": number,
                "body": body,
                "user": {"login": login},
                "html_url": f"https://github.example/c/{number}",
            }
        )
        return self.comments[-1]


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        query = parse_qs(urlsplit(self.path).query)
        size, page = int(query["per_page"][0]), int(query["page"][0])
        self.reply(200, self.server.comments[(page - 1) * size : page * size])

    def do_POST(self):
        self.reply(201, self.server.add(self.body()))

    def do_PATCH(self):
        number = int(self.path.rsplit("/", 1)[1])
        self.server.comments[number - 1]["body"] = self.body()
        self.reply(200, self.server.comments[number - 1])

    def content(self):
        return json.loads(self.rfile.read(int(self.headers["Content-Length"])))

    def body(self):
        return self.content()["body"]

    def reply(self, status, content):
        self.server.requests.append((self.command, self.path, dict(self.headers)))
        if self.server.refuse:
            status, content = self.server.refuse
        data = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_):
        pass


class Pulls(Handler):
    """Pull requests, as far as they are asked for; ``comments`` of the server holds them."""

    def do_GET(self):
        self.reply(200, [pull for pull in self.server.comments if f":{pull['head']}&" in self.path])

    def do_POST(self):
        self.server.comments.append(
            self.content() | {"number": len(self.server.comments) + 1, "html_url": "https://g/1"}
        )
        self.reply(201, self.server.comments[-1])

    def do_PATCH(self):
        pull = self.server.comments[int(self.path.rsplit("/", 1)[1]) - 1]
        pull.update(self.content())
        self.reply(200, pull)
