"""The engine: executes a bake spec and writes a disk image. Standard library only, Python 3.9."""
