"""What axe-core finds on a page that a browser shows: the rules of WCAG 2.2, levels A and AA."""

from tests import ROOT

AXE = ROOT / "node_modules" / "axe-core" / "axe.min.js"
TAGS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
RUN = """
const done = arguments[1];
axe.run({runOnly: arguments[0]}).then(
    found => done(found.violations.map(rule =>
        `${rule.id}: ${rule.help}: ${rule.nodes.map(node => node.html.slice(0, 160)).slice(0, 3).join(" | ")}`
    )),
    error => done([String(error)]))
"""


def barriers(browser) -> list[str]:
    """A line for each rule that the page breaks, with the first elements that do."""
    browser.execute_script(AXE.read_text())
    return browser.execute_async_script(RUN, TAGS)
