"""Where bundles of images with their root on an instance store go, and by which keys: by the environment.

The names of the keys' variables are those of EC2's own tools.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from ingot.errors import InputError

if TYPE_CHECKING:
    from ingot.aws.instance_store.images import BundleSettings

INSTANCE_STORE = "instance-store"
PLACE = "INGOT_BUNDLES"
PRIVATE_KEY, CERTIFICATE, EC2_CERTIFICATE = "EC2_PRIVATE_KEY", "EC2_CERT", "INGOT_EC2_CERTIFICATE"


def bundle_files(environ: Mapping[str, str] = os.environ) -> dict[str, Path]:
    """Return the files of keys and certificates that the environment names, by variable."""
    names = (PRIVATE_KEY, CERTIFICATE, EC2_CERTIFICATE)
    return {name: Path(environ[name]) for name in names if environ.get(name)}


def bundle_settings(environ: Mapping[str, str] = os.environ) -> BundleSettings:
    """Return how bundles are made. Raises InputError for a variable that is missing, and for keys that will
    not do.
    """
    files = bundle_files(environ)
    known = {**files, **({PLACE: environ[PLACE]} if environ.get(PLACE) else {})}
    missing = [name for name in (PLACE, PRIVATE_KEY, CERTIFICATE, EC2_CERTIFICATE) if name not in known]
    if missing:
        raise InputError(
            f"an image with its root on an instance store is bundled first: {', '.join(missing)} not set",
            hint="docs/instance-store.md says what each of them names",
        )
    from ingot.aws.instance_store.bucket import BundlePlace
    from ingot.aws.instance_store.images import BundleSettings
    from ingot.aws.instance_store.keys import BundleKeys

    keys = BundleKeys.load(files[PRIVATE_KEY], files[CERTIFICATE], files[EC2_CERTIFICATE])
    return BundleSettings(BundlePlace.of(environ[PLACE]), keys)
