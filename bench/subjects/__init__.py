"""The subjects that can be measured.

To add one: a module with ``run(settings, report) -> list[Table]``, and one line here.
"""

from __future__ import annotations

# subject -> what it measures; the module is bench.subjects.<subject>
SUBJECTS = {
    "bake": "Baking a disk image: Ingot beside mmdebstrap, mkosi and the floors.",
    "dependencies": "Python packages: one that changes, an app above them, and what pip alone takes.",
    "boot": "Power-on to the first HTTP 200: Ingot's image beside mkosi's of the same packages.",
    "image_diff": "Comparing two images of 100,000 files, disks included.",
    "fleet": "Looking at and verifying a fleet of 1,000 stand-ins.",
    "archive": "An image and its next version to a bucket and back: beside a bare loop of the same blocks.",
    "commands": "A lock with known indexes, and the list of a store of 500 images.",
    "plan": "A plan with the rebuild of a changed app: beside `cdk synth` and `cdk diff` alone.",
    "cdk": "What Ingot adds to `cdk synth` and to `cdk deploy` with nothing to do: beside a bare CDK app.",
    "builder": "A builder instance, from its launch to the AMI: its work, and the rest.",
}
