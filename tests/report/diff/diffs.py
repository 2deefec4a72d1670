"""Image diffs to show."""

from dataclasses import replace

from ingot.diff.compare import image_diff
from tests.diff.manifests import file, manifest, package

HOSTILE = "/srv/\x1b[31m\u202eevil</script><b>@team #1 `x` | \udcff\n"


def diff(before, after):
    return image_diff(before, after, before_disk=None, after_disk=None)


def big():
    before = manifest(packages=[package(f"p{number}", "1") for number in range(300)])
    after = manifest(
        packages=[package(f"p{number}", "2") for number in range(300)],
        files=[file(f"/srv/{number}", layer=1) for number in range(3000)],
        users=[],
    )
    return diff(before, after)


def kernel(count=1353):
    """An upgrade of the kernel: its version is in its name and in the paths of all its files."""
    names = ("linux-image-6.1.0-50-cloud-amd64", "linux-image-6.1.0-56-cloud-amd64")
    sides = [
        manifest(
            packages=[package(name, f"6.1.{number}", source="linux")],
            files=[file(f"/usr/lib/modules/{name[12:]}/{index}.ko") for index in range(count)],
        )
        for number, name in enumerate(names)
    ]
    found = diff(*sides)
    # Which package a file is of is read from the disks, which these sides have not.
    files = [
        replace(change, origin="package", package=names[change.change == "added"]) for change in found.files
    ]
    return replace(found, files=files)
