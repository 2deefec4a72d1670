"""Retiring images that nothing uses."""
