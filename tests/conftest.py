"""For all tests."""

import signal

import pytest

# Begun last, they would run alone at the end.
LONG = ("/e2e/test_pipeline", "/cloud/test_builder_real")


def pytest_configure(config: pytest.Config) -> None:
    """Let an interrupt be one: a shell lets its background jobs ignore it, and what they start inherits that."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """With several workers the longest stories go first, beside quick tests."""
    if hasattr(config, "workerinput"):
        items.sort(key=lambda item: not any(name in item.nodeid for name in LONG))
