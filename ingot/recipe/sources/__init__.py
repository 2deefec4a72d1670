"""The files beside a recipe, and where they go in the image."""
