"""Links of an image are followed inside the image, whatever they say."""

import pytest

from ingot.bake.tree.links import MOST_LINKS, TooManyLinksError, resolve_links

LINKS = {
    "/bin": "usr/bin",
    "/var/run": "/run",
    "/usr/lib/x": "../share/./x",
    "/escape": "../../../etc",
    "/up": "..",
    "/srv/www": "/escape/www/",
    "/etc/alternatives/vi": "/bin/vim",
    "/etc/vi": "alternatives/vi",
    "/loop": "/loop",
    "/one": "two/x",
    "/two": "/one",
}


@pytest.mark.parametrize(
    ("path", "leads_to"),
    [
        ("/", "/"),
        ("/etc/passwd", "/etc/passwd"),
        ("/not/there", "/not/there"),
        ("//etc/./passwd/", "/etc/passwd"),
        ("/bin/sh", "/usr/bin/sh"),
        ("/var/run/x", "/run/x"),
        ("/usr/lib/x/y", "/usr/share/x/y"),
        ("/etc/vi", "/usr/bin/vim"),
        ("/bin/../lib", "/usr/lib"),
        ("/escape/passwd", "/etc/passwd"),
        ("/../../etc", "/etc"),
        ("/up/etc", "/etc"),
        ("/srv/www/x", "/etc/www/x"),
    ],
)
def test_a_path_leads_to(path, leads_to):
    assert resolve_links(path, LINKS.get) == leads_to


@pytest.mark.parametrize(
    ("path", "leads_to"),
    [("/bin", "/bin"), ("/etc/vi", "/etc/vi"), ("/bin/vi", "/usr/bin/vi"), ("/loop", "/loop")],
)
def test_the_last_component_is_followed_only_when_asked(path, leads_to):
    assert resolve_links(path, LINKS.get, follow_last=False) == leads_to


@pytest.mark.parametrize("path", ["/loop", "/loop/x", "/one", "/two/x"])
def test_a_circle_is_an_error(path):
    with pytest.raises(TooManyLinksError, match=f"{path}: too many levels of symbolic links in the image"):
        resolve_links(path, LINKS.get)


def test_a_chain_is_followed_as_far_as_the_kernel_does():
    chain = {f"/{number}": str(number + 1) for number in range(MOST_LINKS + 1)}
    assert resolve_links("/1", chain.get) == f"/{MOST_LINKS + 1}"
    with pytest.raises(TooManyLinksError):
        resolve_links("/0", chain.get)


def test_a_search_can_be_strict():
    tree = {"/a": None, "/a/b": "c", "/a/c": None}
    assert resolve_links("/a/b", tree.__getitem__) == "/a/c"
    with pytest.raises(KeyError):
        resolve_links("/a/x/../b", tree.__getitem__)
