"""Packages that differ, their versions and changelogs."""
