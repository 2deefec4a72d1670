"""Lower and upper layers, and what stands on what."""
