"""Reusable CDK constructs: an AMI as an asset, what bakes and proves it, and a fleet of its clones."""

from ingot.constructs.builder import Builder
from ingot.constructs.clone_fleet import CloneFleet
from ingot.constructs.fleet_options import Alarms, Refresh, Scaling, Spot, WarmPool
from ingot.constructs.golden_image import GoldenImage
from ingot.constructs.outputs import add_builder_outputs, add_fleet_outputs
from ingot.constructs.review_roles import ReviewRoles

__all__ = [
    "Alarms",
    "Builder",
    "CloneFleet",
    "GoldenImage",
    "Refresh",
    "ReviewRoles",
    "Scaling",
    "Spot",
    "WarmPool",
    "add_builder_outputs",
    "add_fleet_outputs",
]
