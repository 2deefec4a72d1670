import pytest

from ingot.errors import InputError
from ingot.recipe.compile import compile_spec
from ingot.recipe.digest import recipe_digest
from ingot.recipe.load import environments, load_recipe
from ingot.recipe.syntax.include import SHIPPED
from tests import ROOT

FILE = "image_recipes/web/recipe.yaml"
COMMON = """\
name: common
base: {debian: trixie}
root_volume: {size: 1GiB}
packages: [curl]
groups: [{name: ops, gid: 1500}]
files:
  - {source: motd, target: /etc/motd}
services: {enable: [ssh]}
steps: [echo common]
kernel_command_line: quiet
drop: {man: false}
"""


@pytest.fixture
def common(web):
    """A recipe that includes ../common/recipe.yaml; returns the file that is included."""
    directory = web.path.parent / "common"
    directory.mkdir()
    (directory / "motd").write_text("hello\n")
    (directory / "recipe.yaml").write_text(COMMON)
    web.file.write_text("include: ../common/recipe.yaml\n" + web.file.read_text())
    return directory / "recipe.yaml"


def problems(web):
    with pytest.raises(InputError) as caught:
        load_recipe(web.file)
    return [str(problem) for problem in caught.value.problems]


def test_lists_append_and_single_values_are_overridden(web, common):
    web.replace("steps:", "services: {enable: [apache2], mask: [cron]}\ndrop: {docs: false}\nsteps:")
    recipe = load_recipe(web.file)
    assert recipe.name == "web"
    assert recipe.packages == ("curl", "apache2")
    assert [group.name for group in recipe.groups] == ["ops", "app"]
    assert [step.run for step in recipe.steps] == ["echo common", "a2ensite site", "a2enmod headers"]
    assert recipe.base.debian == "bookworm"
    assert recipe.root_volume.size == 2 * 2**30
    assert recipe.kernel_command_line == "quiet"
    assert recipe.services.model_dump(exclude_defaults=True) == {
        "enable": ("ssh", "apache2"),
        "mask": ("cron",),
    }
    assert (recipe.drop.docs, recipe.drop.man, recipe.drop.locales) == (False, False, True)


def test_a_step_that_both_have_runs_twice_and_a_package_or_unit_is_named_once(web, common):
    common.write_text(
        COMMON.replace("[echo common]", "[ldconfig, {run: echo}]").replace("[curl]", "[curl, apache2]")
    )
    web.replace("steps:", "services: {enable: [ssh, apache2]}\nsteps:\n  - ldconfig\n  - {run: echo}")
    recipe = load_recipe(web.file)
    ran = ["ldconfig", "echo", "ldconfig", "echo", "a2ensite site", "a2enmod headers"]
    assert [step.run for step in recipe.steps] == ran
    assert recipe.packages == ("curl", "apache2")
    assert recipe.services.enable == ("ssh", "apache2")


def test_a_base_is_one_choice(web, common):
    common.write_text(COMMON.replace("debian: trixie", "ubuntu: noble"))
    assert load_recipe(web.file).base.ubuntu is None


def test_sources_are_relative_to_the_file_that_names_them(web, common):
    recipe = load_recipe(web.file)
    files = {file.target: file for file in compile_spec(recipe_locked(web, recipe)).files}
    for target, text in (("/etc/motd", "hello\n"), ("/etc/site.conf", "x\n")):
        assert (recipe.source_root / files[target].source).read_text() == text
        assert ".." not in files[target].source


def recipe_locked(web, recipe):
    web.lock.write_text(web.lock.read_text().replace('["apache2"]', '["apache2", "curl"]'))
    return recipe


def test_steps_are_found_in_their_file(web, common):
    steps = compile_spec(recipe_locked(web, load_recipe(web.file))).steps
    assert [(step.file, step.line) for step in steps] == [
        ("../common/recipe.yaml", 9),
        ("recipe.yaml", 12),
        ("recipe.yaml", 13),
    ]


def test_moving_a_part_into_a_file_of_its_own_is_the_same_image(web):
    before = recipe_digest(load_recipe(web.file))
    part = web.path.parent / "parts" / "app.yaml"
    (part.parent / "here").mkdir(parents=True)
    (part.parent / "here" / "s.conf").write_text("x\n")
    part.write_text(
        "packages: [apache2]\ngroups: [{name: app, gid: 990}]\nfiles: [{source: here/s.conf, target:"
        " /etc/site.conf}]\n"
    )
    web.replace("packages: [apache2]\ngroups: [{name: app, gid: 990}]\n", "include: [../parts/app.yaml]\n")
    web.replace("files:\n  - {source: files/site.conf, target: /etc/site.conf}\n", "")
    assert recipe_digest(load_recipe(web.file)) == before


def test_what_both_name_is_named_once(web, common):
    common.write_text(COMMON.replace("[curl]", "[curl, apache2]"))
    assert load_recipe(web.file).packages == ("curl", "apache2")


def test_variables_meet(web, common):
    common.write_text(
        COMMON.replace("[echo common]", "['echo ${who} ${place}']")
        + "variables: {who: common, place: here}\nenvironments: {prod: {place: there}}\n"
    )
    web.file.write_text(web.file.read_text() + "variables: {who: web}\nenvironments: {prod: {who: prod}}\n")
    assert environments(web.file) == [None, "prod"]
    assert load_recipe(web.file).steps[0].run == "echo web here"
    assert load_recipe(web.file, "prod").steps[0].run == "echo prod there"


def test_an_include_of_an_include(web, common):
    (common.parent / "deep.yaml").write_text("packages: [vim-tiny]\nhostname: deep\n")
    common.write_text("include: [deep.yaml]\n" + COMMON)
    recipe = load_recipe(web.file)
    assert recipe.packages == ("vim-tiny", "curl", "apache2")
    assert recipe.hostname == "deep"


def test_a_file_that_is_reached_twice_counts_once(web, common):
    (common.parent / "deep.yaml").write_text("groups: [{name: deep, gid: 1600}]\n")
    common.write_text("include: [deep.yaml]\n" + COMMON)
    web.replace("include: ../common/recipe.yaml", "include: [../common, ../common/deep.yaml]")
    assert [group.name for group in load_recipe(web.file).groups] == ["deep", "ops", "app"]


# what stands in the included file, what the problem says
WRONG = [
    (("packages:", "packges:"), "image_recipes/common/recipe.yaml:4:1: unknown key 'packges'"),
    (("gid: 1500", "gid: 15"), "image_recipes/common/recipe.yaml:5:27: invalid value 15"),
    (
        ("source: motd", "source: mtd"),
        "image_recipes/common/recipe.yaml:7:14: no file mtd, expected it at image_recipes/common/mtd",
    ),
    (
        ("source: motd", "source: ../web/files/site.conf"),
        "image_recipes/common/recipe.yaml:7:14: source '../web",
    ),
    (("enable: [ssh]", "enable: [[x]]"), "image_recipes/common/recipe.yaml:8:21: a list"),
    (
        ("gid: 1500", "gid: 990"),
        (
            f"{FILE}:6:27: gid 990 a second time, expected a gid that is not used yet: "
            "group ops in image_recipes/common/recipe.yaml:5 has it"
        ),
    ),
    (
        ("/etc/motd", "/etc/site.conf"),
        (
            f"{FILE}:10:39: /etc/site.conf again, expected it once: "
            "image_recipes/common/recipe.yaml:7 sets it already"
        ),
    ),
    ((COMMON, "- a list\n"), "image_recipes/common/recipe.yaml:1:1: no mapping"),
    ((COMMON, ""), "image_recipes/common/recipe.yaml:1:1: an empty file"),
    ((COMMON, "a: [\n"), "image_recipes/common/recipe.yaml:2:1: YAML that does not parse"),
    ((COMMON, "steps: ['echo ${x}']"), "image_recipes/common/recipe.yaml:1:9: the variable 'x'"),
]


@pytest.mark.parametrize(("change", "said"), WRONG, ids=[said for _, said in WRONG])
def test_what_is_wrong_is_said_where_it_stands(web, common, change, said):
    common.write_text(COMMON.replace(*change))
    found = problems(web)
    assert len(found) == 1, found
    assert found[0].startswith(said)


INCLUDES = [
    ("../commn/recipe.yaml", f"{FILE}:1:10: no file ../commn/recipe.yaml"),
    ("/etc/recipe.yaml", f"{FILE}:1:10: the absolute path /etc/recipe.yaml"),
    ("3", f"{FILE}:1:10: no path"),
    ("[../common, {}]", f"{FILE}:1:22: no path"),
    ("recipe.yaml", f"{FILE}:1:10: a circular include: {FILE} → {FILE}"),
]


@pytest.mark.parametrize(("text", "said"), INCLUDES, ids=[text for text, _ in INCLUDES])
def test_a_wrong_include(web, common, text, said):
    web.replace("include: ../common/recipe.yaml", f"include: {text}")
    found = problems(web)
    assert len(found) == 1, found
    assert found[0].startswith(said)


def test_a_circle_over_two_files_is_named_where_it_closes(web, common):
    common.write_text(COMMON + "include: ../web\n")
    [problem] = problems(web)
    assert problem.startswith("image_recipes/common/recipe.yaml:12:10: a circular include: ")
    assert f"{FILE} → image_recipes/common/recipe.yaml → {FILE}" in problem


def test_a_stale_lock_names_the_package_where_it_stands(web, common):
    with pytest.raises(InputError) as caught:
        recipe_digest(load_recipe(web.file))
    [problem] = map(str, caught.value.problems)
    assert problem.startswith("image_recipes/common/recipe.yaml:4:12: the lock lacks the package 'curl'")


def test_a_file_that_ships_is_included_by_its_name(web):
    web.replace("base:", 'include: ["ingot:comfort"]\nbase:')
    packages = load_recipe(web.file).packages
    assert {"curl", "ca-certificates", "less", "nano"} < set(packages)
    assert packages[-1] == "apache2"


@pytest.mark.parametrize("name", ["ingot:comfrt", "ingot:../schema/model", "ingot:", "ingot:/etc/passwd"])
def test_a_file_that_does_not_ship_is_named_with_those_that_do(web, name):
    web.replace("base:", f'include: ["{name}"]\nbase:')
    with pytest.raises(InputError) as caught:
        load_recipe(web.file)
    [problem] = map(str, caught.value.problems)
    assert problem.startswith(f"image_recipes/web/recipe.yaml:2:11: {name}")
    assert "ingot:comfort" in problem


SHIPPED_FILES = sorted(file.stem for file in SHIPPED.glob("*.yaml"))


@pytest.mark.parametrize("name", SHIPPED_FILES)
def test_each_file_that_ships_is_read_with_nothing_wrong_and_documented(web, name):
    web.replace("base:", f'include: ["ingot:{name}"]\nbase:')
    assert load_recipe(web.file).name == "web"
    assert f"| `ingot:{name}` |" in (ROOT / "docs" / "recipe.md").read_text()


@pytest.mark.parametrize(
    ("name", "variables", "address"),
    [
        (
            "ssm-agent",
            "ssm_agent_version: 3.3.1611.0, ssm_agent_build: debian_arm64",
            "https://s3.us-east-1.amazonaws.com/amazon-ssm-us-east-1"
            "/3.3.1611.0/debian_arm64/amazon-ssm-agent.deb",
        ),
        (
            "cloudwatch-agent",
            "cloudwatch_agent_version: 1.300062.0b1304",
            "https://amazoncloudwatch-agent.s3.amazonaws.com/debian/amd64"
            "/1.300062.0b1304/amazon-cloudwatch-agent.deb",
        ),
    ],
)
def test_the_agents_of_aws_are_packages_of_a_version_that_the_recipe_chooses(web, name, variables, address):
    web.replace("base:", f'include: ["ingot:{name}"]\nvariables: {{{variables}}}\nbase:')
    recipe = load_recipe(web.file)
    [artifact] = recipe.artifacts
    assert (artifact.url, artifact.install) == (address, True)
    assert f"amazon-{name}" in recipe.services.enable
    assert any(test.service == f"amazon-{name}" for test in recipe.tests) == (name == "ssm-agent")
