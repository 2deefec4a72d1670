"""Our own ext4: the writer of a finished file system and a reader that needs no mount.

Format: the kernel's Documentation/filesystems/ext4 (https://docs.kernel.org/filesystems/ext4/). Chosen
features and why: docs/decisions/0001-own-disk-writer.md.
"""
