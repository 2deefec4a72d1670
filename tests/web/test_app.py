"""The example app answers as the recipe's tests expect, and writes nothing that an image could smuggle in."""

import importlib.util
import json
from pathlib import Path

import pytest

WSGI = Path(__file__).parent.parent.parent / "image_recipes" / "web" / "app" / "wsgi.py"


@pytest.fixture
def app(tmp_path, monkeypatch):
    identity = tmp_path / "image.json"
    identity.write_text(json.dumps({"recipe": "web<b>", "digest": "d" * 64, "version": "d" * 12}))
    monkeypatch.setenv("INGOT_IMAGE_FILE", str(identity))
    spec = importlib.util.spec_from_file_location("wsgi_of_web", WSGI)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.application


def get(app, path, method="GET"):
    seen = {}

    def start_response(status, headers):
        seen.update(status=status, headers=dict(headers))

    body = b"".join(app({"REQUEST_METHOD": method, "PATH_INFO": path}, start_response))
    return seen["status"], seen["headers"], body.decode()


def test_the_page_names_the_clone_and_the_image(app):
    status, _, body = get(app, "/")
    assert status == "200 OK"
    assert "d" * 64 in body
    assert "Ingot" in body


def test_what_the_image_says_is_escaped(app):
    assert "web<b>" not in get(app, "/")[2]
    assert "web&lt;b&gt;" in get(app, "/")[2]


def test_healthz_says_ok(app):
    assert get(app, "/healthz") == ("200 OK", get(app, "/healthz")[1], "ok\n")


def test_facts_for_programs(app):
    assert json.loads(get(app, "/image.json")[2])["recipe"] == "web<b>"


def test_an_unknown_path_is_not_found(app):
    assert get(app, "/nothing")[0] == "404 Not Found"


def test_writing_is_refused(app):
    status, headers, body = get(app, "/", "POST")
    assert (status, headers["Allow"], body) == ("405 Method Not Allowed", "GET, HEAD", "")


def test_head_has_no_body_but_its_length(app):
    _, headers, body = get(app, "/", "HEAD")
    assert body == ""
    assert int(headers["Content-Length"]) > 500
