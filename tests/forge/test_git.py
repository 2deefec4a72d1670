import subprocess

import pytest

from ingot.errors import InputError
from ingot.forge.git import Repository


def test_the_base_is_where_head_left_the_trunk(project):
    first = project.git("rev-parse", "HEAD")
    project.git("checkout", "--quiet", "-b", "topic")
    project.write("a", "a")
    project.commit("Topic")
    base = Repository.around(project.path).base(None)
    assert (base.commit, base.how) == (first, "where HEAD left main")


def test_a_tag_named_main_is_not_the_trunk(project):
    first = project.git("rev-parse", "HEAD")
    project.write("a", "a")
    project.commit("Second")
    project.git("tag", "main", first)
    assert Repository.around(project.path).base(None).commit != first


def test_a_named_base_is_that_very_revision(project):
    first = project.git("rev-parse", "HEAD")
    project.write("a", "a")
    project.commit("Second")
    assert Repository.around(project.path).base("HEAD~1").commit == first


@pytest.mark.parametrize("revision", ["nope", "--all", "HEAD:settings.json", ""])
def test_a_revision_that_does_not_exist_is_bad_input(project, revision):
    with pytest.raises(InputError) as caught:
        Repository.around(project.path).base(revision)
    assert f"there is no revision {revision!r} in this repository" in str(caught.value)
    assert "git fetch origin" in str(caught.value)


def test_a_shallow_clone_is_told_how_to_get_the_rest(project, tmp_path):
    project.write("a", "a")
    project.commit("Second")
    clone = tmp_path / "clone"
    subprocess.run(["git", "clone", "-q", "--depth=1", f"file://{project.path}", clone], check=True)
    with pytest.raises(InputError, match="this clone is shallow; run: git fetch --unshallow"):
        Repository.around(clone).base("HEAD~1")


def test_without_a_trunk_it_says_what_was_tried(project):
    project.git("branch", "--move", "elsewhere")
    with pytest.raises(InputError, match="none of origin/main, main, origin/master, master shares history"):
        Repository.around(project.path).base(None)


def test_outside_of_a_repository_is_bad_input(tmp_path):
    with pytest.raises(InputError, match="is not in a git repository that can be read; revisions are in one"):
        Repository.around(tmp_path)


def test_dirty_lists_changed_new_and_deleted_files_with_any_name(project):
    project.settings(recipe="web", a=1)
    project.write("new file\nwith ü", "x")
    (project.recipe / "app" / "index.html").unlink()
    assert Repository.around(project.path).dirty() == [
        "image_recipes/web/app/index.html",
        "new file\nwith ü",
        "settings.json",
    ]


def test_a_checked_out_revision_goes_away_also_after_an_error(project):
    repository = Repository.around(project.path)
    project.settings(recipe="web", a=1)
    seen = []

    def look():
        with repository.checked_out(repository.commit("HEAD")) as tree:
            seen.append(tree)
            assert '"a"' not in (tree / "settings.json").read_text()
            (tree / "left").write_text("something untracked")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        look()
    [tree] = seen
    assert not tree.exists()
    assert len(project.git("worktree", "list").splitlines()) == 1


def test_a_project_below_the_top_of_its_repository(project):
    project.write("below/cdk.json", "{}")
    commit = project.commit("Below")
    repository = Repository.around(project.path / "below")
    project.write("other", "not below")
    project.write("below/x", "below")
    assert repository.dirty() == ["x"]
    with repository.checked_out(commit) as tree:
        assert [path.name for path in tree.iterdir()] == ["cdk.json"]
    assert repository.tree(commit) == project.git("rev-parse", f"{commit}:below")
    assert repository.tree(f"{commit}~1") is None


def test_hooks_do_not_run_for_a_look(project):
    hook = project.path / ".git" / "hooks" / "post-checkout"
    hook.write_text("#!/bin/sh\ntouch ran\nexit 1\n")
    hook.chmod(0o755)
    repository = Repository.around(project.path)
    with repository.checked_out(repository.commit("HEAD")) as tree:
        assert not (tree / "ran").exists()


@pytest.fixture
def submodule(project, tmp_path):
    """The project with a submodule `shared`, whose file says one, and two in the commit after."""
    other = tmp_path / "other"
    settings = ["-c", "user.name=x", "-c", "user.email=x@y", "-c", "protocol.file.allow=always"]

    def git(directory, *words):
        subprocess.run(["git", "-C", directory, *settings, *words], check=True, capture_output=True)

    other.mkdir()
    git(other, "init", "--quiet")
    for text in ("one", "two"):
        (other / "file").write_text(text)
        git(other, "add", ".")
        git(other, "commit", "--quiet", "--message", text)
    git(project.path, "submodule", "add", "--quiet", str(other), "shared")
    git(project.path / "shared", "checkout", "--quiet", "HEAD~1")
    project.commit("With a submodule")
    git(project.path / "shared", "checkout", "--quiet", "-")
    project.commit("A newer one")
    return project


def test_submodules_are_as_the_revision_has_them(submodule, monkeypatch):
    repository = Repository.around(submodule.path)
    monkeypatch.setenv("GIT_DIR", str(submodule.path / ".git"))  # as in a hook
    with repository.checked_out(repository.commit("HEAD~1")) as tree:
        assert (tree / "shared/file").read_text() == "one"
    assert (submodule.path / "shared/file").read_text() == "two"
    assert repository.dirty() == []


def test_a_submodule_that_is_not_here_is_said(submodule):
    subprocess.run(
        ["git", "-C", submodule.path, "submodule", "deinit", "--quiet", "--force", "shared"], check=True
    )
    repository = Repository.around(submodule.path)
    with pytest.raises(InputError, match=r"the submodule shared is not here at [0-9a-f]{12}, the revision"):
        with repository.checked_out(repository.commit("HEAD")):
            pass
    said = []
    with repository.checked_out(repository.commit("HEAD"), said.append) as tree:
        assert not (tree / "shared/file").exists()
    assert len(said) == 1
