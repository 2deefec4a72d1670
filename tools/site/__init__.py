"""The documentation as a web site: `python -m tools.site DIRECTORY` builds it.

The pages are those of docs/, plus every file that they link to. Pages of the reference are filled from the
code while the site is built, so they cannot be out of date. Zensical renders the tree.
"""
