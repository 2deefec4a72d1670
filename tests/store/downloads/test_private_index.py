"""A private Python index with a password: pip takes it from the environment, and nobody tells it."""

import base64
import hashlib
import io
import zipfile
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from ingot.errors import InputError
from ingot.recipe.load import load_recipe
from ingot.store.downloads.python import lock_python

pytestmark = pytest.mark.slow
VERSIONS = {"python3": "3.11.2-1+b1", "libc6": "2.36-9+deb12u14"}
NAME, PASSWORD = "company_secret_sauce-1.0-py3-none-any.whl", "hunter2"


def wheel() -> bytes:
    packed = io.BytesIO()
    info = "company_secret_sauce-1.0.dist-info"
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("company_secret_sauce.py", "SPICE = 1\n")
        metadata = "Metadata-Version: 2.1\nName: company-secret-sauce\nVersion: 1.0\n"
        archive.writestr(f"{info}/METADATA", metadata)
        archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(f"{info}/RECORD", "")
    return packed.getvalue()


@pytest.fixture
def index(serve):
    """An index (PEP 503) that gives its one wheel to a user with the password alone."""
    body = wheel()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            wanted = "Basic " + base64.b64encode(f"ci:{PASSWORD}".encode()).decode()
            if self.headers.get("Authorization") != wanted:
                self.answer(401, b"", {"WWW-Authenticate": 'Basic realm="company"'})
            elif self.path == f"/files/{NAME}":
                self.answer(200, body, {})
            elif self.path.startswith("/simple/company-secret-sauce"):
                page = f'<!DOCTYPE html><a href="/files/{NAME}">{NAME}</a>'
                self.answer(200, page.encode(), {"Content-Type": "text/html"})
            else:
                self.answer(404, b"", {})

        def answer(self, status: int, content: bytes, headers: dict[str, str]) -> None:
            self.send_response(status)
            for name, value in {**headers, "Content-Length": str(len(content))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *arguments: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    serve(server)
    return f"127.0.0.1:{server.server_port}", hashlib.sha256(body).hexdigest()


@pytest.fixture
def lock(tmp_path, index, monkeypatch):
    """Lock a recipe that needs the private wheel, as a user; give the lock and what was said."""
    host, digest = index
    directory = tmp_path / "image_recipes" / "web"
    directory.mkdir(parents=True)
    (directory / "requirements.txt").write_text(f"company-secret-sauce==1.0 --hash=sha256:{digest}\n")
    (directory / "recipe.yaml").write_text(
        "name: web\nbase: {debian: bookworm}\nroot_volume: {size: 2GiB}\n"
        "python: {requirements: requirements.txt, target: /srv/venv}\n"
    )

    def lock_as(user: str):
        url = f"http://{user}@{host}/simple"
        monkeypatch.setenv("PIP_EXTRA_INDEX_URL", url)
        said: list[str] = []
        recipe = load_recipe(directory / "recipe.yaml")
        return lock_python(recipe, VERSIONS, None, tmp_path / "packages", said.append), said

    return lock_as


def test_the_password_is_neither_in_the_lock_nor_in_what_is_said(lock, index, capfd):
    locked, said = lock(f"ci:{PASSWORD}")
    assert [(one.file, one.sha256) for one in locked.wheels] == [(NAME, index[1])]
    printed = "".join(capfd.readouterr())
    for text in (locked.model_dump_json(), "\n".join(said), printed):
        assert PASSWORD not in text
        assert index[0] not in text


def test_a_wrong_password_is_an_error_that_does_not_tell_it(lock, capfd):
    with pytest.raises(InputError) as caught:
        lock("ci:letmein")
    assert "requirements.txt:1:1: company-secret-sauce==1.0 has no wheel" in str(caught.value)
    for text in (str(caught.value), *capfd.readouterr()):
        assert "letmein" not in text
