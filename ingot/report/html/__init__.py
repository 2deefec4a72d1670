"""Plans and image diffs as one HTML page: template, style, and the script in the order of its files' names."""
