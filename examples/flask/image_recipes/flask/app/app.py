"""A small web app: it says which image it runs from."""

import json
from pathlib import Path

from flask import Flask

app = Flask(__name__)
IMAGE = Path("/etc/ingot/image.json")


@app.get("/")
def index() -> str:
    """Say what the app runs on."""
    image = json.loads(IMAGE.read_text()) if IMAGE.exists() else {}
    return f"Flask on Ingot, image {image.get('version', 'unknown')}\n"


@app.get("/healthz")
def health() -> str:
    """Answer the load balancer."""
    return "ok\n"
