"""Sources that are no plain files: links in a circle, submodules that are not checked out."""

from ingot.recipe.load import load_recipe
from tests.recipe.test_load import FILE, problems


def test_links_that_go_round(web):
    (web.path / "app" / "one").symlink_to("two")
    (web.path / "app" / "two").symlink_to("one")
    (web.path / "files" / "round").symlink_to("round")
    web.replace("source: files/site.conf", "source: files/round")
    found = [text.split("; expected")[0] for text in problems(web)]
    assert found == [
        f"{FILE}:7:15: app/one, a link that leads to itself",
        f"{FILE}:7:15: app/two, a link that leads to itself",
        f"{FILE}:9:14: no file files/round",
    ]


def test_a_submodule_that_is_not_checked_out_is_no_empty_directory(web):
    (web.path / "app" / "shared").mkdir()
    load_recipe(web.file)
    top = web.path.parent.parent
    (top / ".gitmodules").write_text(
        '[submodule "shared"]\n\tpath = image_recipes/web/app/shared\n\turl = https://x/y\n'
    )
    (only,) = problems(web)
    assert only == (
        f"{FILE}:7:15: app/shared, a git submodule that is not checked out; expected its files\n"
        "  hint: run: git submodule update --init --recursive"
    )
