"""A recipe on a base of the RPM family: a small root, and a repository that is made here
(Debian has dnf, rpm and createrepo-c).
"""

import json
import os
import shutil
import subprocess
from dataclasses import replace

import pytest

from ingot.bake.instance.live import LiveRoot, apply, finish, live_manifest
from ingot.bake.instance.system_packages import install, installed_rpms
from ingot.bake.tree.tree import hash_files, scan
from ingot.blocks import DiskDigest
from ingot.errors import BakeError, StepError
from ingot.spec import BaseAmiSpec, CloneTestSpec, FileSpec, GroupSpec, ServicesSpec, UserSpec
from tests.specs import bake_spec, step

TOOLS = ("dnf", "rpmbuild", "createrepo_c", "busybox", "unshare")
pytestmark = [
    pytest.mark.skipif(os.geteuid() != 0, reason="mounts in a root directory"),
    pytest.mark.skipif(not all(shutil.which(tool) for tool in TOOLS), reason=f"needs {', '.join(TOOLS)}"),
]
RPM_SPEC = """
Name: {name}
Version: {version}
Release: 1
Summary: For a test
License: Apache-2.0
BuildArch: noarch
{requires}
%description
For a test.
%install
mkdir -p %{{buildroot}}/usr/share/{name}
echo {name} {version} > %{{buildroot}}/usr/share/{name}/version
%files
/usr/share/{name}
"""
# What `systemctl enable` does to files, for a root that has no systemd.
SYSTEMCTL = """#!/bin/sh
verb=$1; shift
mkdir -p /etc/systemd/system/multi-user.target.wants
for unit; do
    case $unit in *.*) ;; *) unit=$unit.service ;; esac
    [ -e /usr/lib/systemd/system/$unit ] || { echo "Unit $unit does not exist"; exit 1; }
    ln -sf /usr/lib/systemd/system/$unit /etc/systemd/system/multi-user.target.wants/$unit
done
"""


@pytest.fixture(scope="module")
def repository(tmp_path_factory):
    top = tmp_path_factory.mktemp("rpm")
    for name, requires in (("shop", "Requires: shop-data"), ("shop-data", "")):
        spec = top / f"{name}.spec"
        spec.write_text(RPM_SPEC.format(name=name, version="1.2", requires=requires))
        subprocess.run(
            ["rpmbuild", "-bb", "--define", f"_topdir {top}/build", "--define", f"_rpmdir {top}/repo", spec],
            check=True,
            capture_output=True,
        )
    subprocess.run(["createrepo_c", "--quiet", top / "repo"], check=True)
    return top / "repo"


@pytest.fixture
def root(repository, tmp_path):
    """A root with a shell, accounts, units and the repository's address: what a base AMI has, only small."""
    root = tmp_path / "root"
    for name in (
        "bin",
        "etc/yum.repos.d",
        "etc/dnf",
        "usr/lib/systemd/system",
        "usr/bin",
        "var/log",
        "proc",
        "run",
        "dev",
        "tmp",
    ):
        (root / name).mkdir(parents=True)
    shutil.copy(shutil.which("busybox"), root / "bin" / "busybox")
    for applet in ("sh", "ln", "mkdir", "cat", "echo", "id", "test", "["):
        (root / "bin" / applet).symlink_to("busybox")
    (root / "usr/bin/systemctl").write_text(SYSTEMCTL)
    (root / "usr/bin/systemctl").chmod(0o755)
    (root / "usr/lib/systemd/system/shop.service").write_text("[Service]\nExecStart=/bin/sh\n")
    (root / "etc/dnf/dnf.conf").write_text("[main]\ngpgcheck=0\n")
    (root / "etc/yum.repos.d/test.repo").write_text(
        f"[test]\nname=test\nbaseurl=file://{repository}\ngpgcheck=0\n"
    )
    (root / "etc/os-release").write_text('ID="amzn"\nVERSION_ID="2023"\nPRETTY_NAME="Amazon Linux 2023"\n')
    (root / "etc/passwd").write_text("root:x:0:0:root:/root:/bin/sh\n")
    (root / "etc/shadow").write_text("root:*:19000:0:99999:7:::\n")
    (root / "etc/group").write_text("root:x:0:\n")
    (root / "etc/machine-id").write_text("0123456789abcdef0123456789abcdef\n")
    (root / "var/log/messages").write_text("booted\n")
    return root


SPEC = bake_spec(
    name="shop",
    epoch=1700000000,
    base={
        "us-east-1": BaseAmiSpec(
            "ami-0123456789abcdef0",
            "137112412989",
            "al2023",
            "2026-01-01T00:00:00.000Z",
            "/dev/xvda",
            8,
            "uefi-preferred",
        )
    },
    install=("shop",),
    groups=(GroupSpec("shop", 60001),),
    users=(UserSpec("shop", 60001, "shop", shell="/sbin/nologin"),),
    files=(FileSpec("file", "/etc/shop.conf", "root", "shop", "0640", content="open=1\n"),),
    services=ServicesSpec(enable=("shop",)),
    steps=(step("cat /usr/share/shop/version > /etc/shop.version"),),
    tests=(CloneTestSpec("the configuration exists", command="test -e /etc/shop.conf"),),
)


def quiet(_text):
    """Progress that nobody reads."""


def test_packages_come_from_the_bases_own_repositories_with_what_they_require(root):
    install(["shop"], quiet, root=root)
    assert (root / "usr/share/shop/version").read_text() == "shop 1.2\n"
    assert [row[:3] for row in installed_rpms(root)] == [
        ["shop", "0:1.2-1", "noarch"],
        ["shop-data", "0:1.2-1", "noarch"],
    ]


def test_a_package_that_the_repositories_lack_is_named(root):
    with pytest.raises(BakeError, match="dnf cannot install shap:") as caught:
        install(["shap"], quiet, root=root)
    assert "the base AMI's own repositories must have the packages" in str(caught.value)


def test_the_recipe_is_put_on_the_root_and_the_root_is_sealed(root, tmp_path):
    before = hash_files(scan(root))
    install(SPEC.install, quiet, root=root)
    apply(SPEC, root, tmp_path, tmp_path, quiet)
    finish(SPEC, root)
    assert (root / "etc/shop.version").read_text() == "shop 1.2\n"
    status = (root / "etc/shop.conf").stat()
    assert (status.st_mode & 0o7777, status.st_gid) == (0o640, 60001)
    assert (root / "etc/systemd/system/multi-user.target.wants/shop.service").is_symlink()
    assert (root / "etc/systemd/system/multi-user.target.wants/ingot-tests.service").is_symlink()
    assert (root / "etc/machine-id").read_text() == ""
    assert [(log.name, log.read_text()) for log in (root / "var/log").iterdir()] == [("messages", "")]
    assert not (root / "etc/fstab").exists()
    assert json.loads((root / "etc/ingot/image.json").read_text())["recipe"] == "shop"
    disk = DiskDigest(3 * 524288, 524288, (None, "b" * 64, None), "c" * 64)
    manifest = json.loads(
        live_manifest(SPEC, LiveRoot(root, before, hash_files(scan(root)), "6.1.0"), disk, {})
    )
    assert [(package["name"], package["version"]) for package in manifest["packages"]] == [
        ("shop", "0:1.2-1"), ("shop-data", "0:1.2-1"),
    ]  # fmt: skip
    assert manifest["os"]["id"] == "amzn"
    assert manifest["base"]["us-east-1"]["id"] == "ami-0123456789abcdef0"
    assert manifest["size"] == {"disk": 3 * 524288, "used": 524288}
    layers = {file["path"]: file.get("layer", 0) for file in manifest["files"]}
    assert (layers["/etc/shop.conf"], layers["/bin/busybox"]) == (1, 0)


def test_a_step_that_fails_is_named_with_its_line(root, tmp_path):
    wrong = replace(SPEC, install=(), services=ServicesSpec(), steps=(step("exit 3", line=9),))
    with pytest.raises(StepError, match=r"recipe.yaml:9: the step `exit 3` failed"):
        apply(wrong, root, tmp_path, tmp_path, quiet)
