"""What runs on a builder instance: it bakes a spec there and writes the disk's blocks into a snapshot.

It travels in a bundle together with ``ingot.bake`` and the modules of Ingot that it needs
(``ingot.aws.builder.bundle``): standard library only, Python 3.9. AWS is called with the instance's own role
and hand-made signatures, since boto3 is not there (docs/decisions/0004-builder-instance.md).
"""
