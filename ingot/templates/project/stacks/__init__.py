"""The stacks of this app."""
