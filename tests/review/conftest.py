import pytest

from tests.review.project import Project
from tests.served import serving

CREDENTIALS = (
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AWS_PROFILE",
    "AWS_ENDPOINT_URL",
    "AWS_REGION",
    "AWS_DEFAULT_REGION",
)


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A committed project as the working directory, a data directory of its own, and no credentials."""
    for name in CREDENTIALS:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("INGOT_HOME", str(tmp_path / "home"))
    directory = tmp_path / "project"
    directory.mkdir()
    project = Project(directory)
    project.fill()
    monkeypatch.chdir(directory)
    return project


@pytest.fixture
def serve(monkeypatch):
    """Return a function that lets a server of http.server answer until the test ends."""
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with serving() as start:

        def served(server):
            start(server)
            return server

        yield served
