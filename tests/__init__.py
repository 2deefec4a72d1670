"""The tests. They find the repository by ``ROOT``."""

from pathlib import Path

ROOT = Path(__file__).parent.parent
