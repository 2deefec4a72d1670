"""Base AMIs: what a lock keeps of them, and each way in which one is not what the lock says."""

from __future__ import annotations

import json
import subprocess

import pytest

from ingot.aws.builder.base_ami import as_locked, held_against, look_up
from ingot.cli.main import main
from ingot.errors import InputError, PublishError
from ingot.spec import BaseAmiSpec
from tests.aws.conftest import KEYS

ACCOUNT = "123456789012"


@pytest.fixture
def register(cloud, direct):
    """Register an AMI of this account on a snapshot of 3 GiB."""

    def make(name, **changed):
        shot = direct.ebs.start_snapshot(VolumeSize=3)["SnapshotId"]
        direct.ebs.complete_snapshot(SnapshotId=shot, ChangedBlocksCount=0)
        direct.ec2.get_waiter("snapshot_completed").wait(SnapshotIds=[shot], WaiterConfig={"Delay": 1})
        mapping = {"DeviceName": "/dev/sda1", "Ebs": {"SnapshotId": shot, "VolumeSize": 3}}
        request = {
            "Name": name,
            "Architecture": "x86_64",
            "RootDeviceName": "/dev/sda1",
            "BlockDeviceMappings": [mapping],
            "VirtualizationType": "hvm",
            "EnaSupport": True,
            "BootMode": "uefi-preferred",
        }
        ami_id = direct.ec2.register_image(**(request | changed))["ImageId"]
        direct.ec2.get_waiter("image_available").wait(ImageIds=[ami_id], WaiterConfig={"Delay": 1})
        return ami_id

    return make


@pytest.fixture
def base(register, direct):
    """The lock's view of a base AMI."""
    return look_up(direct, {"id": register("company-base-1")}, "x86_64")


def test_a_lock_keeps_id_owner_name_and_what_a_launch_needs(base):
    created = base.pop("created")
    assert created.startswith("20")
    assert base == {
        "id": base["id"],
        "owner": ACCOUNT,
        "name": "company-base-1",
        "root_device": "/dev/sda1",
        "root_size": 3,
        "boot_mode": "uefi-preferred",
    }


@pytest.mark.parametrize(("architecture", "mode"), [("arm64", "uefi"), ("x86_64", "legacy-bios")])
def test_an_ami_that_names_no_boot_mode_boots_as_its_architecture_does(architecture, mode, register, direct):
    [image] = direct.ec2.describe_images(ImageIds=[register("company-base-1", Architecture=architecture)])[
        "Images"
    ]
    del image["BootMode"]
    assert as_locked(image)["boot_mode"] == mode


def test_the_newest_of_a_name_is_taken_of_its_owner_alone(register, direct):
    names = [register(f"company-base-{number}") for number in (1, 2)]
    found = look_up(direct, {"name": "company-base-*", "owner": "self"}, "x86_64")
    newest = max(
        direct.ec2.describe_images(ImageIds=names)["Images"], key=lambda i: (i["CreationDate"], i["ImageId"])
    )
    assert found["id"] == newest["ImageId"]
    with pytest.raises(InputError, match=r"137112412989 has no x86_64 AMI of the name company-base-\*"):
        look_up(direct, {"name": "company-base-*", "owner": "137112412989"}, "x86_64")


def test_a_parameter_names_it(register, direct):
    ami_id = register("by-parameter")
    direct.ssm.put_parameter(Name="/images/base", Value=ami_id, Type="String")
    assert look_up(direct, {"ssm": "/images/base"}, "x86_64")["id"] == ami_id
    with pytest.raises(PublishError, match="there is no SSM parameter /images/none"):
        look_up(direct, {"ssm": "/images/none"}, "x86_64")


def test_an_ami_that_is_not_there_or_of_another_architecture_cannot_be_locked(register, direct):
    with pytest.raises(InputError, match=r"there is no AMI ami-00000000000000000 in us-east-1"):
        look_up(direct, {"id": "ami-00000000000000000"}, "x86_64")
    arm = register("arm", Architecture="arm64")
    with pytest.raises(InputError, match="is of arm64; the recipe is for x86_64"):
        look_up(direct, {"id": arm}, "x86_64")
    slow = register("slow", EnaSupport=False)
    with pytest.raises(InputError, match="has no ENA support"):
        look_up(direct, {"id": slow}, "x86_64")


BILLED = [
    (
        {"ProductCodes": [{"ProductCodeId": "4z9xg7", "ProductCodeType": "marketplace"}]},
        "the product code 4z9xg7",
    ),
    (
        {"PlatformDetails": "Red Hat Enterprise Linux", "UsageOperation": "RunInstances:0010"},
        "is billed as Red Hat",
    ),
    ({"PlatformDetails": "SUSE Linux"}, "is billed as SUSE Linux"),
    ({"PlatformDetails": "Ubuntu Pro", "UsageOperation": "RunInstances:0g00"}, "is billed as Ubuntu Pro"),
    ({"UsageOperation": "RunInstances:00g0"}, r"is billed as Linux/UNIX \(RunInstances:00g0\)"),
]


@pytest.mark.parametrize(("billing", "said"), BILLED)
def test_an_ami_that_is_billed_for_more_than_its_instance_is_no_base(
    billing, said, base, direct, monkeypatch
):
    """RegisterImage loses the billing product code (EC2 API reference)."""
    describe = direct.ec2.describe_images

    def describe_billed(**request):
        answer = describe(**request)
        return {**answer, "Images": [{**image, **billing} for image in answer["Images"]]}

    monkeypatch.setattr(direct.ec2, "describe_images", describe_billed)
    with pytest.raises(InputError, match=said):
        look_up(direct, {"id": base["id"]}, "x86_64")
    with pytest.raises(PublishError, match=said):
        locked(direct, "us-east-1", base)


def locked(clients, region, ami, architecture="x86_64"):
    return held_against(clients, {region: BaseAmiSpec(**ami)}, architecture)


def test_what_is_as_the_lock_says_is_taken(base, direct):
    assert locked(direct, "us-east-1", base) == BaseAmiSpec(**base)


def test_one_that_is_gone_or_no_longer_shared(base, direct):
    direct.ec2.deregister_image(ImageId=base["id"])
    with pytest.raises(PublishError, match=r"is gone from us-east-1, or no longer shared") as caught:
        locked(direct, "us-east-1", base)
    assert "ingot lock" in str(caught.value)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"owner": "210987654321"}, rf"belongs to {ACCOUNT}; the lock says 210987654321"),
        ({"name": "company-base-0"}, "has the name company-base-1; the lock says company-base-0"),
    ],
)
def test_one_that_is_another_than_the_locks(changed, said, base, direct):
    with pytest.raises(PublishError, match=said) as caught:
        locked(direct, "us-east-1", base | changed)
    assert "ingot lock" in str(caught.value)


def test_one_of_another_architecture(base, direct):
    with pytest.raises(PublishError, match="is of x86_64; the recipe is for arm64"):
        locked(direct, "us-east-1", base, "arm64")


def test_a_region_that_the_lock_does_not_have(base, direct):
    with pytest.raises(PublishError, match="the lock has no base AMI for us-east-1; it has: eu-central-1"):
        locked(direct, "eu-central-1", base)


@pytest.fixture
def upgrade(cloud, tmp_path, monkeypatch):
    """`ingot upgrade --dry-run` in a repository with a recipe on the newest AMI of a name."""
    directory = tmp_path / "image_recipes" / "own"
    directory.mkdir(parents=True)
    (directory / "recipe.yaml").write_text(
        'name: own\nbase: {ami: {name: "company-base-*", owner: "'
        + ACCOUNT
        + '"}}\nroot_volume: {size: 4GiB}\ntests:\n  - {name: it runs, command: "true"}\n'
    )
    identity = ("-c", "user.name=A", "-c", "user.email=a@example.com")
    for words in (("init", "--quiet"), (*identity, "commit", "--quiet", "--allow-empty", "--message", "x")):
        subprocess.run(["git", *words], cwd=tmp_path, check=True)
    for name, value in {
        "AWS_ENDPOINT_URL": cloud.endpoint,
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ACCESS_KEY_ID": KEYS["aws_access_key_id"],
        "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_EC2_METADATA_DISABLED": "true",
    }.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)

    def run(*command):
        words = command or ("upgrade", "--dry-run")
        with pytest.raises(SystemExit) as ended:
            main(list(words))
        assert not ended.value.code
        return directory / "recipe.lock"

    return run


def test_the_nightly_upgrade_moves_it(register, upgrade, direct, capfd, monkeypatch):
    register("company-base-1")
    lock = upgrade("lock", "own")
    before = lock.read_text()
    upgrade()
    assert "own: nothing moved" in capfd.readouterr().err
    register("company-base-2")
    images = direct.ec2.describe_images(Filters=[{"Name": "name", "Values": ["company-base-*"]}])["Images"]
    newest = max(images, key=lambda image: (image["CreationDate"], image["ImageId"]))["ImageId"]
    data = json.loads(before)
    data["ami"]["us-east-1"]["id"] = "ami-00000000"  # images of one second are told apart by their ids
    lock.write_text(json.dumps(data))
    upgrade()
    out = capfd.readouterr().out
    assert out.startswith("own:\n")
    assert "us-east-1 ami-00000000" in out
    assert newest in out
    assert json.loads(lock.read_text()) == data
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    upgrade()
    assert (
        "own: its base AMI is looked up in AWS, and there are no credentials: it stays"
        in capfd.readouterr().err
    )
