"""Reusable CDK constructs: an AMI as an asset, what bakes and proves it, and a fleet of its clones."""

from ingot.constructs.builder.builder import Builder
from ingot.constructs.fleet.clone import Clone
from ingot.constructs.fleet.clone_fleet import CloneFleet
from ingot.constructs.fleet.configuration import SecretKey
from ingot.constructs.fleet.options import (
    Alarms,
    HealthCheck,
    Hook,
    Refresh,
    Rule,
    Scaling,
    Schedule,
    Serving,
    Spot,
    WarmPool,
)
from ingot.constructs.fleet.volumes import Volume
from ingot.constructs.image.golden_image import GoldenImage
from ingot.constructs.outputs import add_builder_outputs, add_clone_outputs, add_fleet_outputs
from ingot.constructs.review.roles import ReviewRoles

__all__ = [
    "Alarms",
    "Builder",
    "Clone",
    "CloneFleet",
    "GoldenImage",
    "HealthCheck",
    "Hook",
    "Refresh",
    "ReviewRoles",
    "Rule",
    "Scaling",
    "Schedule",
    "SecretKey",
    "Serving",
    "Spot",
    "Volume",
    "WarmPool",
    "add_builder_outputs",
    "add_clone_outputs",
    "add_fleet_outputs",
]
