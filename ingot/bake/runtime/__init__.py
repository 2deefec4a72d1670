"""Where a bake runs: the worker process, its namespaces and mounts, chroot, locks."""
