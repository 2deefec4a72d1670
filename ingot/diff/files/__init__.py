"""Files that differ: contents, attributes, and texts with secrets masked."""
