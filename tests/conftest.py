"""For all tests."""

import pytest


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """With several workers the longest story goes first: begun last, it would run alone at the end."""
    if hasattr(config, "workerinput"):
        items.sort(key=lambda item: "/e2e/" not in item.nodeid)
