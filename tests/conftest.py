"""For all tests."""

import gc
import os
import signal
import tempfile
from collections.abc import Generator
from contextlib import suppress
from pathlib import Path

import pytest

from ingot.errors import MissingToolError
from ingot.machines.accelerator import VARIABLE, choose_accelerator
from tests.project import Project
from tests.served import serving

# What tells programs how a terminal looks: typer colours its help in GitHub's runners, and reads this when it
# is imported.
for name in ("COLUMNS", "FORCE_COLOR", "GITHUB_ACTIONS", "PY_COLORS", "TERMINAL_WIDTH"):
    os.environ.pop(name, None)

# A cloud that a test starts ends with the tests, however these end: interrupted, or killed.
os.environ["INGOT_CLOUD_PARENT"] = str(os.getpid())

# No test asks a public archive for a package that its own mirror lacks.
os.environ["INGOT_SNAPSHOT"] = "off"

# Begun last, they would run alone at the end. The longest is the first.
LONG = (
    "/e2e/test_pipeline",
    "/builder_real/test_from_scratch",
    "/builder_real/test_on_base_ami",
    "/image/test_identity_real",
    "/e2e/test_workflows",
    "/examples/test_new_project",
    "/e2e/test_lesson",
    "/bake/test_distributions_real",
    "/fleet/test_ordinary_services",
    "/bake/test_arm64_real",
    "/store/test_killed",
    "/fidelity/test_fidelity",
    "/e2e/test_configuration",
)


def pytest_configure(config: pytest.Config) -> None:
    """Let an interrupt be one: a shell lets its background jobs ignore it, and what they
    start inherits that.

    Where KVM hangs, each of the suite's local clouds would find that out anew, in ten seconds: with several
    workers it is tried once, before them.
    """
    signal.signal(signal.SIGINT, signal.default_int_handler)
    if config.getoption("numprocesses", None) and VARIABLE not in os.environ:
        cache = getattr(config, "cache", None)  # None with `-p no:cacheprovider`: nothing is kept then
        with tempfile.TemporaryDirectory() as nowhere, suppress(MissingToolError):  # the tests say so
            directory = Path(nowhere if cache is None else cache.mkdir("ingot"))
            os.environ[VARIABLE] = choose_accelerator(directory / "accelerator.json")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """With several workers the longest stories go first."""
    if hasattr(config, "workerinput"):
        places = {name: place for place, name in enumerate(LONG)}
        items.sort(
            key=lambda item: min((p for name, p in places.items() if name in item.nodeid), default=len(LONG))
        )


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> object | None:
    """Let slow and quick tests run beside each other where files are spread over workers."""
    if config.getvalue("dist") != "loadfile":
        return None
    from tests.running.scheduling import SlowBesideQuick

    return SlowBesideQuick(config, log)


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Spare the garbage collector what the tests' modules bring: a million objects, each look at which takes
    half a second.
    """
    gc.disable()
    try:
        return (yield)
    finally:
        gc.collect()
        gc.freeze()
        gc.enable()


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
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", os.devnull)
    monkeypatch.setenv("AWS_CONFIG_FILE", os.devnull)
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
