"""An image diff as text and as Markdown."""
