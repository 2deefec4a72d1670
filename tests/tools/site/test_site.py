"""The site of the documentation: built as `make docs` builds it, and read as a browser reads it."""

import re

import pytest

import ingot.constructs
from ingot.cli.main import COMMANDS
from ingot.recipe.schema.model import Recipe
from stacks.settings.keys import Settings
from tests import ROOT
from tests.report.html.accessibility import barriers
from tests.report.html.browser import chromium
from tools.site.build import build
from tools.site.links import broken_links
from tools.site.pages import BrokenLinkError, collect, sections

__all__ = ["chromium"]


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    directory = tmp_path_factory.mktemp("site") / "site"
    build(directory)
    return directory


def text_of(page) -> str:
    return re.sub(r"<[^>]+>", "", page.read_text())


def test_every_page_of_the_docs_is_a_page_of_the_site(site):
    for page in (ROOT / "docs").rglob("*.md"):
        place = page.relative_to(ROOT / "docs").with_suffix("")
        place = place.parent if place.name == "README" else place
        assert (site / place / "index.html").is_file(), place


def test_a_page_shows_its_title_and_the_navigation(site):
    page = text_of(site / "recipe" / "index.html")
    assert "Recipes" in page
    for heading, pages in sections((ROOT / "docs" / "README.md").read_text()).items():
        assert heading in page
        assert all(title in page for title, _ in pages)


@pytest.mark.parametrize(
    ("page", "names"),
    [
        ("commands", [f"ingot {name}" for name in COMMANDS]),
        ("constructs", ingot.constructs.__all__),
        ("recipe", list(Recipe.model_fields)),
        ("settings", list(Settings.model_fields)),
    ],
)
def test_the_reference_has_all_that_there_is(page, names, site):
    text = text_of(site / "reference" / page / "index.html")
    assert [name for name in names if name not in text] == []
    assert "generated:" not in text


def test_the_reference_says_what_an_option_a_key_and_a_parameter_mean(site):
    assert "Bake even if the store has the image." in text_of(site / "reference" / "commands" / "index.html")
    assert "Mode" in text_of(site / "reference" / "recipe" / "index.html")
    constructs = text_of(site / "reference" / "constructs" / "index.html")
    assert "how long a new clone may take until it is well" in constructs


def test_nothing_is_fetched_from_another_host(site):
    for page in site.rglob("*.html"):
        fetched = re.findall(
            r"<(?:script|img|link)\b[^>]*?(?:src|href)=[\"']?(https?://[^\"' >]+)", page.read_text()
        )
        assert fetched == [], page


def test_a_link_to_a_file_that_is_not_there_is_an_error(tmp_path):
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "README.md").write_text("# Docs\n\n[gone](gone.md)\n")
    with pytest.raises(BrokenLinkError, match=r"docs/README.md links to gone.md, which is not a file"):
        collect(str, tmp_path)


def test_links_lead_to_the_places_on_the_site_and_code_stays(tmp_path):
    (tmp_path / "docs" / "how").mkdir(parents=True)
    (tmp_path / "docs" / "README.md").write_text("# Docs\n")
    (tmp_path / "LICENSE").write_text("free\n")
    page = tmp_path / "docs" / "how" / "start.md"
    page.write_text("[home](../README.md#docs) [licence](../../LICENSE)\n\n```md\n[x](y.md)\n```\n")
    tree = collect(str, tmp_path)
    assert {str(place): text for place, text in tree.pages.items()} == {
        "index.md": "# Docs\n",
        "how/start.md": "[home](../index.md#docs) [licence](../project/LICENSE)\n\n```md\n[x](y.md)\n```\n",
    }
    assert {str(place): file.read_text() for place, file in tree.files.items()} == {
        "project/LICENSE": "free\n"
    }


def test_links_of_a_built_site_are_followed(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "index.html").write_text('<p id="top"><a href="a/#here">a</a><a href="#top">b</a>')
    (tmp_path / "a" / "index.html").write_text(
        '<a href="../gone/">c</a><img src="../x.png"><a href="https://e.f/">'
    )
    assert broken_links(tmp_path) == [
        "a/index.html: ../gone/ leads to no page",
        "a/index.html: ../x.png leads to no page",
        "index.html: a/#here leads to no place on its page",
    ]


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("page", ["index.html", "tutorial/index.html"])
def test_nothing_keeps_anybody_from_reading_it(chromium, site, page, scheme):
    features = [{"name": "prefers-color-scheme", "value": scheme}]
    chromium.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
    chromium.get((site / page).as_uri())
    assert barriers(chromium) == []
