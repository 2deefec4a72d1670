"""A registry entry that names another AMI than its digest's is believed nowhere."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from ingot.aws.publish.publish import find_published, publish
from ingot.aws.registry.published import find
from ingot.aws.session import tags
from ingot.aws.verify.image import ami_of
from ingot.errors import VerificationError
from ingot.recipe.asset import registry_parameter
from tests.aws.support import holdings, make_image

pytestmark = pytest.mark.usefixtures("driven_clock")
# What is wrong with the AMI that the entry names: its tags that change (None: no such tag), and what the
# error says of it.
WRONG = {
    "untagged": (
        dict.fromkeys((tags.RECIPE, tags.DIGEST, tags.STATE, tags.ROOT_DIGEST)),
        "it has no tag ingot:recipe",
    ),
    "another recipe": ({tags.RECIPE: "api"}, "its ingot:recipe is api, not web"),
    "another digest": ({tags.DIGEST: "0" * 64}, f"its ingot:digest is {'0' * 64}"),
    "no state": ({tags.STATE: None}, "it has no tag ingot:state"),
    "in progress": ({tags.STATE: tags.IN_PROGRESS}, "its ingot:state is in-progress, not published"),
    "untested": ({tags.STATE: tags.UNTESTED}, "its ingot:state is untested, not published"),
    "another root digest": ({tags.ROOT_DIGEST: "0" * 64}, f"its ingot:root-digest is {'0' * 64}"),
    "no root digest": ({tags.ROOT_DIGEST: None}, "it has no tag ingot:root-digest"),
}


def quiet(_message):
    """Progress that nobody reads."""


@dataclass
class Entry:
    """An entry that names the AMI of something else."""

    image: object
    name: str
    ami_id: str
    said: str

    def check(self, caught):
        """The error names the entry, the AMI, what is wrong, and what to do."""
        text = str(caught.value)
        assert (
            f"{self.name} names {self.ami_id}, which is not the image of web {self.image.digest[:12]}" in text
        )
        assert self.said in text
        assert f"aws ssm delete-parameter --name {self.name}" in text


def own(ami_id, account):
    """Give an AMI of the local cloud another owner."""
    from moto.ec2.models import ec2_backends

    ec2_backends["123456789012"]["us-east-1"].amis[ami_id].owner_id = account


def spoil(clients, ami_id, changes):
    gone = [{"Key": key} for key, value in changes.items() if value is None]
    if gone:
        clients.ec2.delete_tags(Resources=[ami_id], Tags=gone)
    kept = {key: value for key, value in changes.items() if value is not None}
    if kept:
        clients.ec2.create_tags(Resources=[ami_id], Tags=tags.tag_list(kept))


@pytest.fixture(params=[*WRONG, "another owner", "the AMI of another image"])
def entry(request, tmp_path, clients, direct, settings, passing):
    image = passing(make_image(tmp_path, ["a", None, "b"]))
    published = publish(image, clients, settings, quiet)
    name = registry_parameter("web", image.digest)
    if request.param == "the AMI of another image":
        other = passing(make_image(tmp_path, ["x"], name="other"))
        ami_id = publish(other, clients, settings, quiet).ami_id
        direct.ssm.put_parameter(Name=name, Value=ami_id, Overwrite=True)
        return Entry(image, name, ami_id, f"its ingot:digest is {other.digest}")
    if request.param == "another owner":
        own(published.ami_id, "210987654321")
        said = "it belongs to the account 210987654321, not to 123456789012"
        return Entry(image, name, published.ami_id, said)
    changes, said = WRONG[request.param]
    spoil(direct, published.ami_id, changes)
    return Entry(image, name, published.ami_id, said)


def test_no_command_believes_it(entry, clients, direct, settings, known):
    before = holdings(direct)
    with pytest.raises(VerificationError) as caught:
        find(clients, "web", entry.image.digest, known.get)
    entry.check(caught)
    with pytest.raises(VerificationError) as caught:
        find_published(clients, "web", entry.image.digest, known.get)
    entry.check(caught)
    with pytest.raises(VerificationError) as caught:
        publish(entry.image, clients, settings, quiet)
    entry.check(caught)
    with pytest.raises(VerificationError) as caught:
        ami_of(clients, "web", entry.image.digest, known.get)
    entry.check(caught)
    assert holdings(direct) == before


def test_a_right_one_is_believed(tmp_path, clients, settings, passing, known):
    image = passing(make_image(tmp_path, ["a"]))
    published = publish(image, clients, settings, quiet)
    assert find(clients, "web", image.digest, known.get).ami_id == published.ami_id
    assert find(clients, "web", image.digest).ami_id == published.ami_id
    assert ami_of(clients, "web", image.digest, known.get) == published.ami_id


def test_an_image_on_a_base_ami_may_have_been_baked_elsewhere(tmp_path, clients, settings, passing, known):
    """Its packages are those of the day: another machine's bake of the same digest has
    another root digest.
    """
    image = passing(make_image(tmp_path, ["a"]))
    published = publish(image, clients, settings, quiet)
    elsewhere = make_image(tmp_path, ["b"], name="elsewhere").manifest
    known[image.digest] = {**image.manifest, "disk": elsewhere["disk"], "base": {"us-east-1": {}}}
    assert find(clients, "web", image.digest, known.get).ami_id == published.ami_id
    del known[image.digest]["base"]
    with pytest.raises(VerificationError, match="the manifest on this machine says"):
        find(clients, "web", image.digest, known.get)


def test_a_tested_ami_that_no_entry_names_is_checked_before_it_is_entered(
    tmp_path, clients, direct, settings, passing, known
):
    image = passing(make_image(tmp_path, ["a"]))
    published = publish(image, clients, settings, quiet)
    direct.ssm.delete_parameter(Name=registry_parameter("web", image.digest))
    spoil(direct, published.ami_id, {tags.ROOT_DIGEST: "0" * 64})
    with pytest.raises(VerificationError, match=rf"the tags of {published.ami_id} say that it is web"):
        publish(image, clients, settings, quiet)


def test_the_winner_of_a_race_is_checked_too(tmp_path, clients, direct, proxy, settings, passing):
    """Another machine's entry is taken for this digest only when its AMI is this digest's; ours goes."""
    other = publish(passing(make_image(tmp_path, ["x"], name="other")), clients, settings, quiet)
    image = passing(make_image(tmp_path, ["a"]))
    name = registry_parameter("web", image.digest)
    says = proxy.console

    def console(instance_id):
        direct.ssm.put_parameter(Name=name, Value=other.ami_id, Type="String", Overwrite=True)
        return says(instance_id)

    proxy.console = console
    with pytest.raises(VerificationError, match=rf"{name} names {other.ami_id}, which is not"):
        publish(image, clients, settings, quiet)
    assert holdings(direct)["images"] == [other.ami_id]
