"""The running clones: status and verification."""
