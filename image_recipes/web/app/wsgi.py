"""The example app: says which clone answered and which image it runs."""

import html
import json
import os
import platform
import socket

IMAGE_FILE = os.environ.get("INGOT_IMAGE_FILE", "/etc/ingot/image.json")

PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Ingot: {recipe} on {clone}</title>
<link rel="stylesheet" href="/static/style.css">
</head>
<body>
<main>
<h1>Ingot</h1>
<p>This page comes from a clone, one of many, all exactly the same.</p>
<dl>
<dt>Clone</dt><dd>{clone}</dd>
<dt>Recipe</dt><dd>{recipe}</dd>
<dt>Version</dt><dd>{version}</dd>
<dt>Recipe digest</dt><dd><code>{digest}</code></dd>
<dt>Kernel</dt><dd>{kernel}</dd>
</dl>
</main>
</body>
</html>
"""


def read_image(path=IMAGE_FILE):
    """Return the identity that the bake wrote into the image: recipe, digest, version."""
    with open(path, encoding="utf-8") as file:
        return json.load(file)


def page(image):
    """Return the start page as HTML."""
    facts = {**image, "clone": socket.gethostname(), "kernel": platform.release()}
    return PAGE.format(**{name: html.escape(str(value)) for name, value in facts.items()})


def facts(image):
    """Return the same facts for programs."""
    return json.dumps({**image, "clone": socket.gethostname()}, sort_keys=True) + "\n"


def answer(path):
    """Return (status, content type, body) for a path."""
    if path == "/healthz":
        return "200 OK", "text/plain; charset=utf-8", "ok\n"
    if path == "/":
        return "200 OK", "text/html; charset=utf-8", page(read_image())
    if path == "/image.json":
        return "200 OK", "application/json", facts(read_image())
    return "404 Not Found", "text/plain; charset=utf-8", "not found\n"


def application(environ, start_response):
    """Answer one request, as PEP 3333 has it."""
    if environ["REQUEST_METHOD"] not in ("GET", "HEAD"):
        start_response("405 Method Not Allowed", [("Allow", "GET, HEAD"), ("Content-Length", "0")])
        return [b""]
    status, content_type, text = answer(environ.get("PATH_INFO") or "/")
    body = text.encode()
    headers = [
        ("Content-Type", content_type),
        ("Content-Length", str(len(body))),
        ("Cache-Control", "no-store"),
    ]
    start_response(status, headers)
    return [b"" if environ["REQUEST_METHOD"] == "HEAD" else body]
