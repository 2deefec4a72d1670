"""Starting a project and running it on this machine."""
