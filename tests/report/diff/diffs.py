"""Image diffs to show."""

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
