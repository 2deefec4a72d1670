"""The bit-for-bit proof: what EBS holds is what was baked."""

from __future__ import annotations

import pytest

from ingot.aws.publish import publish
from ingot.errors import PublishError, VerificationError
from ingot.fleet.image import ami_of, verify_image
from ingot.localcloud.ebs import blocks_of
from tests.aws.support import make_image


def quiet(_message):
    """Progress that nobody reads."""


@pytest.fixture
def image(tmp_path, passing):
    return passing(make_image(tmp_path, ["a", None, "b", "c"]))


def test_a_published_image_reads_back_bit_for_bit(image, clients, settings, known):
    published = publish(image, clients, settings, quiet)
    assert ami_of(clients, "web", image.digest) == published.ami_id
    verdict = verify_image(clients, published.ami_id, manifest_of=known.get, progress=quiet)
    assert verdict.ok
    assert verdict.read.root_digest == image.manifest["disk"]["root_digest"]
    assert verdict.read.blocks_read == 3


@pytest.mark.parametrize("index", [0, 3])
def test_one_flipped_bit_is_found_and_its_block_named(index, image, clients, settings, known):
    published = publish(image, clients, settings, quiet)
    _, paths = blocks_of(published.snapshot_id)
    data = bytearray(paths[index].read_bytes())
    data[4711] ^= 1
    paths[index].write_bytes(data)
    verdict = verify_image(clients, published.ami_id, manifest_of=known.get, progress=quiet)
    assert (verdict.ok, verdict.read.differing) == (False, (index,))
    assert verdict.as_dict()["differing_blocks"] == [index]


def test_a_child_reads_back_whole(tmp_path, image, clients, settings, known, passing):
    publish(image, clients, settings, quiet)
    child = passing(make_image(tmp_path, [None, "z", "b", "c"], name="child"))
    published = publish(child, clients, settings, quiet)
    assert published.blocks_sent == 2
    assert verify_image(clients, published.ami_id, manifest_of=known.get, progress=quiet).ok


def test_reading_goes_on_after_throttling(image, clients, proxy, settings, known):
    published = publish(image, clients, settings, quiet)
    proxy.fail("GetSnapshotBlock", code="RequestThrottledException", times=3)
    proxy.fail("ListSnapshotBlocks", code="InternalServerException", status=500, times=1)
    assert verify_image(clients, published.ami_id, manifest_of=known.get, progress=quiet).ok


def test_a_block_that_cannot_be_read_is_an_error_not_a_difference(image, clients, proxy, settings, known):
    published = publish(image, clients, settings, quiet)
    proxy.fail("GetSnapshotBlock", code="AccessDeniedException", status=403)
    with pytest.raises(PublishError, match=r"read block \d+ of snap-\w+: GetSnapshotBlock was refused"):
        verify_image(clients, published.ami_id, manifest_of=known.get, progress=quiet)


def test_what_is_not_there_is_said_so(image, clients, settings, known):
    with pytest.raises(VerificationError, match="is not published in us-east-1"):
        ami_of(clients, "web", image.digest)
    with pytest.raises(VerificationError, match="there is no AMI ami-0123456789abcdef0"):
        verify_image(clients, "ami-0123456789abcdef0", manifest_of=known.get, progress=quiet)
    published = publish(image, clients, settings, quiet)
    with pytest.raises(VerificationError, match="manifest of web"):
        verify_image(clients, published.ami_id, manifest_of=lambda _digest: None, progress=quiet)
