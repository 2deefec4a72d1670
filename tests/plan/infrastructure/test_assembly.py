"""The reader of cloud assemblies, on what the real CDK writes of an app with stages."""

from pathlib import Path

import aws_cdk as cdk
import pytest
from aws_cdk import aws_s3 as s3

from ingot.errors import InputError
from ingot.plan.infrastructure.assembly import read_assembly
from ingot.recipe.asset import PublishCommand

DIGEST, OTHER = "4f" * 32, "5e" * 32


class _WithImage(cdk.Stack):
    """A stack with a golden image as `GoldenImage` adds it: an asset whose executable publishes it."""

    def __init__(self, scope, id_, digest, **settings):
        super().__init__(scope, id_, **settings)
        s3.CfnBucket(self, "Bucket")
        command = PublishCommand("python", "web", digest).words()
        self.synthesizer.add_file_asset(source_hash=digest, executable=command)


@pytest.fixture(scope="module")
def assembly(tmp_path_factory):
    app = cdk.App(outdir=str(tmp_path_factory.mktemp("assembly") / "cdk.out"))
    cdk.Stack(app, "Plain")
    stage = cdk.Stage(app, "Prod", env=cdk.Environment(account="111111111111", region="eu-west-1"))
    _WithImage(stage, "Fleet", DIGEST)
    _WithImage(cdk.Stage(stage, "Inner"), "Deep", OTHER, stack_name="named")
    return read_assembly(Path(app.synth().directory))


def test_stacks_of_stages_are_found(assembly):
    assert {name: stack.selector for name, stack in assembly.stacks.items()} == {
        "Plain": "Plain",
        "Prod-Fleet": "Prod/Fleet",
        "named": "Prod/Inner/Deep",
    }


def test_templates_and_assets_are_those_of_the_stack(assembly):
    fleet = assembly.stacks["Prod-Fleet"]
    assert [resource["Type"] for resource in fleet.template["Resources"].values()] == ["AWS::S3::Bucket"]
    assert fleet.assets == {}, "the template and the golden image are no assets to show"
    assert (fleet.account, fleet.region) == ("111111111111", "eu-west-1")
    assert (assembly.stacks["Plain"].account, assembly.stacks["Plain"].region) == (None, None)


def test_golden_images_of_stages_are_found(assembly):
    assert [(image.stack, image.recipe, image.digest) for image in assembly.images] == [
        ("named", "web", OTHER),
        ("Prod-Fleet", "web", DIGEST),
    ]
    assert assembly.images[1].command == PublishCommand("python", "web", DIGEST)


def test_the_places_and_the_bootstrap_of_stages_count(assembly):
    assert assembly.accounts(["Plain", "named"]) == ("111111111111",)
    assert assembly.regions(["Plain"]) == ()
    assert assembly.bootstrap == ("/cdk-bootstrap/hnb659fds/version",)


@pytest.mark.parametrize(
    ("patterns", "names"),
    [
        (None, ["named", "Prod-Fleet", "Plain"]),
        (["named", "Plain"], ["named", "Plain"]),
        (["Prod/Fleet"], ["Prod-Fleet"]),
        (["Prod/*"], ["Prod-Fleet"]),
        (["Prod/**"], ["named", "Prod-Fleet"]),
        (["*"], ["Plain"]),
        (["Prod/Inner/Deep", "Pl*", "Plain"], ["named", "Plain"]),
    ],
)
def test_stacks_are_selected_by_name_or_as_cdk_deploy_does(assembly, patterns, names):
    assert list(assembly.select(patterns)) == names


def test_a_pattern_of_no_stack_is_refused(assembly):
    with pytest.raises(
        InputError, match="there is no stack 'Prod/Flet'; the app has: named, Prod-Fleet, Plain"
    ):
        assembly.select(["Plain", "Prod/Flet"])


def test_the_cdk_is_told_paths(assembly):
    assert assembly.selectors(["named", "Plain"]) == ["Prod/Inner/Deep", "Plain"]


def test_stacks_of_one_name_in_several_stages_are_kept_apart(tmp_path):
    app = cdk.App(outdir=str(tmp_path / "cdk.out"))
    for number, name in enumerate(("Test", "Prod")):
        stage = cdk.Stage(app, name, env=cdk.Environment(account=f"{number}" * 12, region="eu-west-1"))
        cdk.Stack(stage, "Fleet", stack_name="Fleet")
    assembly = read_assembly(Path(app.synth().directory))
    assert [*assembly.stacks] == ["Test/Fleet", "Prod/Fleet"]
    assert assembly.select(["Fleet"]) == ("Test/Fleet", "Prod/Fleet")
