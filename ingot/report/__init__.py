"""Plans and image diffs as text, Markdown and HTML."""
