"""A file tree as data: entries, index, manifest, inventory."""
