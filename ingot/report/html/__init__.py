"""Plans and image diffs as one HTML page: template, style, and the script, by the names of its files."""
