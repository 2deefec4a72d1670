import pytest

from ingot.errors import IngotError
from ingot.recipe.lock.distribution import Suite
from ingot.recipe.lock.index import Index, PackageList
from tests.recipe.archive import stanza

MAIN, OTHER = Suite("debian", "bookworm"), Suite("extra", "stable")
TEXT = (
    stanza("apache2", "2.4", Provides="httpd (= 2), \n httpd-cgi")
    + stanza("bash", Essential="yes", Description_md5="Package: no")
    + stanza("apache2", "2.5")
    + stanza("last")
)


def index(text, suite=MAIN):
    return Index([PackageList(suite, text.encode())], ["debian"])


def spelt_otherwise():
    first, second = stanza("apache2", "2.4", Provides="httpd (= 2), httpd-cgi").split("\n", 1)
    yield "version before the name", f"Version: 2.4\n{first}\n" + second.replace("Version: 2.4\n", "")
    yield "small letters", f"{first.lower()}\n{second}"
    yield "no blank after the colon", f"{first.replace(': ', ':')}\n{second}"
    yield "tabs between paragraphs", f"\n\n{first}\n{second}".rstrip() + "\n \t\n"
    yield "Windows' line ends", f"{first}\n{second}".replace("\n", "\r\n")


FORMS = dict(spelt_otherwise())


@pytest.mark.parametrize("form", ["as written by every tool", *FORMS])
def test_every_form_of_an_index_is_read_alike(form):
    text = TEXT if form not in FORMS else FORMS[form] + TEXT.split("\n\n", 1)[1]
    found = index(text)
    assert list(found.places) == ["apache2", "bash", "last"]
    assert found.versions("apache2") == {"2.4", "2.5"}
    assert found.versions("none") == set()
    assert found.providers("httpd-cgi") == ["apache2"]
    assert found.essential() == ["bash"]
    package = found.find(("apache2", "2.4", "amd64"))
    assert (package.size, package.path) == (100, "pool/main/a/apache2/apache2_2.4_amd64.deb")
    assert found.find(("bash", "1.0", "amd64")).essential
    assert found.find(("last", "1.0", "amd64")).suite == MAIN


def test_an_empty_index():
    assert list(index("").places) == []
    assert index("").essential() == []


def test_without_an_empty_line_at_its_end():
    assert list(index(TEXT.rstrip("\n")).places) == ["apache2", "bash", "last"]


def test_the_first_list_that_has_a_package_counts():
    lists = [PackageList(OTHER, stanza("apache2").encode()), PackageList(MAIN, stanza("apache2").encode())]
    assert Index(lists, ["debian"]).find(("apache2", "1.0", "amd64")).suite == OTHER


def test_only_the_distribution_says_what_is_essential():
    assert index(stanza("greedy", Essential="yes"), OTHER).essential() == []


@pytest.mark.parametrize("field", ["SHA256", "Size", "Filename"])
def test_a_package_without_what_a_lock_needs(field):
    lines = [line for line in stanza("tool").splitlines() if not line.startswith(f"{field}:")]
    with pytest.raises(IngotError, match=f"extra stable has no usable {field} for tool 1.0"):
        index("\n".join(lines) + "\n", OTHER).find(("tool", "1.0", "amd64"))


def test_a_package_that_no_list_has():
    with pytest.raises(IngotError, match="which no index has"):
        index(TEXT).find(("apache2", "9", "amd64"))
