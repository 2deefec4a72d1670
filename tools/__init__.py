"""What builds and sets up: programs for those who work on Ingot itself."""
