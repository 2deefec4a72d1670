"""The stacks that deploy."""
