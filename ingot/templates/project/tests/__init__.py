"""Tests of this app: python -m pytest."""
