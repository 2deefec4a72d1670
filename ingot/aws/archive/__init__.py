"""Images in a bucket of one's own: manifests, and blocks that all images share."""
