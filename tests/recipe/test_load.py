import os
import re

import pytest

from ingot.errors import InputError
from ingot.recipe.load import find_recipe, find_recipes, load_recipe
from ingot.recipe.schema.model import Recipe
from ingot.recipe.syntax.explain import close_to_package

FILE = "image_recipes/web/recipe.yaml"


def problems(web):
    with pytest.raises(InputError) as caught:
        load_recipe(web.file)
    assert caught.value.exit_code == 2
    assert caught.value.problems, str(caught.value)
    return [str(problem) for problem in caught.value.problems]


def test_a_recipe_with_what_is_required(web):
    web.file.write_text("name: web\nbase: {debian: trixie}\nroot_volume: {size: 512MiB}\n")
    recipe = load_recipe(web.path)
    assert recipe.root_volume.size == 512 * 2**20
    assert recipe.drop.docs
    assert recipe.hostname == "from-metadata"
    assert recipe.timezone == "Etc/UTC"


def test_a_recipe_with_everything(web):
    web.file.write_text(
        web.file.read_text()
        + """
architecture: x86_64
services: {enable: [apache2], disable: [cron], mask: [apt-daily.timer]}
kernel_command_line: quiet
timezone: Europe/Berlin
locale: C.UTF-8
hostname: web
drop: {docs: false, man: false, locales: false}
"""
    )
    recipe = load_recipe(web.file)
    assert recipe.steps[0].run == "a2ensite site"
    assert recipe.steps[0].timeout == 600
    assert recipe.steps[1].timeout == 30
    assert not recipe.drop.man
    assert recipe.services.mask == ("apt-daily.timer",)


def test_a_base_ami_validates(web):
    web.replace("{debian: bookworm}", "{ami: {ssm: /aws/service/ami-amazon-linux-latest/x}}")
    assert load_recipe(web.file).base.ami.ssm.startswith("/aws/")


# old text, new text, what the one problem says
WRONG = [
    ("packages:", "packges:", f"{FILE}:4:1: unknown key 'packges'", "did you mean packages"),
    ("timeout: 30", "timout: 30", f"{FILE}:12:28: unknown key 'timout'", "did you mean timeout?"),
    ("size: 2GiB", "size: 2GB", f"{FILE}:3:21: size '2GB'", "did you mean 2GiB?"),
    ("size: 2GiB", "size: 2", f"{FILE}:3:21: size 2", "a whole number of MiB"),
    ("size: 2GiB", "size: [2GiB]", f"{FILE}:3:21: a list", "a whole number of MiB"),
    ("size: 2GiB", "size: 20TiB", f"{FILE}:3:21: size '20TiB'", "at most 8TiB"),
    (
        "source: files/site.conf",
        'link: "a\\0b"',
        f"{FILE}:9:12: invalid value 'a\\x00b'",
        "text without a zero byte",
    ),
    ("- a2ensite site", '- "a\\0b"', f"{FILE}:11:5: invalid value 'a\\x00b'", "text without a zero byte"),
    (
        "http: {path: /}",
        'command: "a\\0b"',
        f"{FILE}:14:33: invalid value 'a\\x00b'",
        "text without a zero byte",
    ),
    (
        "debian: bookworm",
        "debian: bookwrm",
        f"{FILE}:2:16: invalid value 'bookwrm'",
        "did you mean bookworm?",
    ),
    (
        "{debian: bookworm}",
        "{debian: bookworm, ubuntu: noble}",
        f"{FILE}:2:7: debian and ubuntu together",
        "exactly one",
    ),
    ("{debian: bookworm}", "{}", f"{FILE}:2:7: none of them", "exactly one of the keys debian, ubuntu, ami"),
    (
        "gid: 990",
        'gid: "990"',
        f"{FILE}:5:27: invalid value '990'",
        "a whole number\n  hint: leave out the quotes: 990",
    ),
    (
        "gid: 990",
        "gid: 99",
        f"{FILE}:5:27: invalid value 99",
        "to 100\n  hint: the ids below 100 are the distribution's",
    ),
    ("uid: 990, ", "uuid: 990, ", f"{FILE}:6:21: unknown key 'uuid'", "did you mean uid?"),
    ("name: it answers", "name: 7", f"{FILE}:14:12: invalid value 7", 'put it in quotes: "7"'),
    ("uid: 990, ", "", f"{FILE}:6:9: missing key 'uid'", "it has no default"),
    ("[apache2]", "apache2", f"{FILE}:4:11: invalid value 'apache2'", "a list\n  hint: write [apache2]"),
    ("[apache2]", "[apache2, apache2]", f"{FILE}:4:21: package 'apache2' a second time", "not used yet"),
    ("[apache2]", "[Apache2]", f"{FILE}:4:12: invalid value 'Apache2'", "the name of a package"),
    (
        "[www-data]",
        "[www-dat]",
        f"{FILE}:6:52: the group 'www-dat', which is not declared",
        "did you mean www-data?",
    ),
    ("[www-data]", "[zookeeper]", f"{FILE}:6:52: the group 'zookeeper'", "declare it under groups"),
    ("group: app, groups", "group: zzz, groups", f"{FILE}:6:38: the group 'zzz'", "declared or system group"),
    ("owner: app", "owner: nginx", f"{FILE}:7:46: the user 'nginx'", "declared or system user"),
    (
        "{name: app, gid: 990}",
        "{name: app, gid: 990}, {name: b, gid: 990}",
        f"{FILE}:5:48: gid 990 a second",
        "group app in line 5",
    ),
    (
        "{name: app, gid: 990}",
        "{name: app, gid: 990}, {name: app, gid: 8000}",
        f"{FILE}:5:40: name 'app' a second",
        "line 5",
    ),
    (
        "{name: app, gid: 990}",
        "{name: app, gid: 990}, {name: sudo, gid: 991}",
        f"{FILE}:5:40: 'sudo', which the",
        "undeclared",
    ),
    (
        "target: /etc/site.conf",
        "target: ../etc",
        f"{FILE}:9:39: '../etc', which climbs",
        "stays in the image's root",
    ),
    ("target: /etc/site.conf", "target: /a/../../b", f"{FILE}:9:39: '/a/../../b', which climbs", "stays in"),
    (
        "target: /etc/site.conf",
        "target: etc/x",
        f"{FILE}:9:39: 'etc/x', a relative path",
        "did you mean /etc/x?",
    ),
    ("target: /etc/site.conf", "target: /", f"{FILE}:9:39: '/', the root itself", "below it"),
    (
        "target: /etc/site.conf",
        "target: /proc/x",
        f"{FILE}:9:39: invalid value '/proc/x'",
        "recreated at every boot",
    ),
    (
        "target: /etc/site.conf",
        "target: /srv/web/wsgi.py",
        f"{FILE}:9:39: /srv/web/wsgi.py again",
        "line 7 sets it",
    ),
    (
        "target: /etc/site.conf",
        "target: /srv/web/wsgi.py/x",
        f"{FILE}:9:39: /srv/web/wsgi.py/x below",
        "a directory above",
    ),
    ("target: /etc/site.conf", "target: /etc/x, mode: 0644", f"{FILE}:9:53: invalid value 644", '"0644"'),
    (
        "target: /etc/site.conf",
        'target: /x, mode: "0999"',
        f"{FILE}:9:49: invalid value '0999'",
        "four octal digits",
    ),
    (
        "source: files/site.conf",
        "source: files/none",
        f"{FILE}:9:14: no file files/none",
        "it at image_recipes/web/files/none",
    ),
    (
        "source: files/site.conf",
        "source: files/site.conf/",
        f"{FILE}:9:14: files/site.conf/, which is a file",
        "or a name without the slash",
    ),
    (
        "source: files/site.conf",
        "source: ../web/files",
        f"{FILE}:9:14: source '../web/files'",
        "without '..'",
    ),
    (
        "source: files/site.conf",
        "source: /etc/passwd",
        f"{FILE}:9:14: source '/etc/passwd'",
        "below the recipe's",
    ),
    (
        "source: files/site.conf",
        'source: a, content: ""',
        f"{FILE}:9:5: source and content together",
        "exactly one",
    ),
    ("source: app/", "source: app/wsgi.py", f"{FILE}:7:15: app/wsgi.py, a file", "a directory"),
    ("http: {path: /}", "http: {path: x}", f"{FILE}:14:37: invalid value 'x'", "begins with /"),
    (
        "http: {path: /}",
        "service: a, command: b",
        f"{FILE}:14:5: service and command together",
        "exactly one",
    ),
    ("- a2ensite site", "- 7", f"{FILE}:11:5: invalid value 7", "a mapping"),
    ("name: web", "name: wab", f"{FILE}:1:7: the name 'wab'", "'web', the name of its directory"),
    ("packages: [apache2]", "name: web", f"{FILE}:4:1: key 'name' a second time", "line 1"),
]


@pytest.mark.parametrize(
    ("old", "new", "found", "hint"), WRONG, ids=[f"{old} -> {new}" for old, new, *_ in WRONG]
)
def test_what_is_wrong_is_said_with_its_place(web, old, new, found, hint):
    web.replace(old, new)
    said = problems(web)
    assert len(said) == 1, said
    assert said[0].startswith(found)
    assert hint in said[0]


def test_everything_that_is_wrong_is_said_at_once(web):
    for old, new in [
        ("packages:", "packges:"),
        ("gid: 990", "gid: x"),
        ("files/site.conf", "files/none"),
        ("www-data", "nope"),
        ("users: [", "users: [{name: b, uid: 990, group: app}, "),
        ("http: {path: /}", "http: {}"),
    ]:
        web.replace(old, new)
    said = problems(web)
    assert [line.split(": ")[0].removeprefix(FILE + ":") for line in said] == [
        "4:1",
        "5:27",
        "6:59",
        "6:85",
        "9:14",
        "14:30",
    ]


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("name: web\nbase: {debian: bookworm\nfoo: [\n", "3:4"),
        ("name: web\n\tbase: x\n", "2:1"),
        ("name: *nothing\n", "1:7"),
        ("a: &a [*a]\n", "1:1"),
        ("", "1:1"),
        ("- a\n", "1:1"),
        ("name: x\n---\nname: y\n", "2:1"),
    ],
)
def test_yaml_that_is_no_recipe_has_a_place(web, text, place):
    web.file.write_text(text)
    assert problems(web)[0].startswith(f"{FILE}:{place}: ")


def test_aliases_of_aliases_end(web):
    lines = ["a: &a [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"{b}: &{b} [{', '.join(['*' + a] * 10)}]" for a, b in zip("abcdefg", "bcdefgh", strict=True)]
    web.file.write_text("\n".join(lines) + "\n")
    assert "more than" in problems(web)[0]


def test_bytes_that_are_no_text(web):
    web.file.write_bytes(b"name: \xff\n")
    assert "byte 6 is not UTF-8" in problems(web)[0]


def test_a_link_that_leaves_the_recipe_is_refused(web, tmp_path):
    (tmp_path / "secret").write_text("s")
    (web.path / "files" / "site.conf").unlink()
    (web.path / "files" / "site.conf").symlink_to(tmp_path / "secret")
    assert "a link that leaves the recipe's directory" in problems(web)[0]


@pytest.mark.parametrize("target", ["/etc/passwd", "../files/site.conf", "../../../x"])
def test_a_link_in_the_app_stays_in_the_app(web, target):
    (web.path / "app" / "link").symlink_to(target)
    assert f"app/link, a link to {target}, outside of app/" in problems(web)[0]


def test_a_pipe_in_the_app_is_refused(web):
    os.mkfifo(web.path / "app" / "pipe")
    assert "app/pipe, neither file nor directory" in problems(web)[0]


def test_recipes_are_found_by_directory(web, tmp_path):
    assert list(find_recipes(tmp_path / "image_recipes")) == ["web"]
    with pytest.raises(InputError, match="did you mean web"):
        find_recipe(tmp_path / "image_recipes", "wep")
    with pytest.raises(InputError, match="no directory"):
        find_recipes(tmp_path / "none")


def test_a_directory_whose_name_is_no_name(tmp_path):
    path = tmp_path / "Web_2" / "recipe.yaml"
    path.parent.mkdir()
    path.write_text("name: Web_2\nbase: {debian: bookworm}\nroot_volume: {size: 1GiB}\n")
    with pytest.raises(InputError) as caught:
        load_recipe(path)
    (problem,) = caught.value.problems
    assert (problem.line, problem.column, problem.found) == (1, 7, "text 'Web_2'")


def test_a_directory_that_is_missing_is_called_one(web):
    web.file.write_text(
        "name: web\nbase: {debian: bookworm}\nroot_volume: {size: 1GiB}\napp: {source: nope/, target:"
        " /srv/web}\n"
    )
    (problem,) = problems(web)
    assert "4:15: no directory nope/, expected it at image_recipes/web/nope" in problem


def test_another_fault_of_an_entry_does_not_hide_that_its_group_or_owner_is_not_declared(web):
    web.replace("uid: 990, group: app, groups: [www-data]", "uid: x, group: zzz, groups: [www-dat]")
    web.replace("{source: files/site.conf, ", "{source: files/site.conf, mode: 644, owner: nginx, ")
    web.replace("{source: app/, target: /srv/web, owner: app", "{source: app/, target: web, owner: app2")
    found = [text.split(", expected")[0] for text in problems(web)]
    assert found == [
        f"{FILE}:6:26: invalid value 'x'",
        f"{FILE}:6:36: the group 'zzz', which is not declared",
        f"{FILE}:6:50: the group 'www-dat', which is not declared",
        f"{FILE}:7:29: 'web', a relative path",
        f"{FILE}:7:41: the user 'app2', which is not declared",
        f"{FILE}:9:37: invalid value 644",
        f"{FILE}:9:49: the user 'nginx', which is not declared",
    ]


@pytest.mark.parametrize(
    ("text", "place", "hint"),
    [
        (
            "x: [",
            "1:5",
            "the […] or {…} that begins in line 1, column 5 has a mistake before this, or no end",
        ),
        (
            "a: {b: c\nd: e\n",
            "2:2",
            "the […] or {…} that begins in line 1, column 4 has a mistake before this, or no end",
        ),
        (
            "a: b: c\n",
            "1:5",
            "is the line indented as the others of its mapping? text with ': ' in it needs quotes",
        ),
        ("\tx: 1\n", "1:1", "indent with spaces: YAML takes no tab there"),
        ("a: 'b\n", "2:1", "the quoted text that begins in line 1, column 4 has no closing quote"),
        ("a: @x\n", "1:4", "text that begins with this character needs quotes"),
        (
            "- a\nb: c\n",
            "2:1",
            "is the line indented as the others of the list or mapping that begins in line 1, column 1?",
        ),
        ("a: *x\n", "1:4", None),
    ],
)
def test_yaml_that_does_not_parse_has_advice_and_not_the_parsers_rule(web, text, place, hint):
    web.file.write_text(text)
    (only,) = problems(web)
    assert only.startswith(f"{FILE}:{place}: YAML that does not parse: ")
    assert only.partition("\n  hint: ")[2] == (hint or "")


def test_an_unknown_key_that_is_near_none_names_all_keys(web):
    web.replace("packages: [apache2]", "zzzz: [apache2]")
    (only,) = problems(web)
    assert only == f"{FILE}:4:1: unknown key 'zzzz', expected one of {', '.join(Recipe.model_fields)}"


def test_a_package_that_is_near_is_named_and_no_other():
    names = [
        "mysqmail",
        "mysqltcl",
        "mysql-common",
        "mysql-workbench-data",
        "owhttpd",
        "apache2",
        "patch",
        "ava",
    ]
    assert close_to_package("apach2", names) == "did you mean apache2?"
    assert close_to_package("mysql", names) == "did you mean mysql-common or mysql-workbench-data?"
    assert close_to_package("ngnix", [*names, "nginx", "nginx-light"]) == "did you mean nginx?"
    assert close_to_package("httpd", names) is None
    assert close_to_package("java", names) is None


def test_a_name_that_is_none_is_said_once(web):
    web.replace("group: app, groups", "group: A B, groups")
    (only,) = problems(web)
    assert "invalid value 'A B'" in only


DEEP = "".join("  " * level + "a:\n" for level in range(1000))
# what is added to the recipe or replaces it, the place and the fault
HOSTILE = [
    ("tests: " + "[" * 1000 + "]" * 1000, "15:107: lists or mappings more than 100 levels deep"),
    (DEEP, "114:199: lists or mappings more than 100 levels deep"),
    ("steps: [" + "a, " * 200_000 + "]", "15:59802: more than 20000 values"),
    ("hostname: 0x" + "f" * 5000, "15:11: a number of more than 64 bits"),
    ("hostname: " + "9" * 5000, "15:11: text"),
    ('hostname: "\\ud800"', "15:11: text with half of a surrogate pair"),
    ('"\\udfff": 1', "15:1: a key with half of a surrogate pair"),
    ("services: " + "[" * 90 + "]" * 90, "15:11: a list"),
    (f"include: {'x/' * 2500}", f"15:10: the path {'x/' * 28}x…: File name too long"),
    (f"include: {'x' * 300}", f"15:10: the path {'x' * 57}…: File name too long"),
]


@pytest.mark.parametrize(("text", "fault"), HOSTILE, ids=[fault[:60] for _, fault in HOSTILE])
def test_hostile_text_is_a_problem_at_its_place(web, text, fault):
    web.file.write_text(web.file.read_text() + text + "\n")
    assert web.file.read_text().count("\n", 0, web.file.read_text().index(text)) == 14
    assert any(problem.startswith(f"{FILE}:{fault}") for problem in problems(web)), problems(web)


@pytest.mark.parametrize(
    ("old", "place"),
    [
        ("source: app/", "7:15"),
        ("source: files/site.conf", "9:14"),
        ("target: /srv/web", "7:29"),
        ("target: /etc/site.conf", "9:39"),
    ],
)
@pytest.mark.parametrize("length", [300, 5000])
def test_a_path_that_is_too_long_is_a_problem_at_its_place(web, old, place, length):
    key = old.partition(":")[0]
    web.replace(old, f"{key}: {'/' if key == 'target' else ''}{'x' * length}")
    assert [problem for problem in problems(web) if problem.startswith(f"{FILE}:{place}: ")]


@pytest.mark.parametrize("kind", ["a FIFO", "/dev/zero", "/dev/full", "a directory", "2 MiB"])
@pytest.mark.parametrize("file", ["image_recipes/web/recipe.yaml", "image_recipes/common.yaml"])
def test_a_recipe_that_is_no_file_or_too_large_is_not_read(web, file, kind):
    web.replace("name: web", "name: web\ninclude: ../common.yaml")
    path = web.path.parent.parent / file
    path.unlink(missing_ok=True)
    match kind:
        case "a FIFO":
            os.mkfifo(path)
        case "a directory":
            path.mkdir()
        case "2 MiB":
            path.write_text(" " * (2 << 20))
        case device:
            path.symlink_to(device)
    [problem] = problems(web)
    assert re.match(r"(image_recipes/(web/recipe|common)\.yaml(/recipe\.yaml)?|/dev/\w+):1:1: ", problem)


def test_no_more_problems_are_reported_than_somebody_reads(web):
    web.file.write_text(web.file.read_text() + "".join(f"key{number}: 1\n" for number in range(1000)))
    found = problems(web)
    assert len(found) == 101
    assert "900 more problems, the first of them here" in found[-1]
    assert found[-1].startswith(f"{FILE}:115:1: ")
