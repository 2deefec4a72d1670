"""Looking inside a machine that boots a copy of an image: nothing of it is in the image."""
