"""YAML with positions: documents, includes, variables, and validation errors with their place."""
