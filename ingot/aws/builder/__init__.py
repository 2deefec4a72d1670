"""Bakes on builder instances: checked, launched, followed, ended."""
