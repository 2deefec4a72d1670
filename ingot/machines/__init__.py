"""Virtual machines: QEMU, disks, the metadata service, the console."""
