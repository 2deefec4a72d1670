"""The parts of the HTML report: one template, one style, and the script in the order of the names of its files."""
