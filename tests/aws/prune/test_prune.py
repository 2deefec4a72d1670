"""Old images are retired; nothing that is in use, wherever, is ever removed."""

from __future__ import annotations

import datetime as dt

import pytest
from botocore.exceptions import ClientError

from ingot.aws.prune.plan import Rules, plan_prune
from ingot.aws.prune.prune import prune
from ingot.aws.registry.entries import lookup
from tests.aws.prune.account import Account, tag_list
from tests.aws.support import holdings

pytestmark = pytest.mark.usefixtures("driven_clock")
LATER = dt.timedelta(days=30)


def quiet(_message):
    """Progress that nobody reads."""


def planned(clients, **rules):
    """The plan as it will be in a month."""
    given = {"keep": 1, **rules}
    return plan_prune(clients, Rules(**given), dt.datetime.now(dt.UTC) + LATER)


def pruned(clients, **rules):
    return prune(clients, planned(clients, **rules), quiet)


@pytest.fixture
def account(direct):
    return Account(direct)


def reasons(clients, ami_id, **rules):
    [image] = [image for image in planned(clients, **rules).images if image.ami_id == ami_id]
    return image.reasons


def test_only_the_newest_of_each_recipe_stay(account, clients, direct):
    old, new = account.image(), account.image()
    other = account.image("api")
    plan = planned(clients)
    assert [image.ami_id for image in plan.going] == [old]
    assert reasons(clients, new) == ("one of the newest 1 of web",)
    assert reasons(clients, other) == ("one of the newest 1 of api",)
    before = holdings(direct)
    done = prune(clients, plan, quiet)
    assert (done.images, done.stayed, done.spared) == ([old], [], [])
    after = holdings(direct)
    assert set(after["images"]) == {new, other}
    assert len(after["snapshots"]) == len(before["snapshots"]) - 1
    assert len(after["parameters"]) == len(before["parameters"]) - 1
    assert planned(clients).empty


def test_the_registry_is_asked_about_the_newest_alone(account, clients):
    """It has an entry for every image that was ever published, and an answer holds ten of them."""
    web, api = ([account.image(recipe) for _ in range(6)] for recipe in ("web", "api"))
    account.image("web", entered=False)  # the registry does not name the newest: one more of web counts
    asked = []
    clients.ssm.meta.events.register(
        "provide-client-params.ssm.*", lambda params, model, **_: asked.append((model.name, params))
    )
    plan = planned(clients, keep=2)
    assert {i.ami_id for i in plan.images if "one of the newest" in " ".join(i.reasons)} == {
        *web[-2:],
        *api[-2:],
    }
    assert [operation for operation, _ in asked] == ["GetParameters"] * 2
    assert [len(params["Names"]) for _, params in asked] == [4, 1]


def test_looking_changes_nothing(account, clients, direct, proxy):
    account.image()
    account.image()
    before = holdings(direct)
    assert not planned(clients).empty
    assert holdings(direct) == before
    assert not [name for name in proxy.seen if not name.startswith(("Describe", "Get"))]


def test_what_is_young_stays(account, clients):
    account.image()
    account.image()
    plan = plan_prune(clients, Rules(keep=1), dt.datetime.now(dt.UTC))
    assert plan.empty
    assert "younger than 7 days" in plan.images[0].reasons


def test_other_recipes_are_left_alone(account, clients):
    account.image(), account.image(), account.image("api"), account.image("api")
    assert {image.recipe for image in planned(clients, recipes=("api",)).images} == {"api"}


@pytest.mark.parametrize("state", ["running", "stopped"])
def test_what_an_instance_runs_stays(state, account, clients, direct):
    used = account.image()
    launched = direct.ec2.run_instances(ImageId=used, MinCount=1, MaxCount=1)["Instances"][0]["InstanceId"]
    if state == "stopped":
        direct.ec2.stop_instances(InstanceIds=[launched])
    account.image()
    assert reasons(clients, used) == (f"used by instance {launched} ({state})",)
    direct.ec2.terminate_instances(InstanceIds=[launched])
    assert reasons(clients, used) == ()


def test_what_any_version_of_any_launch_template_names_stays(account, clients):
    first, second, foreign = account.image(), account.image(), account.image()
    account.template("fleet", first, second)
    account.template("other-team", foreign, ours=False)
    account.image()
    assert reasons(clients, first) == ("used by launch template fleet version 1, its default, which stays",)
    assert reasons(clients, second) == ("used by launch template fleet version 2",)
    assert reasons(clients, foreign) == (
        "used by launch template other-team version 1, its default, which stays",
    )


def test_all_pages_are_read(account, clients, direct):
    """EC2 gives launch templates and their versions in pages of 200."""
    used, last = account.image(), account.image()
    account.template("fleet", *[last] * 201, used)
    account.image()
    assert reasons(clients, used) == ("used by launch template fleet version 202",)


def test_what_a_launch_template_names_by_a_parameter_stays(account, clients, direct):
    used = account.image()
    direct.ssm.put_parameter(Name="/team/image", Value=used, Type="String")
    account.template(
        "aliased", "resolve:ssm:/team/image", "resolve:ssm:/team/none", "resolve:ssm:/aws/service/x"
    )
    account.image()
    assert reasons(clients, used) == ("used by launch template aliased version 1, its default, which stays",)


def test_what_a_group_would_launch_stays(account, clients):
    used, overridden = account.image(), account.image()
    account.template("fleet", used, overridden)
    account.template("small", overridden)
    account.group("by-number", LaunchTemplate={"LaunchTemplateName": "fleet", "Version": "1"})
    mixed = {
        "LaunchTemplateSpecification": {"LaunchTemplateName": "fleet", "Version": "$Latest"},
        "Overrides": [
            {"LaunchTemplateSpecification": {"LaunchTemplateName": "small", "Version": "$Default"}}
        ],
    }
    account.group("mixed", MixedInstancesPolicy={"LaunchTemplate": mixed})
    account.image()
    assert "used by Auto Scaling group by-number" in reasons(clients, used)
    assert "used by Auto Scaling group mixed" in reasons(clients, overridden)


def test_what_a_launch_configuration_names_stays(account, clients, direct):
    used = account.image()
    direct.autoscaling.create_launch_configuration(
        LaunchConfigurationName="old", ImageId=used, InstanceType="t3.small"
    )
    account.image()
    assert reasons(clients, used) == ("used by launch configuration old",)


def test_what_is_shared_or_protected_or_in_progress_stays(account, clients, direct):
    shared, protected, making = account.image(), account.image(), account.image(state="in-progress")
    direct.ec2.modify_image_attribute(ImageId=shared, LaunchPermission={"Add": [{"UserId": "111122223333"}]})
    direct.ec2.enable_image_deregistration_protection(ImageId=protected)
    account.image()
    assert reasons(clients, shared) == ("is shared with 111122223333",)
    assert reasons(clients, protected) == ("is protected from deregistration",)
    assert reasons(clients, making)[0].startswith("is being published")


def test_foreign_images_are_not_even_looked_at(account, clients, direct):
    direct.ec2.create_tags(Resources=[ami := account.image()], Tags=tag_list({"x": "y"}))
    direct.ec2.delete_tags(Resources=[ami], Tags=[{"Key": "ingot:recipe"}])
    assert planned(clients).images == ()


# What volumes of a fleet's clones have of an image's tags, and what would be left of a publish's.
COPIED = [
    {"ingot:recipe": "web"},
    {"ingot:recipe": "web", "ingot:digest": "1" * 64},
    {"ingot:recipe": "web", "ingot:publish-id": "1" * 32},
    {"ingot:recipe": "web", "ingot:publish-id": "1" * 32, "ingot:digest": ""},
]


@pytest.mark.parametrize("copied", COPIED)
def test_backups_of_clones_are_not_ingots(copied, account, clients, direct):
    """Lifecycle Manager copies a volume's tags to its snapshots; an AMI of a clone may have the clone's."""
    ec2 = direct.ec2
    volume = ec2.create_volume(AvailabilityZone="us-east-1a", Size=1)["VolumeId"]
    backup = ec2.create_snapshot(
        VolumeId=volume, TagSpecifications=[{"ResourceType": "snapshot", "Tags": tag_list(copied)}]
    )["SnapshotId"]
    ami_id = account.image(entered=False)
    ours = ["ingot:state", *account.marks("0" * 64)]
    ec2.delete_tags(Resources=[ami_id], Tags=[{"Key": key} for key in ours])
    ec2.create_tags(Resources=[ami_id], Tags=tag_list(copied))
    done = pruned(clients)
    assert (done.images, done.stayed) == ([], [])
    found = holdings(direct)
    assert backup in found["snapshots"]
    assert found["images"] == [ami_id]
    [image] = ec2.describe_images(ImageIds=[ami_id])["Images"]
    assert "DeprecationTime" not in image


def test_old_versions_go_first_when_asked_for(account, clients, direct):
    amis = [account.image() for _ in range(5)]
    account.template("fleet", *amis)
    account.template("other-team", amis[1], ours=False)
    account.group("fleet", LaunchTemplate={"LaunchTemplateName": "fleet", "Version": "3"})
    assert planned(clients).going == ()
    plan = planned(clients, versions=2)
    # 1 is the default, 3 the group's, 4 and 5 the newest: 2 alone can go, and another team's template keeps
    # its AMI.
    assert [version.number for version in plan.versions] == [2]
    assert plan.going == ()
    direct.ec2.delete_launch_template(LaunchTemplateName="other-team")
    done = pruned(clients, versions=2)
    assert (len(done.versions), done.images, done.stayed) == (1, [amis[1]], [])


def test_a_snapshot_without_an_ami_goes(account, clients, direct):
    orphan, making = account.snapshot(), account.snapshot(state="in-progress")
    kept = account.image()
    done = pruned(clients)
    assert (done.snapshots, done.images) == ([orphan], [])
    assert making in holdings(direct)["snapshots"]
    assert holdings(direct)["images"] == [kept]


def test_a_snapshot_of_two_amis_goes_with_the_last(account, clients, direct):
    snapshot = account.snapshot()
    # EC2 dates AMIs to the second: which of the two is the newer one may be left open.
    both = {account.image(snapshot=snapshot), account.image(snapshot=snapshot)}
    done = pruned(clients)
    assert (len(done.images), done.snapshots, done.stayed) == (1, [], [])
    assert set(holdings(direct)["images"]) == both - set(done.images)
    assert holdings(direct)["snapshots"] == [snapshot]


def test_what_comes_into_use_meanwhile_is_given_back(account, clients, direct, proxy):
    used, gone = account.image(), account.image()
    account.image()
    plan = planned(clients)
    digest = plan.images[0].digest
    account.template("fleet", used)
    done = prune(clients, plan, quiet)
    assert done.spared == [(used, "used by launch template fleet version 1, its default, which stays")]
    assert done.images == [gone]
    [image] = direct.ec2.describe_images(ImageIds=[used])["Images"]
    assert (image["State"], image.get("DeprecationTime")) == ("available", None)
    assert lookup(direct.ssm, "web", digest) == used


@pytest.mark.parametrize(
    "operation",
    [
        "DescribeImages",
        "DescribeInstances",
        "DescribeLaunchTemplates",
        "DescribeLaunchTemplateVersions",
        "DescribeAutoScalingGroups",
        "DescribeLaunchConfigurations",
        "DescribeImageAttribute",
        "GetParameters",
        "DescribeSnapshots",
    ],
)
def test_who_cannot_look_removes_nothing(operation, account, clients, direct, proxy):
    account.template("fleet", account.image())
    account.image()
    account.image()
    before = holdings(direct)
    proxy.fail(operation, code="UnauthorizedOperation", status=403)
    with pytest.raises(ClientError, match=operation):
        pruned(clients)
    assert holdings(direct) == before


@pytest.mark.parametrize(
    "operation",
    ["EnableImageDeprecation", "DeleteParameter", "DisableImage", "DeregisterImage"],
)
def test_what_fails_for_one_does_not_keep_the_others(operation, account, clients, direct, proxy):
    first, second = account.image(), account.image()
    kept = account.image()
    proxy.fail(operation, code="UnauthorizedOperation", status=403, times=1)
    done = pruned(clients)
    assert done.images == [second]
    [(what, why)] = done.stayed
    assert what == first
    assert why.startswith(operation)
    proxy.heal()
    assert pruned(clients).images == [first], "the next prune goes on"
    assert holdings(direct)["images"] == [kept]


def test_when_the_second_look_fails_nothing_is_deregistered(account, clients, direct, proxy):
    old = account.image()
    account.image()
    proxy.fail("DescribeAutoScalingGroups", code="Throttling", status=400, after=2)
    done = pruned(clients)
    assert done.images == []
    assert "disabled, not deregistered" in done.stayed[0][1]
    proxy.heal()
    assert pruned(clients).images == [old]


@pytest.mark.parametrize("operation", ["DisableImage", "DeregisterImage", "DeleteParameter"])
def test_a_lost_answer_costs_nothing(operation, account, clients, direct, proxy):
    account.image()
    kept = account.image()
    proxy.fail(operation, lost=True, times=1)
    assert pruned(clients).stayed == []
    assert holdings(direct)["images"] == [kept]
    assert pruned(clients).stayed == []
    assert len(holdings(direct)["snapshots"]) == 1
