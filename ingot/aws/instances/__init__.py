"""Instances that Ingot launches for its own work, test clones and builders: launch, state, console."""
