"""The keys of a recipe: models, value types, rules across keys, and the JSON Schema."""
