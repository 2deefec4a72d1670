"""The ways to show an image diff, and the report of a plan."""

from ingot.review.render_markdown import render_markdown
from ingot.review.render_report import render_report
from ingot.review.render_text import render_text

__all__ = ["render_markdown", "render_report", "render_text"]
