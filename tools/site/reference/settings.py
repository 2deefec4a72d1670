"""The settings of environments, from their model."""

from __future__ import annotations

from stacks.settings.keys import Settings
from tools.site.reference.markdown import code, prose, table


def settings() -> str:
    """Return a table of every key of environments.yaml, in the order of the model."""
    rows = []
    for name, field in Settings.model_fields.items():
        default = "" if field.default in (None, ()) else code(field.default)
        rows.append([code(name), default, prose(field.description or "")])
    return table(["key", "default", "meaning"], rows)
