"""Bundles: what other programs make of them, and what unbundling says of those that were damaged."""

import hashlib
import random
import shutil

import pytest

from ingot.aws.instance_store.bundle import LARGEST, MANIFEST, PART_SIZE, DiskSource, bundle, unbundle
from ingot.aws.instance_store.keys import BundleKeys, load_private_key
from ingot.aws.instance_store.manifest import read_manifest
from ingot.aws.publish.blocks import BlockMap, DiskReader
from ingot.blocks import BLOCK_SIZE
from ingot.errors import InputError, PublishError, VerificationError
from ingot.process import run
from tests.aws.instance_store.conftest import small_image

ACCOUNT, EPOCH = "123456789012", 1_750_000_000


def noise(number):
    """A block that no program makes smaller."""
    return random.Random(number).randbytes(BLOCK_SIZE)


@pytest.fixture
def image(tmp_path):
    """A disk of 24 MiB: noise that takes more than one part, with holes between."""
    return small_image(tmp_path, [None if n % 3 == 2 else noise(n) for n in range(48)])


def bundled(image, keys):
    """Return the objects of an image's bundle by their names."""
    objects = {}
    blocks = BlockMap.of(image.manifest)
    with DiskReader(image.disk, blocks) as reader:
        source = DiskSource(blocks.size, ACCOUNT, "x86_64", EPOCH, lambda index: reader.read(index)[0])
        bundle(source, keys, objects.__setitem__)
    return objects


def read_back(objects, key, write=lambda index, block: None):
    return unbundle(*read_manifest(objects[MANIFEST]), key, objects.__getitem__, write)


def test_what_was_bundled_comes_out_again(image, keys):
    objects = bundled(image, keys)
    assert [name for name in objects if name != MANIFEST] == ["image.part.00", "image.part.01"]
    assert len(objects["image.part.00"]) == PART_SIZE
    written = {}
    found = read_back(objects, keys.private, written.__setitem__)
    assert found.root_digest == image.manifest["disk"]["root_digest"]
    assert list(found.blocks) == image.manifest["disk"]["blocks"]
    assert written == {n: noise(n) for n in range(48) if n % 3 != 2}


@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not among Ingot's needs")
def test_openssl_and_tar_unbundle_it_with_ec2s_key(image, keys, pairs, tmp_path):
    objects = bundled(image, keys)
    manifest, signed = read_manifest(objects[MANIFEST])
    secrets = []
    for number, secret in enumerate(manifest.for_ec2):
        (tmp_path / f"secret{number}").write_bytes(secret)
        decrypt = ["openssl", "pkeyutl", "-decrypt", "-inkey", pairs["ec2"][0], "-in"]
        secrets.append(run([*decrypt, tmp_path / f"secret{number}"]).stdout)
    packed = b"".join(objects[part.name] for part in manifest.parts)
    (tmp_path / "packed").write_bytes(packed)
    decrypt = ["openssl", "enc", "-d", "-aes-128-cbc", "-K", secrets[0], "-iv", secrets[1]]
    run([*decrypt, "-in", tmp_path / "packed", "-out", tmp_path / "image.tar.gz"])
    run(["tar", "-xzf", tmp_path / "image.tar.gz", "-C", tmp_path])
    assert (tmp_path / "image").read_bytes() == image.disk.read_bytes()
    (tmp_path / "signed").write_bytes(signed)
    (tmp_path / "signature").write_bytes(manifest.signature)
    (tmp_path / "user.pem").write_text(
        run(["openssl", "x509", "-in", pairs["user"][1], "-pubkey", "-noout"]).stdout
    )
    check = [
        "openssl",
        "dgst",
        "-sha1",
        "-verify",
        tmp_path / "user.pem",
        "-signature",
        tmp_path / "signature",
    ]
    assert run([*check, tmp_path / "signed"]).stdout == "Verified OK\n"


def test_the_manifest_counts_and_names(image, keys):
    objects = bundled(image, keys)
    manifest, _ = read_manifest(objects[MANIFEST])
    assert (manifest.account, manifest.architecture, manifest.size) == ("123456789012", "x86_64", 24 << 20)
    assert manifest.bundled_size == sum(len(data) for name, data in objects.items() if name != MANIFEST)
    for part in manifest.parts:
        assert hashlib.sha1(objects[part.name]).hexdigest() == part.sha1
    # Each time another key: nobody who reads one bundle can read the next one.
    assert bundled(image, keys)["image.part.01"] != objects["image.part.01"]


def test_a_flipped_bit_is_named_with_its_part_and_block(image, keys):
    objects = bundled(image, keys)
    damaged = bytearray(objects["image.part.01"])
    damaged[1000] ^= 1
    with pytest.raises(VerificationError, match=r"image\.part\.01 is damaged") as caught:
        read_back(objects | {"image.part.01": bytes(damaged)}, keys.private)
    # 10 MiB of noise, with a hole after each two blocks, come before it.
    assert "the disk's block 28 and" in caught.value.message


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (b"<user>123456789012<", b"<user>210987654321<"),
        (b"<architecture>x86_64<", b"<architecture>i386<"),
        (b"<size>25165824<", b"<size>25165825<"),
    ],
)
def test_a_manifest_that_was_changed_is_not_signed(image, keys, before, after):
    objects = bundled(image, keys)
    assert before in objects[MANIFEST]
    with pytest.raises(VerificationError, match="not signed with this key, or was changed"):
        read_back(objects | {MANIFEST: objects[MANIFEST].replace(before, after)}, keys.private)


def test_a_bundle_of_another_user_is_not_read(image, keys, pairs):
    with pytest.raises(VerificationError, match="not signed with this key"):
        read_back(bundled(image, keys), load_private_key(pairs["stranger"][0]))


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"<manifest/>",
        b"<!DOCTYPE x [<!ENTITY e 'x'>]><manifest>&e;</manifest>",
        b"<manifest><version>2007-10-10</version>",
    ],
)
def test_what_is_no_manifest(text):
    with pytest.raises(VerificationError, match="manifest is damaged"):
        read_manifest(text)


def test_a_part_is_beside_its_manifest(image, keys):
    text = bundled(image, keys)[MANIFEST].replace(b"image.part.00", b"../other/part")
    with pytest.raises(VerificationError, match=r"a part is called '\.\./other/part'"):
        read_manifest(text)


def test_a_disk_that_was_changed_after_the_bake_is_not_bundled(image, keys):
    with image.disk.open("r+b") as file:
        file.write(b"x")
    with pytest.raises(PublishError, match=r"block 0 of .* changed after the bake"):
        bundled(image, keys)


def test_more_than_ec2_takes_is_refused(keys):
    source = DiskSource(LARGEST + BLOCK_SIZE, ACCOUNT, "x86_64", EPOCH, lambda index: bytes(BLOCK_SIZE))
    with pytest.raises(InputError, match="at most 10 GiB"):
        bundle(source, keys, {}.__setitem__)


def test_keys_that_will_not_do(pairs, tmp_path):
    user, ec2 = pairs["user"], pairs["ec2"]
    with pytest.raises(InputError, match="is not the certificate of the key"):
        BundleKeys.load(user[0], ec2[1], ec2[1])
    with pytest.raises(InputError, match="holds no private key"):
        BundleKeys.load(user[1], user[1], ec2[1])
    with pytest.raises(InputError, match=r"holds no X\.509 certificate"):
        BundleKeys.load(user[0], user[0], ec2[1])
    with pytest.raises(InputError, match="cannot be read: No such file"):
        BundleKeys.load(tmp_path / "none", user[1], ec2[1])
    run(["openssl", "ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", tmp_path / "ec.pem"])
    with pytest.raises(InputError, match="not an RSA key"):
        load_private_key(tmp_path / "ec.pem")
