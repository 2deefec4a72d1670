"""Debian packages: fetched, unpacked, entered into dpkg's database, configured."""
