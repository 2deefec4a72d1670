"""The ways to show an image diff."""

from ingot.review.render_markdown import render_markdown
from ingot.review.render_text import render_text

__all__ = ["render_markdown", "render_text"]
