"""The content-addressed store: packages, layers and disk images on this machine."""

from ingot.store.image import Image
from ingot.store.store import Store

__all__ = ["Image", "Store"]
