"""The HTML report, in a real browser."""

import json
import re
from dataclasses import replace

import pytest

from ingot.diff.compare import image_diff
from ingot.diff.files.changes import TextDiff
from ingot.plan.boots import BootRecord, Outcome
from ingot.plan.forecast import Course, Times, forecasts
from ingot.plan.images import ImagePlan
from ingot.report.files import plan_from_json
from ingot.report.html.page import render_diff, render_plan
from tests.diff.manifests import file, manifest, package
from tests.report.diff.diffs import kernel
from tests.report.html.accessibility import barriers
from tests.report.html.browser import DESK, PHONE, chromium, opened

__all__ = ["chromium"]

HOSTILE = "</script><script>pwned=1</script><img src=x onerror=pwned=1>\x1b[31m\u202e@script@{{x}}"


def diff():
    before = manifest(
        packages=[
            package("apache2", "2.4.68", 5000),
            package("gone", "1", 300),
            package("perl", "5", 20_000),
        ],
        files=[file("/etc/passwd", "a"), *(file(f"/usr/lib/{number}") for number in range(150))],
        tests=[{"name": "the app answers", "http": {"path": "/", "status": 200}}],
    )
    blocks = ["x", None, "z", None] * 1000
    after = manifest(
        packages=[
            package("apache2", "2.4.71", 5100),
            package("perl", "5", 20_000),
            package("jq", "1.6", 100),
        ],
        files=[
            file("/etc/passwd", "b"),
            file("/usr/bin/x", "b", mode="4755", layer=1),
            *(file(f"/srv/{number}", layer=1) for number in range(260)),
        ],
        disk={"block_size": 524288, "root_digest": "", "blocks": blocks},
        size={"disk": 2000 << 20, "used": 500 << 20},
    )
    return image_diff(before, after, before_disk=None, after_disk=None)


def hostile():
    plain = {
        "files": [file(f"/srv/{HOSTILE}", layer=1)],
        "packages": [package(HOSTILE, HOSTILE)],
        "tests": [{"name": HOSTILE, "command": HOSTILE}],
        "users": [{"name": HOSTILE, "uid": 1, "gid": 1, "home": HOSTILE, "shell": HOSTILE}],
    }
    found = image_diff(manifest(), manifest(name=HOSTILE, **plain), before_disk=None, after_disk=None)
    text = TextDiff((f"+{HOSTILE}",), added=1, note=HOSTILE)
    return replace(found, files=[replace(found.files[0], text=text), *found.files[1:]])


def plan(images=(), **changes):
    resource = {
        "logical_id": "A",
        "path": "Fleet/Group/ASG",
        "type": "AWS::AutoScaling::AutoScalingGroup",
        "impact": "WILL_REPLACE",
        "word": "replaces",
        "properties": [
            {"name": "Size", "before": {"a": [1, 2]}, "after": {"a": [1, 3]}, "impact": "WILL_REPLACE"}
        ],
        "other": [],
    }
    stack = {
        "name": "Fleet",
        "environment": "prod",
        "where": "aws://1/eu-central-1",
        "change": "changed",
        "cdk_diff": "[~] x",
        "dangerous": [],
        "folded": [{"kind": "image", "name": "web", "before": "a" * 64, "after": "b" * 64, "places": []}],
        "resources": [resource],
        "other": [],
        "security": {
            "broadened": True,
            "statements": [["+", "*", "Allow", "s3:*", "role", ""]],
            "policies": [],
            "rules": [],
        },
    }
    plain = {
        "format": 1,
        "verdict": "dangerous",
        "dangerous": ["Fleet: replaces Group/ASG"],
        "against": "base",
        "notes": ["a note"],
        "base": {"commit": "a" * 40, "how": "where HEAD left main"},
        "head": {"commit": "b" * 40, "dirty": ["x.py"]},
        "recipes": [
            {
                "name": "web",
                "environment": "prod",
                "change": "changed",
                "before": "a" * 64,
                "after": "b" * 64,
                "was": None,
                "reasons": [{"place": "recipe.yaml:3", "what": "+ packages: jq"}],
            }
        ],
        "images": [],
        "stacks": [stack],
        "rollouts": [
            {
                "stack": "Fleet",
                "environment": "prod",
                "group": "Group/ASG",
                "why": ["image web"],
                "minimum": 2,
                "maximum": 4,
                "instances": 2,
                "running": 2,
                "steps": ["instance refresh replaces 2 clones"],
                "forecasts": [
                    found.to_json()
                    for found in forecasts(Course("this template", 100, 200), Times(), 2, 0.02)
                ],
            }
        ],
    }
    return replace(plan_from_json(plain), images=tuple(images), **changes)


def image(found):
    return ImagePlan("web", "prod", "a" * 64, "b" * 64, "stored", None, False, found)


def boot():
    lines = (
        (0.5, "BdsDxe: starting"),
        (2.0, "[    0.000000] Linux version 6.1"),
        (9.0, "\x1b[0;32mWelcome to Debian\x1b[0m"),
        (30.0, "Reached target multi-user.target"),
    )
    return BootRecord(
        "web", "b" * 64, None, 33.0, (Outcome("the app answers", None, "outside", 28.0),), lines
    )


def errors(browser):
    return [entry for entry in browser.get_log("browser") if entry["level"] in ("SEVERE", "WARNING")]


def requests(browser):
    """The addresses that the page asked for."""
    messages = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    asked = [m["params"]["request"]["url"] for m in messages if m["method"] == "Network.requestWillBeSent"]
    return [url for url in asked if not url.startswith(("file:", "about:", "data:"))]


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [DESK, PHONE], ids=["desk", "phone"])
def test_the_layout_fits_and_nothing_complains(chromium, tmp_path, size, scheme):
    page = render_plan(plan([image(diff())], boots=(boot(),)))
    with opened(chromium, page, tmp_path, size=size, scheme=scheme) as browser:
        assert browser.execute_script("return document.documentElement.scrollWidth") <= size[0]
        assert browser.execute_script("return document.querySelectorAll('canvas, .treemap div').length") > 3
        background = browser.execute_script("return getComputedStyle(document.body).backgroundColor")
        assert (background == "rgb(20, 18, 15)") is (scheme == "dark")
        assert errors(browser) == []
        assert requests(browser) == []
        assert barriers(browser) == []


@pytest.mark.parametrize("size", [DESK, PHONE], ids=["desk", "phone"])
def test_the_forecasts_of_a_rollout_are_drawn_and_are_a_table_too(chromium, tmp_path, size):
    from selenium.webdriver.support.ui import WebDriverWait

    with opened(chromium, render_plan(plan([])), tmp_path, size=size) as browser:
        [summary] = [
            found
            for found in browser.find_elements("css selector", "summary")
            if found.text.startswith("How long")
        ]
        summary.click()
        [plot] = WebDriverWait(browser, 30).until(lambda b: b.find_elements("css selector", "svg.plot"))
        assert plot.get_attribute("role") == "img"
        assert "of 1,000" in plot.get_attribute("aria-label")
        assert len(plot.find_elements("css selector", "path.course")) == 4
        boxes = browser.execute_script(
            "return [...arguments[0].querySelectorAll('path.course')].map(path => path.getBBox())"
            ".map(box => [box.x, box.y, box.x + box.width, box.y + box.height])",
            plot,
        )
        assert all(x >= 0 and y >= 0 and x + 50 < right <= 640 and up <= 240 for x, y, right, up in boxes)
        table = browser.find_element("css selector", "table.forecasts").text
        for part in ("2 clones (now)", "1,000 clones", "a tenth more at a time", "2,000 at most"):
            assert part in table, part
        assert browser.execute_script("return document.documentElement.scrollWidth") <= size[0]
        assert errors(browser) == []
        assert barriers(browser) == []


def test_every_part_of_a_plan_is_there(chromium, tmp_path):
    with opened(chromium, render_plan(plan([image(diff())], boots=(boot(),))), tmp_path) as browser:
        text = browser.find_element("tag name", "body").text
        for part in (
            "Fleet: replaces Group/ASG",
            "a note",
            "+ packages: jq",
            "Size.a.1 forces replacement",
            "instance refresh replaces 2 clones",
            "apache2",
            "Welcome to Debian",
            "the app answers",
            "s3:*",
        ):
            assert part in text, part
        links = [link.text for link in browser.find_elements("css selector", "nav a")]
        assert links == [
            "Summary",
            "Recipes",
            "Infrastructure",
            "Rollout",
            "Image web [prod]",
            "Packages",
            "Files",
            "Sizes",
            "Disk",
            "Boot",
        ]


def test_the_files_of_both_kernels_are_one_line(chromium, tmp_path):
    with opened(chromium, render_plan(plan([image(kernel())])), tmp_path) as browser:
        summaries = [fold.text for fold in browser.find_elements("css selector", "main summary")]
        [line] = [text for text in summaries if "linux-image" in text]
        assert line.endswith(
            "linux-image-6.1.0-50-cloud-amd64 → linux-image-6.1.0-56-cloud-amd64 1,353 added, 1,353 removed"
        )
        assert errors(browser) == []


@pytest.mark.parametrize("size", [DESK, (1200, 4200)])
def test_the_contents_mark_where_one_is(chromium, tmp_path, size):
    marked = "return [...document.querySelectorAll('#nav [aria-current]')].map((link) => link.textContent)"
    with opened(chromium, render_plan(plan([image(diff())], boots=(boot(),))), tmp_path, size=size) as page:
        first = page.execute_script("return document.querySelector('#nav a').textContent")
        assert page.execute_script(marked) == [first]
        page.execute_script("scrollTo(0, document.body.scrollHeight)")
        page.execute_async_script("requestAnimationFrame(() => requestAnimationFrame(arguments[0]))")
        [last] = page.execute_script(marked)
        assert page.execute_script("return scrollY") > 0
        assert last != first


def test_search_finds_filters_and_clears(chromium, tmp_path):
    from selenium.webdriver.common.keys import Keys
    from selenium.webdriver.support.ui import WebDriverWait

    def said(browser):
        return browser.find_element("css selector", ".search .count").text

    with opened(chromium, render_diff(diff()), tmp_path) as browser:
        search = browser.find_element("css selector", ".search input")
        search.send_keys("APACHE2")
        WebDriverWait(browser, 10).until(lambda b: said(b) == "1 difference found")
        assert "2.4.68 → 2.4.71" in browser.find_element("tag name", "main").text
        search.clear()
        search.send_keys("/srv/")
        WebDriverWait(browser, 10).until(lambda b: said(b) == "260 differences found")
        more = browser.find_element("css selector", ".more-button")
        assert more.text == "Show 210 more (210 left)"
        more.click()
        assert len(browser.find_elements("css selector", ".rows > li")) >= 260
        search.send_keys("nothing-like-it")
        WebDriverWait(browser, 10).until(lambda b: said(b) == "Nothing found.")
        search.send_keys(Keys.ESCAPE)
        WebDriverWait(browser, 10).until(lambda b: said(b) == "")
        [upgraded] = [
            b for b in browser.find_elements("css selector", ".filters button") if b.text == "upgraded"
        ]
        upgraded.click()
        WebDriverWait(browser, 10).until(lambda b: said(b) == "1 difference found")
        assert upgraded.get_attribute("aria-pressed") == "true"


def test_hostile_names_are_inert(chromium, tmp_path):
    with opened(chromium, render_plan(plan([image(hostile())], notes=(HOSTILE,))), tmp_path) as browser:
        assert browser.execute_script("return typeof pwned") == "undefined"
        assert browser.execute_script("return document.scripts.length") == 2
        assert (
            browser.execute_script(
                "return document.querySelectorAll('img, iframe, object, [onerror]').length"
            )
            == 0
        )
        text = browser.find_element("tag name", "main").text
        assert "</script><script>pwned=1</script>" in text
        assert "\\x1b[31m\\u202e@script@{{x}}" in text
        assert "\u202e" not in browser.page_source
        assert errors(browser) == []


def test_hostile_names_are_inert_in_the_file_itself():
    page = render_diff(hostile())
    assert page.count("</script>") == 2
    assert page.count("<script") == 2
    assert "\u202e" not in page
    assert "\x1b" not in page


def test_the_keyboard_reaches_everything(chromium, tmp_path):
    from selenium.webdriver.common.action_chains import ActionChains
    from selenium.webdriver.common.keys import Keys

    with opened(chromium, render_diff(diff()), tmp_path) as browser:
        press = lambda *keys: ActionChains(browser).send_keys(*keys).perform()  # noqa: E731
        focus = lambda script: browser.execute_script(f"return document.activeElement.{script}")  # noqa: E731
        press(Keys.TAB)
        assert focus("className") == "skip"
        assert (
            browser.execute_script("return getComputedStyle(document.activeElement).outlineStyle") == "solid"
        )
        press("/")
        assert focus("type") == "search"
        press(Keys.TAB)
        assert focus("textContent") == "added"
        hint = "return document.querySelector('canvas').parentElement.nextElementSibling.textContent"
        browser.execute_script("document.querySelector('canvas').focus()")
        press("n")
        assert browser.execute_script(hint) == "Block 0, from 0 B of the disk: changed"
        press(Keys.ARROW_RIGHT)
        assert browser.execute_script(hint) == "Block 1, from 512 KiB of the disk: zeros"
        # All that scrolls by itself can be reached, and says what it is.
        scrolls = (
            "return [...document.querySelectorAll('pre')].every((node) => node.tabIndex === 0 &&"
            " node.ariaLabel)"
        )
        assert browser.execute_script(scrolls)


def test_the_page_names_nothing_outside_of_itself():
    page = render_plan(plan([image(diff())]))
    assert re.findall(r"""(?:src|href|action)=["'](?!#)[^"']*""", page) == []
    assert "url(" not in page
    assert "@import" not in page
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', page)
    assert policy is not None
    assert policy[1].startswith("default-src 'none'; style-src 'sha256-")
    assert "unsafe" not in policy[1]


def test_what_is_too_much_for_a_page_is_counted(monkeypatch):
    monkeypatch.setattr("ingot.report.html.page.FILES", 100)
    page = render_diff(diff())
    assert "312 more files differ; `ingot diff --json` lists all of them" in page


def test_a_long_console_is_cut_at_its_beginning_and_says_so(monkeypatch):
    monkeypatch.setattr("ingot.report.html.page.LINES", 2)
    page = render_plan(plan(boots=(boot(),)))
    assert "\\u2026 2 lines before are left out" in page
    assert "BdsDxe" not in page


def test_the_summary_shows_what_changed_and_names_the_rest_in_a_line(chromium, tmp_path):
    """A line of the app changed: its path and the blocks are all that a reviewer has to see."""
    before = manifest(files=[file("/srv/web/index.html", "a", layer=1)], packages=[package("perl", "5", 1)])
    after = manifest(files=[file("/srv/web/index.html", "b", layer=1)], packages=[package("perl", "5", 1)])
    page = render_diff(image_diff(before, after, before_disk=None, after_disk=None))
    with opened(chromium, page, tmp_path, size=PHONE) as browser:
        tiles = [tile.text.split("\n") for tile in browser.find_elements("css selector", ".tile")]
        assert [tile[0] for tile in tiles] == ["the recipe's files", "blocks to publish"]
        assert tiles[0][1:] == ["1", "/srv/web/index.html"]
        line = browser.find_element("css selector", ".same").text
        assert line == "Unchanged: packages, tests, size in use"
