"""Several machines publish one digest, and the registry's entry: who wins, what stays, what is taken back."""

from __future__ import annotations

import signal
import threading
from dataclasses import replace

import pytest

from ingot.aws.publish.publish import publish
from ingot.aws.registry import entries
from ingot.aws.registry.amis import snapshot_of
from ingot.aws.registry.entries import lookup
from ingot.aws.registry.published import find
from ingot.aws.session import tags
from ingot.errors import PublishError
from ingot.recipe.asset import registry_parameter
from tests.aws.support import holdings, make_image, result_line

pytestmark = pytest.mark.usefixtures("driven_clock")


def quiet(_message):
    """Progress that nobody reads."""


@pytest.fixture
def image(tmp_path, passing):
    return passing(make_image(tmp_path, ["a", None, "b"]))


@pytest.fixture
def elsewhere(settings, tmp_path):
    """The settings of another machine: it has journals of its own."""
    return replace(settings, records=tmp_path / "elsewhere")


def once(proxy, work):
    """Have ``work`` done when a console is asked for the first time."""
    console_of, done = proxy.console, []

    def console(instance_id):
        if not done:
            done.append(None)
            done[0] = work()
        return console_of(instance_id)

    proxy.console = console
    return done


def test_two_machines_publish_one_digest_and_the_first_to_finish_wins(
    image, clients, direct, proxy, settings, elsewhere
):
    first = once(proxy, lambda: publish(image, clients, elsewhere, quiet))
    second = publish(image, clients, settings, quiet)
    assert (second.ami_id, second.reused, first[0].reused) == (first[0].ami_id, True, False)
    assert proxy.seen["RegisterImage"] == 2
    assert holdings(direct) == {
        "snapshots": [second.snapshot_id],
        "images": [second.ami_id],
        "parameters": [registry_parameter("web", image.digest)],
    }


def test_a_name_begins_with_recipe_and_version_and_ends_with_the_publish(image, clients, direct, settings):
    published = publish(image, clients, settings, quiet)
    [ami] = direct.ec2.describe_images(ImageIds=[published.ami_id])["Images"]
    ami_tags = tags.tags_of(ami)
    assert ami["Name"] == f"ingot/web/{image.digest[:12]}/{ami_tags[tags.PUBLISH_ID][:12]}"


def test_an_ami_that_is_disabled_is_in_nobodys_way(image, clients, direct, settings):
    first = publish(image, clients, settings, quiet)
    direct.ec2.disable_image(ImageId=first.ami_id)
    direct.ssm.delete_parameter(Name=registry_parameter("web", image.digest))
    assert publish(image, clients, settings, quiet).ami_id != first.ami_id


def test_a_machine_whose_test_fails_leaves_an_adopted_ami_to_the_others(
    image, clients, direct, proxy, settings, elsewhere
):
    untested = publish(image, clients, replace(settings, clone=None), quiet)
    passed = once(proxy, lambda: publish(image, clients, elsewhere, quiet))
    console_of = proxy.console

    def console(instance_id):
        text = console_of(instance_id)
        return text if not passed or passed[0] is None else result_line(image, failing="apache runs")

    proxy.console = console
    with pytest.raises(PublishError, match="1 of 2 tests failed"):
        publish(image, clients, settings, quiet)
    assert passed[0].ami_id == untested.ami_id == lookup(direct.ssm, "web", image.digest)
    assert find(direct, "web", image.digest) is not None
    assert "instances" not in holdings(direct)


def twin(direct, ami_id):
    """Register the AMI that another machine made of the same image and published; return its id."""
    [ami] = direct.ec2.describe_images(ImageIds=[ami_id])["Images"]
    values = tags.tags_of(ami) | {tags.STATE: tags.PUBLISHED, tags.PUBLISH_ID: "another"}
    mapping = {"DeviceName": ami["RootDeviceName"], "Ebs": {"SnapshotId": snapshot_of(ami)}}
    return direct.ec2.register_image(
        Name=f"{ami['Name']}-twin",
        Architecture=ami["Architecture"],
        RootDeviceName=ami["RootDeviceName"],
        BlockDeviceMappings=[mapping],
        VirtualizationType="hvm",
        EnaSupport=True,
        TagSpecifications=[{"ResourceType": "image", "Tags": tags.tag_list(values)}],
    )["ImageId"]


def test_an_adopted_ami_that_comes_second_stays_and_is_untested(image, clients, direct, proxy, settings):
    untested = publish(image, clients, replace(settings, clone=None), quiet)
    name = registry_parameter("web", image.digest)

    def other_machine():
        ami_id = twin(direct, untested.ami_id)
        direct.ssm.put_parameter(Name=name, Value=ami_id, Type="String")
        return ami_id

    other = once(proxy, other_machine)
    assert publish(image, clients, settings, quiet).ami_id == other[0]
    [ami] = direct.ec2.describe_images(ImageIds=[untested.ami_id])["Images"]
    assert tags.tags_of(ami)[tags.STATE] == tags.UNTESTED


def test_an_interrupt_after_the_entry_was_put_takes_it_back(image, clients, direct, proxy, settings):
    main = threading.main_thread().ident
    proxy.fail("PutParameter", lost=True, times=1, then=lambda: signal.pthread_kill(main, signal.SIGINT))
    with pytest.raises(KeyboardInterrupt):
        publish(image, clients, settings, quiet)
    assert holdings(direct) == {}


def test_an_entry_that_is_not_ours_is_not_taken_back(
    image, clients, direct, proxy, settings, passing, tmp_path
):
    other = publish(passing(make_image(tmp_path, ["x"], name="other")), clients, settings, quiet)
    passing(image)
    name = registry_parameter("web", image.digest)

    def other_machine():
        direct.ssm.put_parameter(Name=name, Value=other.ami_id, Type="String")

    proxy.fail("PutParameter", code="AccessDeniedException", times=1, then=other_machine)
    with pytest.raises(PublishError, match="PutParameter"):
        publish(image, clients, settings, quiet)
    assert lookup(direct.ssm, "web", image.digest) == other.ami_id
    assert holdings(direct)["images"] == [other.ami_id]


def test_while_the_entry_cannot_be_taken_back_its_ami_stays(
    image, clients, direct, proxy, settings, tmp_path
):
    proxy.fail("PutParameter", lost=True, code="AccessDeniedException", times=1)
    proxy.fail("DeleteParameter", code="AccessDeniedException", times=1)
    with pytest.raises(PublishError, match="still there: parameter /ingot/web/"):
        publish(image, clients, settings, quiet)
    ami_id = lookup(direct.ssm, "web", image.digest)
    assert holdings(direct)["images"] == [ami_id]
    assert publish(image, clients, settings, quiet).ami_id == ami_id
    assert not list((tmp_path / "records" / "publishing").glob("*.json"))


def test_a_stale_entry_is_written_over_not_deleted(image, clients, direct, proxy, settings):
    first = publish(image, clients, settings, quiet)
    direct.ec2.deregister_image(ImageId=first.ami_id)
    # AWS: a deleted parameter's name is not to be used again for 30 s at least.
    proxy.seen.clear()
    second = publish(image, clients, settings, quiet)
    assert lookup(direct.ssm, "web", image.digest) == second.ami_id != first.ami_id
    assert proxy.seen["DeleteParameter"] == 0


def test_an_entry_that_is_being_validated_is_waited_for(image, clients, direct, proxy, settings):
    first = publish(image, clients, settings, quiet)
    proxy.fail("GetParameter", code="ParameterNotFound", times=4)
    assert entries.put(clients, "web", image.digest, "1", "ami-0123456789abcdef0") == first.ami_id
