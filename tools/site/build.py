"""Write the tree and Zensical's configuration into a directory of their own, and render them."""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
from pathlib import Path

from ingot.process import run
from tools.site.links import broken_links
from tools.site.pages import INDEX, ROOT, Tree, collect, sections
from tools.site.reference import fill

# Everything a page needs comes from the site itself: no fonts or scripts of other hosts.
CONFIGURATION = """\
[project]
site_name = "Ingot"
site_description = "Golden images as code"
docs_dir = "docs"
site_dir = "site"
extra_css = ["site.css"]
extra_javascript = ["site.js"]
nav = {nav}

[project.theme]
language = "en"
font = false
features = [
    "content.code.copy", "navigation.footer", "navigation.sections", "navigation.top",
    "search.highlight",
]

[[project.theme.palette]]
media = "(prefers-color-scheme: light)"
scheme = "default"
toggle = {{ icon = "lucide/sun", name = "Switch to dark mode" }}

[[project.theme.palette]]
media = "(prefers-color-scheme: dark)"
scheme = "slate"
toggle = {{ icon = "lucide/moon", name = "Switch to light mode" }}

[project.markdown_extensions.admonition]
[project.markdown_extensions.attr_list]
[project.markdown_extensions.tables]
[project.markdown_extensions.toc]
permalink = false
slugify = {{ object = "pymdownx.slugs.slugify", kwds = {{ case = "lower" }} }}
[project.markdown_extensions.pymdownx.superfences]
[project.markdown_extensions.pymdownx.highlight]
"""
CSS = """\
/* Tables of keys are wide: a word breaks before a column does. */
.md-typeset table:not([class]) td { overflow-wrap: anywhere; }
.md-typeset table:not([class]) td code { white-space: normal; }
.md-typeset table:not([class]) td:first-child code { white-space: nowrap; }
"""

# What the theme leaves out, by axe-core's rules scrollable-region-focusable and landmark-unique: the keyboard
# reaches code that scrolls, and the buttons of each block are told apart.
SCRIPT = """\
function reachable() {
  document.querySelectorAll("pre > code:not([tabindex])").forEach((code) => { code.tabIndex = 0; });
  document.querySelectorAll("nav.md-code__nav:not([aria-label])").forEach((nav) => {
    const all = [...document.querySelectorAll("nav.md-code__nav")];
    nav.setAttribute("aria-label", "Code block " + (1 + all.indexOf(nav)));
  });
}
new MutationObserver(reachable).observe(document.documentElement, { childList: true, subtree: true });
reachable();
"""


def build(site: Path) -> None:
    """Build the site into ``site``, which is replaced.

    Exits with what is wrong if Zensical warns of anything, or if a link leads nowhere.
    """
    tree = collect(fill)
    with tempfile.TemporaryDirectory(prefix="ingot-site-") as name:
        stage = Path(name)
        _write(tree, stage)
        done = run([Path(sys.executable).parent / "zensical", "build", "--strict"], cwd=stage, check=False)
        if done.returncode:
            sys.exit(done.stdout + done.stderr.partition("Traceback")[0])
        if problems := broken_links(stage / "site"):
            sys.exit("\n".join(problems))
        shutil.rmtree(site, ignore_errors=True)
        shutil.copytree(stage / "site", site)


def _write(tree: Tree, stage: Path) -> None:
    docs = stage / "docs"
    for place, text in tree.pages.items():
        (docs / place).parent.mkdir(parents=True, exist_ok=True)
        (docs / place).write_text(text)
    for place, file in tree.files.items():
        (docs / place).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file, docs / place)
    (docs / "site.css").write_text(CSS)
    (docs / "site.js").write_text(SCRIPT)
    (stage / "zensical.toml").write_text(CONFIGURATION.format(nav=_navigation()))


def _navigation() -> str:
    """Return the navigation as TOML: home, and the sections of docs/README.md."""
    lines = ['{ "Home" = "index.md" }']
    for heading, pages in sections((ROOT / INDEX).read_text()).items():
        # JSON's strings are TOML's.
        inner = ", ".join(f"{{ {json.dumps(title)} = {json.dumps(str(place))} }}" for title, place in pages)
        lines.append(f"{{ {json.dumps(heading)} = [{inner}] }}")
    return "[" + ",\n  ".join(lines) + "]"
