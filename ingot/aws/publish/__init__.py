"""From a disk image to a published AMI: snapshot, AMI, test clone, registry."""
