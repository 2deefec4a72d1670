"""From a disk image to a published AMI: snapshot, AMI, test clone, registry; and nothing left behind on failure."""
