"""The engine: executes a plan and writes a disk image. Standard library only, Python 3.9."""
