"""Who retires images may do that, and needs every word of it."""

import datetime as dt
import re
from functools import partial

import pytest
from botocore.exceptions import ClientError

from ingot.aws.prune.plan import Rules, plan_prune
from ingot.aws.prune.prune import prune
from ingot.aws.session.failures import DENIED, code_of
from localcloud.core.permissions.policy import allowed
from tests.audit.account import actions, document, narrowed, widened
from tests.audit.publisher import fails_without, quiet
from tests.aws.prune.account import Account
from tests.aws.prune.test_prune import LATER

POLICY = document("prune")


class Gardener:
    """The scenes of a prune. Each leaves one image, and fails when another one stays."""

    def __init__(self, account):
        self.account, self.root = Account(account.root), account.root

    def clear(self):
        for template in self.root.ec2.describe_launch_templates()["LaunchTemplates"]:
            if template["LaunchTemplateName"] == "fleet":
                self.root.ec2.delete_launch_template(LaunchTemplateName="fleet")
        images = self.root.ec2.describe_images(Owners=["self"], IncludeDisabled=True)["Images"]
        for image in images:
            self.root.ec2.deregister_image(ImageId=image["ImageId"], DeleteAssociatedSnapshots=True)
        for shot in self.root.ec2.describe_snapshots(OwnerIds=["self"])["Snapshots"]:
            self.root.ec2.delete_snapshot(SnapshotId=shot["SnapshotId"])

    def plan(self, clients, **rules):
        return plan_prune(clients, Rules(keep=1, **rules), dt.datetime.now(dt.UTC) + LATER)

    def retires(self, clients):
        """An old image, an old version and a snapshot without an AMI go; a parameter
        names a template's AMI.
        """
        self.clear()
        self.account.snapshot()
        old, new = self.account.image(), self.account.image()
        [entry] = [name for name in self.entries() if name[1] == new]
        self.account.template("fleet", new, old, new, f"resolve:ssm:{entry[0]}")
        done = prune(clients, self.plan(clients, versions=2), quiet)
        assert (len(done.images), len(done.versions), len(done.snapshots), done.stayed) == (1, 1, 2, [])

    def entries(self):
        pages = self.root.ssm.get_paginator("get_parameters_by_path").paginate(Path="/ingot", Recursive=True)
        return [(p["Name"], p["Value"]) for page in pages for p in page["Parameters"]]

    def gives_back(self, clients):
        """An image that came into use between the first and the second look is what it was."""
        self.clear()
        used = self.account.image()
        self.account.image()
        plan = self.plan(clients)
        self.account.template("fleet", used)
        done = prune(clients, plan, quiet)
        assert (len(done.spared), done.stayed) == (1, [])
        assert used in [value for _, value in self.entries()]

    @property
    def scenes(self):
        return [self.retires, self.gives_back]


@pytest.fixture(scope="module")
def gardener(account):
    return Gardener(account)


@pytest.fixture(scope="module")
def needed_by(account, gardener):
    clients = account.clients_with(POLICY)
    return {scene.__name__: account.asked(lambda scene=scene: scene(clients)) for scene in gardener.scenes}


def test_the_policy_is_enough_and_nothing_in_it_is_unused(needed_by):
    assert {action for _, action in actions(POLICY)} == set().union(*needed_by.values())


@pytest.mark.parametrize(("number", "action"), actions(POLICY))
def test_without_one_action_the_prune_fails(number, action, account, gardener, needed_by):
    scenes = [scene for scene in gardener.scenes if action in needed_by[scene.__name__]]
    fails_without(account, POLICY, number, action, scenes)


@pytest.fixture(scope="module")
def denied(account, gardener):
    """The accesses of attempts on what is not Ingot's; all must be refused."""
    gardener.clear()
    ec2 = account.root.ec2
    calls = []
    clients = account.clients_with(POLICY)
    for tag in ("ingot:recipe", "ingot:digest", "ingot:publish-id"):
        # Others' tags may say one thing or another of Ingot's: all of them together are Ingot's alone.
        foreign = gardener.account.image()
        [image] = ec2.describe_images(ImageIds=[foreign])["Images"]
        snapshot = image["BlockDeviceMappings"][0]["Ebs"]["SnapshotId"]
        ec2.delete_tags(Resources=[foreign, snapshot], Tags=[{"Key": tag}])
        calls += [
            partial(clients.ec2.disable_image, ImageId=foreign),
            partial(clients.ec2.deregister_image, ImageId=foreign),
            partial(clients.ec2.delete_snapshot, SnapshotId=snapshot),
        ]
    gardener.account.template("other-team", foreign, foreign, ours=False)
    [template] = ec2.describe_launch_templates(LaunchTemplateNames=["other-team"])["LaunchTemplates"]
    account.denied()
    found = []
    for call in (
        *calls,
        lambda: clients.ec2.delete_launch_template_versions(
            LaunchTemplateId=template["LaunchTemplateId"], Versions=["2"]
        ),
        lambda: clients.ssm.delete_parameter(Name="/prod/password"),
    ):
        with pytest.raises(ClientError) as caught:
            call()
        assert code_of(caught.value) in DENIED
        found += account.denied()
    return found


@pytest.mark.parametrize(("number", "operator", "key"), narrowed(POLICY))
def test_what_is_not_of_ingot_is_safe_by_each_condition(number, operator, key, denied):
    assert [access for access in denied if allowed([widened(POLICY, number, operator, key)], access)]


def test_who_prunes_starts_nothing_and_makes_nothing():
    creating = [
        action for _, action in actions(POLICY) if re.search(":(Run|Start|Create|Register|Modify)", action)
    ]
    assert not creating
