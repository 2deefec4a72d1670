"""Reusable CDK constructs."""
