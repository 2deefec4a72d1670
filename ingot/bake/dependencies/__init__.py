"""What an image has beside the packages of its distribution: artifacts."""
