"""The bit-for-bit proof: what EBS holds is what was baked."""

from __future__ import annotations

import hashlib
import random
import struct

import pytest

from ingot.aws.publish.publish import publish
from ingot.aws.session import tags
from ingot.aws.verify.image import ami_of, verify_image
from ingot.blocks import BLOCK_SIZE, ZERO_DIGEST
from ingot.errors import InputError, PublishError, VerificationError
from tests.aws.support import make_disk_image, make_image
from tests.outputs import document_of


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
def test_one_flipped_bit_is_found_and_its_block_named(index, image, clients, settings, known, blocks_of):
    published = publish(image, clients, settings, quiet)
    _, paths = blocks_of(published.snapshot_id)
    data = bytearray(paths[index].read_bytes())
    data[4711] ^= 1
    paths[index].write_bytes(data)
    verdict = verify_image(clients, published.ami_id, manifest_of=known.get, progress=quiet)
    assert (verdict.ok, verdict.read.differing) == (False, (index,))
    assert document_of("verify image", verdict.as_dict())["differing_blocks"] == [index]


def test_a_flipped_bit_in_a_block_of_ebs_is_named_with_the_file_that_it_belongs_to(
    tmp_path, clients, settings, known, passing, blocks_of
):
    content = {path: random.Random(path).randbytes(1_200_000) for path in ("/srv/one", "/srv/two")}
    image = passing(make_disk_image(tmp_path, content))
    published = publish(image, clients, settings, quiet)
    index = image.disk.read_bytes().index(content["/srv/two"][600_000:600_100]) // BLOCK_SIZE
    _, paths = blocks_of(published.snapshot_id)
    data = bytearray(paths[index].read_bytes())
    data[4711] ^= 1
    paths[index].write_bytes(data)
    verdict = verify_image(
        clients,
        published.ami_id,
        manifest_of=known.get,
        progress=quiet,
        disk_of={image.digest: image.disk}.get,
    )
    said = document_of("verify image", verdict.as_dict())
    assert (said["differing_blocks"], said["contents"]) == ([index], {str(index): ["/srv/two"]})


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
    with pytest.raises(InputError, match="there is no AMI ami-0123456789abcdef0"):
        verify_image(clients, "ami-0123456789abcdef0", manifest_of=known.get, progress=quiet)
    published = publish(image, clients, settings, quiet)
    clients.ec2.delete_tags(Resources=[published.ami_id], Tags=[{"Key": tags.ROOT_DIGEST}])
    with pytest.raises(VerificationError, match=r"manifest of web .* has no tag ingot:root-digest"):
        verify_image(clients, published.ami_id, manifest_of=lambda _digest: None, progress=quiet)


def with_table(image):
    """Give the image's disk the header of a partition table (GPT: its own end in AlternateLBA)."""
    data = bytearray(image.disk.read_bytes())
    data[512:520] = b"EFI PART"
    struct.pack_into("<Q", data, 512 + 32, len(data) // 512 - 1)
    image.disk.write_bytes(data)
    disk = image.manifest["disk"]
    disk["blocks"][0] = hashlib.sha256(data[:BLOCK_SIZE]).hexdigest()
    digests = (bytes.fromhex(digest or ZERO_DIGEST) for digest in disk["blocks"])
    disk["root_digest"] = hashlib.sha256(b"".join(digests)).hexdigest()
    return image


def test_without_the_manifest_the_tag_says_what_the_root_digest_is(image, clients, settings, blocks_of):
    published = publish(with_table(image), clients, settings, quiet)

    def verdict():
        return verify_image(clients, published.ami_id, manifest_of=lambda _digest: None, progress=quiet)

    good = verdict()
    assert (good.ok, good.by_manifest) == (True, False)
    assert good.read.root_digest == image.manifest["disk"]["root_digest"]
    _, paths = blocks_of(published.snapshot_id)
    data = bytearray(paths[3].read_bytes())
    data[4711] ^= 1
    paths[3].write_bytes(data)
    assert not verdict().ok
    assert verdict().as_dict()["expected_by"] == "tag"


def test_without_the_manifest_a_disk_needs_a_partition_table(image, clients, settings):
    published = publish(image, clients, settings, quiet)
    with pytest.raises(PublishError, match=r"snap-\w+ has no partition table: not a disk of Ingot"):
        verify_image(clients, published.ami_id, manifest_of=lambda _digest: None, progress=quiet)
