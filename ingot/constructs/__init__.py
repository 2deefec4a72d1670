"""Reusable CDK constructs: an AMI as an asset, what bakes and proves it, and a fleet of its clones."""

from ingot.constructs.builder import Builder
from ingot.constructs.clone_fleet import CloneFleet
from ingot.constructs.golden_image import GoldenImage

__all__ = ["Builder", "CloneFleet", "GoldenImage"]
