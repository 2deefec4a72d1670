"""Sources that are not regular files: links in a circle, submodules that are not checked out."""

import os
import subprocess

from ingot.recipe.load import load_recipe
from tests.recipe.test_load import FILE, problems


def test_links_that_go_round(web):
    (web.path / "app" / "one").symlink_to("two")
    (web.path / "app" / "two").symlink_to("one")
    (web.path / "files" / "round").symlink_to("round")
    web.replace("source: files/site.conf", "source: files/round")
    found = [text.split(", expected")[0] for text in problems(web)]
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
        f"{FILE}:7:15: app/shared, a git submodule that is not checked out, expected its files\n"
        "  hint: run: git submodule update --init --recursive"
    )


def test_a_link_whose_text_is_not_utf8(web):
    os.symlink(b"caf\xe9", os.fsencode(web.path / "app" / "menu"))  # noqa: PTH211 - bytes, which are no UTF-8
    [problem] = problems(web)
    assert problem.startswith(
        f"{FILE}:7:15: app/menu, a link to b'caf\\xe9', expected a link whose text is UTF-8"
    )


def test_directories_that_are_too_deep(web):
    here = os.open(web.path / "app", os.O_RDONLY)
    for _ in range(1500):
        os.mkdir("deeper", dir_fd=here)
        below = os.open("deeper", os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = below
    os.close(here)
    try:
        [problem] = problems(web)
    finally:  # pytest's own way to remove it is recursive
        subprocess.run(["rm", "-r", web.path / "app" / "deeper"], check=True)
    assert problem.startswith(f"{FILE}:7:15: a path of 201 directories and ")


def test_a_template_that_is_no_file_or_too_large(web):
    web.replace("files/site.conf, target", "files/site.conf, template: true, target")
    conf = web.path / "files" / "site.conf"
    conf.unlink()
    os.mkfifo(conf)
    [problem] = problems(web)
    assert problem.startswith(f"{FILE}:9:14: files/site.conf: no regular file, expected a template")
    conf.unlink()
    with conf.open("wb") as file:
        file.truncate(3 << 30)
    [problem] = problems(web)
    assert problem.startswith(f"{FILE}:9:14: files/site.conf: 3221225472 bytes, more than 1048576")
