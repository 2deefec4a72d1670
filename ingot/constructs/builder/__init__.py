"""The stack in which images are baked and tested."""
