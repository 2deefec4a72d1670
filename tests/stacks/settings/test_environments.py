"""environments.yaml: what it gives, what goes before what, and the words for what is wrong with it."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from ingot.errors import InputError
from stacks.settings.config import Config
from stacks.settings.environments import read_environments
from stacks.settings.keys import Settings
from tests import ROOT

FILE = """\
defaults:
  max_clones: 6
  health_path: /up
environments:
  dev:
  prod:
    account: "111122223333"
    region: eu-central-1
    min_clones: 4
"""


@pytest.fixture
def read(tmp_path, monkeypatch):
    """Read settings with a file of this text."""
    monkeypatch.chdir(tmp_path)

    def reading(text=FILE, **context):
        Path("environments.yaml").write_text(text)
        return Config.read(context, environment={"CDK_DEFAULT_REGION": "us-west-2"})

    return reading


@pytest.fixture
def problems(read):
    """The lines that a wrong file is answered with."""

    def found(text, **context):
        with pytest.raises(InputError) as caught:
            read(text, **context)
        return str(caught.value).splitlines()

    return found


def test_an_environment_starts_from_the_defaults_of_the_file(read):
    config = read(env="prod")
    assert (config.min_clones, config.max_clones, config.health_path) == (4, 6, "/up")
    assert (config.account, config.region, config.env) == ("111122223333", "eu-central-1", "prod")


def test_without_a_name_the_defaults_of_the_file_apply(read):
    config = read()
    assert (config.min_clones, config.max_clones, config.region, config.env) == (2, 6, "us-west-2", None)


def test_the_context_goes_before_the_file(read):
    config = read(env="prod", max_clones="9", region="eu-north-1")
    assert (config.min_clones, config.max_clones, config.region) == (4, 9, "eu-north-1")


def test_stacks_are_named_by_their_environment(read):
    assert read().stack_name("IngotFleet") == "IngotFleet"
    assert read(env="prod").stack_name("IngotFleet") == "IngotFleet-prod"


def test_the_shared_store_is_no_matter_of_the_stacks(read):
    """`ingot bake` reads it: tests/pipeline/test_shared_store.py."""
    text = 'store: s3://images/ingot\nstore_owner: "111122223333"\ndefaults: {min_clones: 3}\n'
    assert read(text).min_clones == 3


def test_no_file_is_no_environments(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert Config.read({}, environment={}) == Config()
    with pytest.raises(InputError, match=r"no environment 'prod': there is no file environments.yaml"):
        Config.read({"env": "prod"}, environment={})


def test_an_unknown_environment_is_told_with_those_that_are(problems):
    assert problems(FILE, env="prd") == [
        "there is no environment 'prd' in environments.yaml; there is: dev, prod",
        "  hint: did you mean prod?",
    ]


def test_every_problem_comes_with_its_place_whichever_environment_is_deployed(problems):
    text = """\
default: {}
defaults:
  min_clone: 1
environments:
  Prod: {}
  dev: 3
  stage:
    account: 111122223333
    instance_type: small
    egress: perhaps
"""
    assert problems(text, env="dev") == [
        "environments.yaml:1:1: unknown key 'default', expected one of defaults, environments",
        "  hint: did you mean defaults?",
        "environments.yaml:3:3: unknown key 'min_clone'",
        "  hint: did you mean min_clones or max_clones or desired_clones?",
        (
            "environments.yaml:5:3: the name 'Prod', expected a name of up to 20 lower case letters, digits"
            " and -, such as prod"
        ),
        "environments.yaml:6:8: no mapping, expected a mapping: setting → value",
        "environments.yaml:8:14: invalid value 111122223333, expected an AWS account id of 12 digits",
        '  hint: put it in quotes: "111122223333"',
        "environments.yaml:9:20: invalid value 'small', expected an EC2 instance type such as t3.small",
        "environments.yaml:10:13: invalid value 'perhaps', expected true or false",
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "1:1: an empty file, expected environments"),
        ("- prod\n", "1:1: no mapping, expected the keys defaults and environments"),
        ("environments: [prod]\n", "1:15: no mapping, expected a mapping: NAME → settings"),
        ("environments: {dev: {}, dev: {}}\n", "1:25: key 'dev' a second time"),
        ("environments: {dev\n", "YAML that does not parse"),
    ],
)
def test_a_file_that_is_no_environments(problems, text, message):
    assert message in problems(text)[0]


def test_bounds_that_contradict_each_other_are_found_in_every_environment(problems):
    assert problems(FILE + "    max_clones: 3\n") == [
        "environments.yaml:9:5: min_clones 4, desired_clones 4 and max_clones 3 must not descend"
    ]
    assert (
        problems(FILE, env="prod", max_clones=3)[0]
        == "min_clones 4, desired_clones 4 and max_clones 3 must not descend"
    )


def test_environments_of_one_account_share_the_builder(problems, read):
    text = "environments:\n  dev: {}\n  prod: {builder_instance_type: c7i.xlarge}\n"
    assert problems(text) == [
        (
            "environments.yaml:3:10: builder_instance_type is c7i.xlarge here and the default in dev:"
            " both share the stack IngotBuilder"
        ),
        "  hint: set it under defaults, or give the environments an account or region of their own",
    ]
    read(text.replace("dev: {}", "dev: {region: eu-west-1}"))


def test_the_file_that_ships_is_right(tmp_path):
    environments = read_environments(ROOT / "environments.yaml")
    assert list(environments.named) == ["dev", "prod"]
    for name in environments.named:
        assert Config.read({"env": name}, environment={}, file=ROOT / "environments.yaml").env == name


def test_each_environment_has_stacks_of_its_own_beside_one_builder(make_app, project):
    (project / "environments.yaml").write_text(FILE)
    names = [stack.stack_name for stack in make_app(env="prod").node.children if hasattr(stack, "stack_name")]
    assert names == ["IngotBuilder", "IngotFleet-prod"]


def test_a_recipe_with_environments_is_read_in_the_one_of_the_stacks(make_app, project):
    (project / "environments.yaml").write_text("environments: {dev: {}, prod: {}}\n")

    def command(env):
        out = Path(make_app(env=env).synth().directory)
        files = json.loads((out / f"IngotFleet-{env}.assets.json").read_text())["files"].values()
        return next(file["source"]["executable"] for file in files if "executable" in file["source"])

    assert "--env" not in command("prod")  # a recipe without environments is one image for all
    recipe = project / "image_recipes" / "web" / "recipe.yaml"
    recipe.write_text(
        recipe.read_text() + "variables: {host: one}\nenvironments: {prod: {host: two}}\nhostname: ${host}\n"
    )
    assert command("prod")[5:7] == ["--env", "prod"]
    with pytest.raises(InputError, match="no environment 'dev', expected one of prod"):
        make_app(env="dev")


def test_every_key_is_documented_with_its_default():
    text = (ROOT / "docs" / "environments.md").read_text()
    rows = dict(re.findall(r"^\| `(\w+)` \| ([^|]*) \|", text, re.MULTILINE))
    assert list(rows) == list(Settings.model_fields)
    for key, known in Settings.model_fields.items():
        if known.default is True or known.default is False:
            assert rows[key] == ("yes" if known.default else "no"), key
        elif known.default not in (None, ()):
            assert rows[key].replace("`", "") == str(known.default), key


def test_a_mistake_ends_synthesis_with_a_sentence_and_no_traceback(tmp_path):
    for name in ("app.py", "stacks", "ingot", "image_recipes"):
        (tmp_path / name).symlink_to(ROOT / name)
    shutil.copy(ROOT / "environments.yaml", tmp_path)
    (tmp_path / "environments.yaml").open("a").write("    min_clones: 1\n")
    done = subprocess.run([sys.executable, "app.py"], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 2
    assert re.fullmatch(r"environments.yaml:\d+:5: key 'min_clones' a second time, .*\n", done.stderr)


@pytest.mark.parametrize("kind", ["a FIFO", "/dev/zero", "a directory", "2 MiB"])
def test_a_file_that_is_no_file_or_too_large_is_not_read(tmp_path, kind):
    path = tmp_path / "environments.yaml"
    match kind:
        case "a FIFO":
            os.mkfifo(path)
        case "a directory":
            path.mkdir()
        case "2 MiB":
            path.write_text(" " * (2 << 20))
        case device:
            path.symlink_to(device)
    with pytest.raises(InputError, match=r"environments\.yaml:1:1: .*, expected a file that can be read"):
        read_environments(path)
