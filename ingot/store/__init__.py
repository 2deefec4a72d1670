"""The content-addressed directory of packages, layers and disk images."""
