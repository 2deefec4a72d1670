"""The content-addressed store: packages, layers and disk images on this machine."""

from ingot.store.store import Image, Store

__all__ = ["Image", "Store"]
