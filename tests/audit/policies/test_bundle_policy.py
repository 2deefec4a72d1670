"""Who keeps a bundle in a bucket: its parts are written for EC2, read back and removed."""

import pytest

from ingot.aws.instance_store.bucket import BundlePlace, get, put, remove
from tests.audit.account import actions, document
from tests.audit.publisher import fails_without
from tests.aws.archive.test_images import make_bucket

POLICY = document("bundle", BUCKET="bundles")
PLACE = BundlePlace("bundles", "golden/web/")
PARTS = {"image.manifest.xml": b"<manifest/>", "image.part.00": b"a part"}


def keeps(clients):
    """Write a bundle's objects, read one and remove all."""
    for name, data in PARTS.items():
        put(clients, PLACE, name, data)
    assert get(clients, PLACE, "image.part.00") == b"a part"
    assert remove(clients, PLACE) == len(PARTS)


@pytest.fixture(scope="module", autouse=True)
def bucket(account):
    make_bucket(account.root, "bundles")
    account.root.s3.put_bucket_ownership_controls(
        Bucket="bundles", OwnershipControls={"Rules": [{"ObjectOwnership": "BucketOwnerPreferred"}]}
    )


def test_the_policy_is_enough_and_nothing_in_it_is_unused(account):
    asked = account.asked(lambda: keeps(account.clients_with(POLICY)))
    assert asked == {action for _, action in actions(POLICY)}


@pytest.mark.parametrize(("number", "action"), actions(POLICY))
def test_without_one_action_a_bundle_is_not_kept(number, action, account):
    fails_without(account, POLICY, number, action, [keeps])


def test_an_object_of_another_prefix_is_not_removed_with_the_rights_of_one(account):
    put(account.root, BundlePlace("bundles", "other/"), "part", b"theirs")
    narrow = document("bundle", BUCKET="bundles")
    narrow["Statement"][1]["Resource"] = "arn:aws:s3:::bundles/golden/*"
    clients = account.clients_with(narrow)
    with pytest.raises(clients.s3.exceptions.ClientError, match="AccessDenied"):
        remove(clients, BundlePlace("bundles", "other/"))
    assert get(account.root, BundlePlace("bundles", "other/"), "part") == b"theirs"
