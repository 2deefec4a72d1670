from ingot.report.diff.markdown import render_markdown
from ingot.report.diff.text import render_text
from tests.diff.manifests import file, manifest, package
from tests.report.diff.diffs import HOSTILE, big, diff, kernel


def test_the_text_of_no_difference():
    assert (
        render_text(diff(manifest(), manifest()))
        == "web abababababab → web abababababab\nThe images are the same."
    )


def test_the_text_has_a_line_for_each_change():
    before = manifest(packages=[package("a", "1", 10)], files=[file("/x", "1")])
    after = manifest(packages=[package("a", "2", 12)], files=[file("/x", "12", mode="0600", layer=1)])
    text = render_text(diff(before, after))
    assert "Packages: 1 upgraded\n  ↑ a 1 → 2 (+2 KiB)" in text
    assert "Files: 1 changed\n  ~ /x: mode 0644 → 0600; content, 1 byte → 2 bytes" in text


def test_the_files_of_both_kernels_are_one_line():
    for text in (render_text(kernel()), render_markdown(kernel())):
        words = " ".join(text.replace("`", "").split())
        name = "linux-image-6.1.0-50-cloud-amd64 → linux-image-6.1.0-56-cloud-amd64"
        assert f"of {name}: 1,353 added, 1,353 removed" in words
        assert words.count("of linux-image") == 1


def test_bookkeeping_is_counted_apart_in_text_and_markdown_alike():
    books = [file("/var/lib/dpkg/status", "2"), file("/var/lib/dpkg/info/a.list", "2")]
    before = manifest(files=[file("/var/lib/dpkg/status", "1"), file("/srv/x", "1", layer=1)])
    both = diff(before, manifest(files=[*books, file("/srv/x", "2", layer=1)]))
    assert "Files: 1 changed\n" in render_text(both)
    assert "| files | 1 changed |" in render_markdown(both)
    for text in (render_text(both), render_markdown(both)):
        assert "bookkeeping (package lists, caches, digests): 1 added, 1 changed" in text
    alone = diff(before, manifest(files=[*books, file("/srv/x", "1", layer=1)]))
    assert "Files: none but bookkeeping\n" in render_text(alone)
    assert "| files |" not in render_markdown(alone)


def test_text_keeps_to_80_columns():
    assert max(map(len, render_text(big()).splitlines())) <= 80


def test_color_is_there_when_asked_for_only():
    assert "\x1b[" in render_text(big(), color=True)
    assert "\x1b[" not in render_text(big())


def test_hostile_names_are_inert_in_text():
    text = render_text(diff(manifest(), manifest(files=[file(HOSTILE, layer=1)])))
    assert "\x1b" not in text
    assert "\u202e" not in text
    assert "\\x1b[31m\\u202eevil" in text


def test_artifacts_dependencies_and_stages_are_told_in_text_and_markdown():
    artifact = {"name": "https://example.com/a.jar", "kind": "artifact", "sha256": "aa" * 32, "size": 3}
    flask = {"name": "pkg:pypi/flask", "kind": "python", "version": "3.1.0", "sha256": "bb" * 32, "size": 4}
    before = manifest(dependencies=[flask], stages=[{"name": "build", "digest": "11" * 32}])
    after = manifest(
        dependencies=[artifact, {**flask, "version": "3.1.1"}],
        stages=[{"name": "build", "digest": "22" * 32}],
        files=[file("/srv/a.jar", "1", layer=1)],
    )
    for text in (render_text(diff(before, after)), render_markdown(diff(before, after))):
        assert "https://example.com/a.jar" in text
        assert "pkg:pypi/flask" in text
        assert "3.1.0" in text
        assert "Stages" in text
        assert "build" in text


def test_a_stage_that_makes_the_same_is_no_difference_of_the_images():
    stages = [manifest(stages=[{"name": "build", "digest": digest * 32}]) for digest in ("11", "22")]
    assert diff(*stages).empty
