"""What runs instances: QEMU, or stand-ins that only seem to run."""
