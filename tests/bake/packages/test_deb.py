"""The control part of packages, of every compression that archives use, and of files that are none."""

import shutil
import subprocess
from dataclasses import replace

import pytest

from ingot.bake.packages.deb import LockedDeb, read_control
from ingot.errors import BakeError

CONTROL = """\
Package: small
Version: 1.0
Architecture: all
Maintainer: Nobody <nobody@example.com>
Depends: a (>= 1),
 b | c
Description: small
"""


@pytest.fixture
def build(tmp_path):
    """Return a function that makes the package with a compression of dpkg-deb(1)."""

    def build_small(compression):
        tree = tmp_path / "tree"
        (tree / "DEBIAN").mkdir(parents=True)
        (tree / "DEBIAN" / "control").write_text(CONTROL)
        (tree / "DEBIAN" / "postinst").write_text("#!/bin/sh\n")
        (tree / "DEBIAN" / "postinst").chmod(0o755)
        (tree / "etc").mkdir()
        (tree / "etc" / "small").write_text("x\n" * 3)
        file = tmp_path / "small.deb"
        options = ["--root-owner-group", f"-Z{compression}", "--uniform-compression"]
        subprocess.run(["dpkg-deb", *options, "--build", tree, file], check=True, capture_output=True)
        shutil.rmtree(tree)
        return LockedDeb("small", "1.0", "all", file)

    return build_small


@pytest.mark.parametrize("compression", ["none", "gzip", "xz", "zstd"])
def test_the_control_part_is_what_dpkg_deb_reads(build, compression):
    package = build(compression)
    control = read_control(package)
    shown = subprocess.run(["dpkg-deb", "--field", package.file], check=True, capture_output=True, text=True)
    assert control.text == shown.stdout
    assert control.fields["depends"] == "a (>= 1),\nb | c"
    assert control.members["postinst"] == (0o755, b"#!/bin/sh\n")


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda data: b"<html>no such file</html>", r"it is not an ar\(1\) archive"),
        (lambda data: data[:68], "it has no control part"),
        (lambda data: data[:100], "small 1.0 cannot be read"),
        (lambda data: data[:200], "small 1.0 cannot be read"),
        (lambda data: data.replace(b"control.tar", b"contrel.tar"), "it has no control part"),
    ],
)
@pytest.mark.parametrize("compression", ["none", "gzip", "xz", "zstd"])
def test_a_file_that_is_no_package_is_named(build, compression, damage, message):
    package = build(compression)
    package.file.write_bytes(damage(package.file.read_bytes()))
    with pytest.raises(BakeError, match=message):
        read_control(package)


@pytest.mark.parametrize(
    ("locked", "said"),
    [
        ({"name": "../../x"}, "the package 'small', the lock '../../x'"),
        ({"name": "other"}, "the package 'small', the lock 'other'"),
        ({"version": "2.0"}, "the version '1.0', the lock '2.0'"),
        ({"architecture": "amd64"}, "the architecture 'all', the lock 'amd64'"),
    ],
)
def test_a_package_that_is_another_than_the_lock_says_is_not_used(build, locked, said):
    with pytest.raises(BakeError, match="is not what the lock says") as caught:
        read_control(replace(build("none"), **locked))
    assert said in str(caught.value)
