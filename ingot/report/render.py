"""The ways to show an image diff, and the report of a plan."""

from ingot.report.markdown import render_markdown
from ingot.report.page import render_report
from ingot.report.text import render_text

__all__ = ["render_markdown", "render_report", "render_text"]
