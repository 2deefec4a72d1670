"""The comment: most important first, within the limit, nothing cut silently, nothing injected by a change."""

import html.parser
import json
import re

import pytest
from markdown_it import MarkdownIt

from ingot.cli.main import main
from ingot.diff.compare import image_diff
from ingot.errors import InputError
from ingot.report.files import image_diff_from_json, plan_from_json
from ingot.report.plan.comment import LIMIT, MARKER, render_comment
from tests.diff.manifests import file, manifest, package
from tests.plan import plans

# What a pull request may try, wherever it can choose a name.
HOSTILE = [
    "@everyone",
    "`@someone` **bold**",
    "``` \n@someone\n```\n# heading",
    "~~~\n</details>\n@someone",
    "</code></summary></details><img src=x onerror=alert(1)>",
    "<!-- ingot-plan -->",
    "--><script>alert(1)</script>",
    "[click](https://evil.example) ![i](https://evil.example/x.png)",
    "https://evil.example www.evil.example a@evil.example",
    "owner/repo#1 #1 GH-1",
    "\x1b[31mred\u202egnp.exe\r\n\x00",
    "| a | b |\n|---|---|",
    "&lt;b&gt; &#64;someone",
    "````````````````````````",
    "\udcff",
]


class Outside(html.parser.HTMLParser):
    """Gathers the tags of a rendered comment, and the text that stands outside of code."""

    def __init__(self):
        super().__init__(convert_charrefs=True)
        self.tags, self.text, self.depth = [], [], 0

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        self.depth += tag in ("code", "pre")

    def handle_endtag(self, tag):
        self.depth -= tag in ("code", "pre")

    def handle_data(self, data):
        if not self.depth:
            self.text.append(data)


def rendered(text):
    """Render as GitHub does, as far as it matters: CommonMark with tables and HTML let through."""
    outside = Outside()
    outside.feed(MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"]).render(text))
    assert outside.depth == 0
    return outside


def hostile_plan(word):
    diff = image_diff(
        manifest(files=[file("/etc/" + word)]),
        manifest(
            packages=[package(word, word)],
            tests=[{"name": word, "command": word}],
            files=[file("/x/" + word)],
        ),
        before_disk=None,
        after_disk=None,
    ).to_json()
    return plans.plan(
        dangerous=[word],
        notes=[word],
        base={"commit": word, "how": word},
        head={"commit": "c" * 40, "dirty": [word]},
        recipes=[
            plans.recipe(
                name=word,
                environment=word,
                change="renamed",
                was=word,
                reasons=[{"place": word, "what": word}],
            )
        ],
        images=[
            plans.image(recipe=word, no_diff=word),
            plans.image(recipe=word, diff={**diff, "notes": [word], "dangerous": [word]}, no_diff=None),
        ],
        stacks=[
            plans.stack(
                name=word,
                where=word,
                cdk_diff=word,
                folded=[{"kind": "image", "name": word, "before": word, "after": word, "places": []}],
                resources=[plans.resource(word, type=word, word=word)],
                other=[{"section": "outputs", "name": word, "before": None, "after": word}],
            )
        ],
        rollouts=[plans.rollout(stack=word, group=word, why=[word], steps=[word])],
    )


@pytest.mark.parametrize("word", HOSTILE)
def test_nothing_of_the_change_is_markup_or_a_mention(word):
    comment = render_comment(plan_from_json(json.loads(json.dumps(hostile_plan(word)))))
    assert comment.startswith(MARKER)
    outside = rendered(comment)
    allowed = {
        "h2",
        "p",
        "ul",
        "li",
        "code",
        "pre",
        "details",
        "summary",
        "strong",
        "em",
        "sub",
        "blockquote",
        "table",
    }
    allowed |= {"thead", "tbody", "tr", "th", "td", "h3", "h4", "br"}
    assert {tag for tag, _ in outside.tags} <= allowed
    assert all(set(attributes) <= {"class"} for _, attributes in outside.tags)
    text = "".join(outside.text)
    # Sign and name are parted, so that GitHub sees neither.
    assert not re.search(r"@\w|#\w|GH-\d(?!\u200b)", text.replace("GH-1", "")), text
    assert "\x1b" not in comment
    assert "\u202e" not in comment


@pytest.mark.parametrize("word", HOSTILE)
def test_nothing_of_the_change_moves_the_terminal(word):
    from ingot.report.plan.text import render_text

    text = render_text(plan_from_json(json.loads(json.dumps(hostile_plan(word)))))
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f\u202e]", text)


def test_the_text_of_a_plan_leaves_nothing_out():
    from ingot.report.plan.text import render_text

    after = manifest(
        packages=[package(f"p{n}", "1") for n in range(300)],
        files=[file(f"/srv/{n}", layer=1) for n in range(300)],
    )
    diff = image_diff(manifest(), after, before_disk=None, after_disk=None).to_json()
    lines = tuple(f"+line {n}" for n in range(300))
    diff["files"][0]["text"] = {"lines": lines, "added": 300, "removed": 0, "masked": 0, "note": None}
    text = render_text(plans.read(images=[plans.image(diff=diff, no_diff=None)]))
    assert "--all" not in text
    assert all(f"line {n}" in text and f"/srv/{n}" in text for n in range(300))


def test_the_most_important_comes_first():
    plan = plans.read(verdict="dangerous", dangerous=["Fleet: deletes Bucket"], notes=["the base has no app"])
    text = render_comment(plan)
    order = [
        "something dangerous changes",
        "the base has no app",
        "deletes Bucket",
        "recipe",
        "Rollout",
        "cdk diff",
        "Why the digest",
    ]
    places = [text.index(word) for word in order]
    assert places == sorted(places)
    assert "`1a1a1a1a1a1a` → `3c3c3c3c3c3c`" in text


def test_a_small_plan_is_whole():
    text = render_comment(plans.read())
    assert "Left out" not in text
    assert "`ingot plan` prints all of it" in text
    assert "! [~] AWS::S3::Bucket Bucket" in text
    assert "+  └─ [+] b" in text


def test_the_report_is_linked():
    text = render_comment(plans.read(), report="https://github.com/o/r/actions/runs/1/artifacts/2)[x](y")
    [link] = [attributes["href"] for tag, attributes in rendered(text).tags if tag == "a"]
    assert link == "https://github.com/o/r/actions/runs/1/artifacts/2%29%5Bx%5D%28y"


def big_plan():
    lines = "\n".join(f"[~] AWS::S3::Bucket Bucket{number} {'x' * 60}" for number in range(20_000))
    return plans.read(
        verdict="dangerous",
        dangerous=[f"Fleet: deletes Bucket{number}" for number in range(5_000)],
        recipes=[plans.recipe(reasons=[{"place": f"p:{n}", "what": "+ package x"} for n in range(3_000)])],
        stacks=[plans.stack(cdk_diff=lines, resources=[plans.resource(f"Fleet/B{n}") for n in range(5_000)])],
    )


def test_a_very_large_plan_fits_and_says_what_is_left_out():
    text = render_comment(big_plan())
    assert len(text) <= LIMIT
    assert len(text) > LIMIT // 2
    assert "and 4,960 more, below and in the report" in text
    assert "Left out here for want of room" in text
    assert "of 20,000 lines of cdk diff of Fleet" in text
    assert "3,000 lines of why the digest of web changes" in text
    assert rendered(text).tags.count(("details", {})) == text.count("</details>")


@pytest.mark.parametrize("limit", [3_000, 10_000, LIMIT])
def test_long_dangers_are_shortened_and_the_rest_is_counted(limit):
    dangers = [f"image web: {number} /srv/{'x' * 4_000}: setuid to root is new" for number in range(60)]
    diff = image_diff(manifest(), manifest(epoch=1), before_disk=None, after_disk=None).to_json()
    image = plans.image(diff={**diff, "empty": False, "dangerous": dangers}, no_diff=None)
    text = render_comment(plans.read(verdict="dangerous", dangerous=dangers, images=[image]), limit=limit)
    assert len(text) <= limit
    assert "60 dangerous changes" in text
    assert "`image web: 0 /srv/xxx" in text
    assert re.search(r"x …3,\d+ characters… x+: setuid to root is new`", text)
    shown = (
        text[: text.index("- recipe")].count("setuid to root")
        if "- recipe" in text
        else text.count("setuid to root")
    )
    assert f"> - and {60 - shown} more, below and in the report" in text


def test_a_long_note_leaves_room_for_the_dangers():
    text = render_comment(plans.read(notes=["n" * 63_000], dangerous=["Fleet: deletes Bucket"]))
    assert "62,001 characters" in text
    assert "`Fleet: deletes Bucket`" in text
    assert "Left out" not in text


def test_many_recipes_do_not_take_the_summary_away():
    recipes = [plans.recipe(name=f"recipe{number}", reasons=[]) for number in range(3_000)]
    text = render_comment(plans.read(recipes=recipes))
    assert "recipe `recipe0: " in text
    assert re.search(r"- and [\d,]+ more lines, in the report", text)


def test_long_lines_of_a_failed_boot_are_shortened():
    tests = [{"name": f"t{number}", "ok": False, "detail": "y" * 70_000} for number in range(3)]
    text = render_comment(
        plans.read(boots=[{"recipe": "web", "digest": "ab" * 32, "seconds": 1, "tests": tests}])
    )
    assert "`web abababababab: FAILED, 0 of 3 tests passed, 1 s`" in text
    assert text.count("characters… y") == 3


@pytest.mark.parametrize("limit", [3_000, 5_000, 10_000, 30_000])
def test_every_limit_holds_and_no_fold_stays_open(limit):
    text = render_comment(big_plan(), limit=limit)
    assert len(text) <= limit
    assert text.count("<details>") == text.count("</details>")
    assert "Left out here" in text
    rendered(text)


def test_more_parts_than_can_be_named_are_counted():
    stacks = [plans.stack(name=f"Stack{number}", cdk_diff="x" * 2_000) for number in range(400)]
    text = render_comment(plans.read(stacks=stacks))
    assert len(text) <= LIMIT
    assert re.search(r"Left out here for want of room:\*\* [\d,]+ parts", text)


def test_an_image_diff_comes_back_from_its_json_as_it_was():
    before = manifest(
        packages=[package("a", "1"), package("gone", "1")], files=[file("/etc/x", "1"), file("/gone")]
    )
    after = manifest(
        packages=[package("a", "2"), package("new", "1")], files=[file("/etc/x", "2", mode="4755")]
    )
    plain = json.loads(json.dumps(image_diff(before, after, before_disk=None, after_disk=None).to_json()))
    assert plain["packages_by_size"]["after"]
    assert json.loads(json.dumps(image_diff_from_json(plain).to_json())) == plain


def test_a_plan_comes_back_from_its_json_as_it_was():
    plain = plans.plan(images=[plans.image(on_ami=True)], boots=[plans.boot()])
    assert plan_from_json(json.loads(json.dumps(plain))).to_json() == plain


def spoiled(part, key, value):
    """Return the JSON of an image diff, with one value of one part changed by hand."""
    tests = [{"name": "t", "command": "true"}]
    after = manifest(packages=[package("a", "2")], files=[file("/x")], tests=tests)
    plain = image_diff(manifest(), after, before_disk=None, after_disk=None).to_json()
    plain[part][0] = {**plain[part][0], key: value}
    return plain


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format": 2}, "a plan of format 2; this program reads format 1"),
        ({"recipes": None}, "no plan as `ingot plan --json` writes it"),
        (
            {"images": [plans.image(diff={"format": 9})]},
            "an image diff of format 9; this program reads format 1",
        ),
        ({"images": [plans.image(diff={"format": 1})]}, "no image diff as `ingot diff --json` writes it"),
        *(
            (
                {"images": [plans.image(diff=spoiled(part, "change", "added @octocat"))]},
                "unknown change 'added @octocat' in an image diff",
            )
            for part in ("tests", "packages", "files")
        ),
        (
            {"images": [plans.image(diff=spoiled("files", "change", ["x"]))]},
            "unknown change ['x'] in an image",
        ),
        (
            {"images": [plans.image(diff=spoiled("files", "origin", "@octocat"))]},
            "unknown origin '@octocat' in an image diff",
        ),
        (
            {"images": [plans.image(diff=spoiled("packages", "after_kib", 10**400))]},
            "no plan as `ingot plan --json` writes it",
        ),
        *(
            (
                {"images": [plans.image(diff=spoiled(part, "after", value))]},
                "no image diff as `ingot diff --json` writes it",
            )
            for part, value in (("files", None), ("files", {"type": "file"}), ("packages", None))
        ),
        ({"verdict": "**@octocat**"}, "no plan as `ingot plan --json` writes it"),
        ({"stacks": [plans.stack(change="@octocat")]}, "no plan as `ingot plan --json` writes it"),
        ({"images": [plans.image(state="@octocat")]}, "no plan as `ingot plan --json` writes it"),
    ],
)
def test_what_is_no_plan_of_this_version_is_bad_input(change, message):
    with pytest.raises(InputError, match=re.escape(message)):
        render_comment(plans.read(**change))


@pytest.mark.parametrize(
    ("content", "message"),
    [(None, "cannot be read"), ("{", "is not JSON"), ("[]", "is no plan"), ("[" * 200_000, "is not JSON")],
)
def test_a_file_that_is_no_plan(tmp_path, capfd, content, message):
    path = tmp_path / "plan.json"
    if content is not None:
        path.write_text(content)
    with pytest.raises(SystemExit) as ended:
        main(["comment", str(path), "--dry-run"])
    assert ended.value.code == 2
    assert message in capfd.readouterr().err


@pytest.mark.parametrize(
    ("impacts", "counts"),
    [
        (["WILL_UPDATE"], "changes` (1 resource)"),
        (["WILL_UPDATE", "WILL_UPDATE"], "changes` (2 resources)"),
        (["WILL_UPDATE", "WILL_REPLACE"], "changes` (2 resources: replaces 1, changes 1)"),
        (["WILL_CREATE"], "changes` (1 resource: creates 1)"),
        ([], "changes`\n"),
    ],
)
def test_a_stacks_resources_are_counted_without_an_echo(impacts, counts):
    resources = [plans.resource(f"Fleet/B{n}", impact) for n, impact in enumerate(impacts)]
    plan = plans.read(stacks=[plans.stack(resources=resources)])
    assert f"stack `Fleet (aws://1/r): {counts}" in render_comment(plan)
