"""For all tests."""

import os
import signal

import pytest

# What tells programs how a terminal looks: typer colours its help in GitHub's runners, and reads this when it is imported.
for name in ("COLUMNS", "FORCE_COLOR", "GITHUB_ACTIONS", "PY_COLORS", "TERMINAL_WIDTH"):
    os.environ.pop(name, None)

# Begun last, they would run alone at the end. The longest is the first.
LONG = (
    "/builder_real/test_on_base_ami",
    "/builder_real/test_from_scratch",
    "/e2e/test_pipeline",
    "/e2e/test_workflows",
)


def pytest_configure(config: pytest.Config) -> None:
    """Let an interrupt be one: a shell lets its background jobs ignore it, and what they start inherits that."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """With several workers the longest stories go first, beside quick tests."""
    if hasattr(config, "workerinput"):
        places = {name: place for place, name in enumerate(LONG)}
        items.sort(
            key=lambda item: min((p for name, p in places.items() if name in item.nodeid), default=len(LONG))
        )
