"""The builder's stack: deployed once, costs nothing while nothing is built."""

from __future__ import annotations

from constructs import Construct

from ingot.constructs import Builder, add_builder_outputs
from ingot.constructs.instance_types import BUILDER_DEFAULT, Architecture, chosen_types
from ingot.constructs.outputs import BUILDER_IMAGES
from stacks.base import IngotStack
from stacks.settings.config import Config

# The recipe of this project that builder instances boot in the local cloud.
LOCAL_BUILDER_IMAGE = "builder"


class BuilderStack(IngotStack):
    """The place where images are baked and proved; `ingot publish` reads its outputs."""

    def __init__(
        self, scope: Construct, id_: str, *, config: Config, architecture: Architecture = "x86_64"
    ) -> None:
        super().__init__(
            scope, id_, config=config, description="Ingot: where golden images are baked and proved"
        )
        self.builder = Builder(
            self,
            "Builder",
            vpc_cidr=config.builder_vpc_cidr,
            instance_type=_builder_type(config, architecture),
            test_instance_type=_test_type(config, architecture),
        )
        image = config.builder_image or BUILDER_IMAGES[architecture]
        add_builder_outputs(self.builder, mode=config.builder, image=image, local_image=LOCAL_BUILDER_IMAGE)


def _builder_type(config: Config, architecture: Architecture) -> str:
    """Return the type of builder instances, which run the image's own programs.

    Raise InputError for one of another architecture.
    """
    return chosen_types(
        "builder_instance_type", config.builder_instance_type, architecture, default=BUILDER_DEFAULT
    )[0]


def _test_type(config: Config, architecture: Architecture) -> str:
    """Return the type of test clones; raise InputError when the recipe's image does not boot on it."""
    return chosen_types("test_instance_type", config.test_instance_type, architecture)[0]
