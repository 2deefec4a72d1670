"""For all tests."""

import pytest


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """With several workers the longest story goes first: begun last, it would run alone at the end.

    Only that one: beside it run quick tests, not a second story with machines of its own.
    """
    if hasattr(config, "workerinput"):
        items.sort(key=lambda item: "/e2e/test_pipeline" not in item.nodeid)
