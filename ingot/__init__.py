"""Ingot: golden images as code."""

__version__ = "0.1.0"
