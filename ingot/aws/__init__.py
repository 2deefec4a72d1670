"""Everything that talks to AWS: snapshots, AMIs, the registry, test clones. Clients are passed in."""
