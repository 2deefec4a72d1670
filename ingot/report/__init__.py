"""Images, image diffs and plans as text, Markdown and HTML."""
