"""RegisterImage by the manifest of a bundle, and what EC2 does not do with instances of such AMIs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from moto.core.responses import ActionResult
from moto.ec2.exceptions import EC2ClientError
from moto.ec2.models.instances import InstanceBackend
from moto.ec2.responses.amis import AmisResponse

from localcloud.core.moto_types import Ec2Backend, Ec2Handler
from localcloud.core.patching import Patches
from localcloud.services.ec2.images import check_boot, check_name
from localcloud.services.ec2.instance_store.bundles import LARGEST, BundledImage, Bundles, Manifest
from localcloud.services.ec2.instance_store.ec2_key import ec2_key
from localcloud.services.ec2.tags import check_tags

ROOT_DEVICE = "/dev/sda1"


def install(patches: Patches, bundles: Bundles) -> None:
    """Add it to our RegisterImage, and make EC2's key, whose certificate users need before they register."""
    ec2_key(bundles.context.directory)

    def registering(original: Callable[[Ec2Handler], ActionResult]) -> Callable[[Ec2Handler], ActionResult]:
        def register_image(handler: Ec2Handler) -> ActionResult:
            parameters = handler._get_params()
            if not parameters.get("ImageLocation"):
                return original(handler)
            handler.error_on_dryrun()
            return ActionResult({"ImageId": _register(handler, parameters, bundles).id})

        return register_image

    def stopping(original: Callable[..., object]) -> Callable[..., object]:
        def stop_instances(backend: Ec2Backend, instance_ids: Sequence[str]) -> object:
            for instance in backend.get_multi_instances_by_id(instance_ids):
                if instance.root_device_type == "instance-store":
                    raise EC2ClientError(
                        "UnsupportedOperation",
                        f"The instance '{instance.id}' does not have an 'ebs' root device type and cannot be "
                        "stopped.",
                    )
            return original(backend, instance_ids)

        return stop_instances

    patches.replace(AmisResponse, "register_image", registering)
    patches.replace(InstanceBackend, "stop_instances", stopping)


def _register(handler: Ec2Handler, parameters: Mapping[str, Any], bundles: Bundles) -> BundledImage:
    backend, location = handler.ec2_backend, str(parameters["ImageLocation"]).lstrip("/")
    check_name(backend, parameters.get("Name"))
    check_boot(parameters)
    specifications = parameters.get("TagSpecifications") or []
    check_tags(tag for specification in specifications for tag in specification.get("Tags") or [])
    if any("Ebs" in mapping for mapping in parameters.get("BlockDeviceMappings") or []):
        raise EC2ClientError(
            "InvalidParameterCombination",
            "The local cloud registers an AMI with its root on an instance store without EBS volumes.",
        )
    bucket, _, key = location.partition("/")
    manifest = _manifest(handler, bucket, key, bundles)
    architecture = parameters.get("Architecture") or manifest.architecture
    if architecture != manifest.architecture:
        raise EC2ClientError(
            "InvalidManifest",
            f"The manifest is for the architecture '{manifest.architecture}', not for '{architecture}'.",
        )
    values = {"RootDeviceName": ROOT_DEVICE, **parameters, "Architecture": architecture}
    image = BundledImage(backend, values, [])
    image.root_device_type, image.image_location = "instance-store", location
    image.bucket, image.prefix, image.manifest = bucket, key[: key.rfind("/") + 1], manifest
    backend.amis[image.id] = image
    for specification in specifications:
        if specification.get("ResourceType") == "image":
            image.add_tags({tag["Key"]: tag.get("Value", "") for tag in specification.get("Tags") or []})
    return image


def _manifest(handler: Ec2Handler, bucket: str, key: str, bundles: Bundles) -> Manifest:
    """Return the manifest; raise EC2ClientError for one that EC2 cannot read, or does not take."""
    url = f"https://{bucket}.s3.amazonaws.com:443/{key}"
    try:
        if bundles.region_of(bucket) != handler.region:
            raise LookupError(f"the bucket {bucket} is in another region")
        text = bundles.read(bucket, key)
    except LookupError as error:
        raise EC2ClientError(
            "InvalidManifest",
            f"HTTP 404 (Not Found) response for URL {url}: check your manifest path is correct and in the "
            "correct region.",
        ) from error
    try:
        manifest = Manifest.of(text)
    except ValueError as error:
        raise EC2ClientError(
            "InvalidManifest", f"The specified AMI has an unparsable manifest: {error}"
        ) from error
    if manifest.account != handler.current_account:
        raise EC2ClientError(
            "AuthFailure",
            f"The manifest is of the account {manifest.account}, not of {handler.current_account}.",
        )
    if manifest.size > LARGEST:
        raise EC2ClientError(
            "InvalidManifest",
            f"The image has {manifest.size} bytes; a root device on an instance store has {LARGEST} at most.",
        )
    return manifest
