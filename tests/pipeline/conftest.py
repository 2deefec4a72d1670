"""The image that tests of the pipeline share."""

from tests.baked import baked_store, web_image

__all__ = ["baked_store", "web_image"]
