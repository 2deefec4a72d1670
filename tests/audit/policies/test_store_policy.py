"""Who has EC2 store images in a bucket, restores them, and removes what no record names."""

from datetime import UTC, datetime

import pytest

from ingot.aws.archive.bucket import Bucket
from ingot.aws.archive.images import GRACE
from ingot.aws.archive.location import ArchiveLocation
from ingot.aws.archive.stored import collect_stored, find_stored, restore_stored, store
from ingot.aws.publish.settings import PublishSettings
from ingot.recipe.asset import registry_parameter
from tests.audit.account import actions, document
from tests.audit.publisher import Publisher, fails_without, quiet
from tests.aws.archive.test_images import make_bucket
from tests.aws.archive.test_stored import check

POLICY = document("store", BUCKET="images")
# A restored image is published, and read back before.
OTHERS = (document("publish"), document("look"))


class Keeper:
    """The scenes. Each image is stored once, so each scene has its own."""

    def __init__(self, account, publisher):
        self.account, self.publisher = account, publisher
        self.owner = account.root.sts.get_caller_identity()["Account"]
        make_bucket(account.root, "images")

    def bucket(self, clients):
        return Bucket(clients, ArchiveLocation("images", "golden"), self.owner)

    def published(self):
        published = self.publisher.publishes(self.account.root_by_proxy)
        return published, self.publisher.newest.manifest

    def stores(self, clients):
        published, manifest = self.published()
        bucket = self.bucket(clients)
        bucket.check()
        store(clients, bucket, published, manifest, quiet)

    def restores(self, clients):
        published, manifest = self.published()
        store(self.account.root, self.bucket(self.account.root), published, manifest, quiet)
        self.account.root.ec2.deregister_image(ImageId=published.ami_id)
        self.account.root.ssm.delete_parameter(Name=registry_parameter(published.recipe, published.digest))
        settings = PublishSettings(
            self.publisher.directory / "records", None, pace=0.01, check_snapshot=check(clients)
        )
        bucket = self.bucket(clients)
        again = restore_stored(clients, bucket, find_stored(bucket, published.digest), settings, quiet)
        assert again.ami_id != published.ami_id
        # It is untested, since no clone ran.
        self.account.root.ec2.deregister_image(ImageId=again.ami_id, DeleteAssociatedSnapshots=True)

    def collects(self, clients):
        published, manifest = self.published()
        bucket = self.bucket(self.account.root)
        store(self.account.root, bucket, published, manifest, quiet)
        key = bucket.location.stored(published.recipe, published.digest)
        self.account.root.s3.delete_object(Bucket="images", Key=key)
        assert collect_stored(clients, self.bucket(clients), datetime.now(UTC) + 2 * GRACE).objects

    @property
    def scenes(self):
        return [self.stores, self.restores, self.collects]


@pytest.fixture(scope="module")
def keeper(account, consoles, builder_stack, tmp_path_factory):
    return Keeper(account, Publisher(account, consoles, tmp_path_factory.mktemp("publisher")))


@pytest.fixture(scope="module")
def needed_by(account, keeper):
    clients = account.clients_with(POLICY, *OTHERS)
    return {scene.__name__: account.asked(lambda scene=scene: scene(clients)) for scene in keeper.scenes}


def test_nothing_in_the_policy_is_unused(needed_by):
    assert {action for _, action in actions(POLICY)} <= set().union(*needed_by.values())


@pytest.mark.parametrize(("number", "action"), actions(POLICY))
def test_without_one_action_an_image_is_not_stored_not_restored_or_not_collected(
    number, action, account, keeper, needed_by
):
    scenes = [scene for scene in keeper.scenes if action in needed_by[scene.__name__]]
    fails_without(account, POLICY, number, action, scenes, *OTHERS)


def test_without_a_right_of_s3_or_of_ebs_direct_the_task_itself_is_refused(account, keeper):
    """EC2 reads and writes as the caller: the task's own action is not enough."""
    published, _ = keeper.published()
    for left_out in ("s3:PutObject", "ebs:GetSnapshotBlock"):
        granted = [
            {**statement, "Sid": f"S{number}", "Action": rest}
            for number, statement in enumerate(s for policy in (POLICY, *OTHERS) for s in policy["Statement"])
            if (rest := [one for one in statement["Action"] if one != left_out])
        ]
        clients = account.clients_with({"Version": "2012-10-17", "Statement": granted})
        with pytest.raises(clients.ec2.exceptions.ClientError, match="UnauthorizedOperation"):
            clients.ec2.create_store_image_task(ImageId=published.ami_id, Bucket="images")
        assert {access.action for access in account.denied()} == {left_out}
