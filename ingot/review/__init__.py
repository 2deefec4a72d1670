"""Diffs of images and infrastructure."""
