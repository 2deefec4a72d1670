"""The names of stacks in the app that ships; the defaults of whoever names no other. Nothing else in Ingot
knows them.
"""

from __future__ import annotations

BUILDER_STACK = "IngotBuilder"
FLEET_STACK = "IngotFleet"
