"""The two images of a diff: found, fetched, or rebuilt from a disk."""
