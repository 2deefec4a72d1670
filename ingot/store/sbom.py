"""The software bill of materials of an image, in CycloneDX 1.6.

It is made from the manifest alone, so the same image has the same one.

https://cyclonedx.org/docs/1.6/json/
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from email.utils import parseaddr
from typing import Any

from cyclonedx.model import (
    ExternalReference,
    ExternalReferenceType,
    HashAlgorithm,
    HashType,
    Property,
    XsUri,
)
from cyclonedx.model.bom import Bom, BomMetaData
from cyclonedx.model.component import Component, ComponentScope, ComponentType
from cyclonedx.model.contact import OrganizationalContact, OrganizationalEntity
from cyclonedx.model.tool import ToolRepository
from cyclonedx.output.json import JsonV1Dot6
from packageurl import PackageURL

# Who states what an image is made of, if nobody else says so.
TOOL = "ingot"
# The namespace of the serial numbers (RFC 9562, version 5), a constant: they depend on the image alone.
NAMESPACE = uuid.UUID("7d0b1f0e-5b0c-5b86-8a55-0f2f8c1d7e11")


def sbom(manifest: Mapping[str, Any], author: str = TOOL) -> str:
    """Return the bill of materials as JSON: the system, the installed packages, and the recipe's own files.

    ``author``: who states it, and supplies the image.

    Stages, in which files of the image were built, are in it as what is not in the image (scope excluded).
    Its serial number comes from recipe digest and root digest, its time is the lock's. A package's hash is
    that of the .deb file that it was unpacked from.
    """
    image = _image(manifest, author)
    system = _system(manifest)
    parts = [
        system,
        *_packages(manifest),
        *_dependencies(manifest),
        *_stages(manifest),
        *_files(manifest),
    ]
    bom = Bom(
        serial_number=uuid.uuid5(NAMESPACE, f"{manifest['recipe_digest']} {manifest['disk']['root_digest']}"),
        metadata=BomMetaData(
            timestamp=datetime.fromtimestamp(int(manifest["epoch"]), UTC),
            component=image,
            authors=[OrganizationalContact(name=author)],
            supplier=OrganizationalEntity(name=author),
            tools=ToolRepository(components=[Component(type=ComponentType.APPLICATION, name=TOOL)]),
        ),
        components=parts,
    )
    bom.register_dependency(image, parts)
    text: str = JsonV1Dot6(bom).output_as_string(indent=2)
    return text


def _image(manifest: Mapping[str, Any], author: str) -> Component:
    # Of CycloneDX's kinds of components the one for "a runtime environment": it has none for a machine image.
    return Component(
        type=ComponentType.PLATFORM,
        supplier=OrganizationalEntity(name=author),
        name=manifest["name"],
        version=manifest["version"],
        bom_ref=f"image:{manifest['recipe_digest']}",
        properties=[
            Property(name="ingot:recipe-digest", value=manifest["recipe_digest"]),
            Property(name="ingot:root-digest", value=manifest["disk"]["root_digest"]),
            Property(name="ingot:architecture", value=manifest["architecture"]),
        ],
    )


def _system(manifest: Mapping[str, Any]) -> Component:
    system = manifest["os"]
    return Component(
        type=ComponentType.OPERATING_SYSTEM,
        name=system["id"],
        version=system["version_id"] or system["codename"],
        description=system["pretty_name"],
        supplier=OrganizationalEntity(name=system["pretty_name"].split(" ")[0]),
        bom_ref=f"os:{system['id']}",
        properties=[Property(name="ingot:kernel", value=system["kernel"])],
    )


def _packages(manifest: Mapping[str, Any]) -> Iterator[Component]:
    system = manifest["os"]
    distribution = f"{system['id']}-{system['version_id'] or system['codename']}"
    for package in manifest["packages"]:
        # https://github.com/package-url/purl-spec/blob/main/types-doc/deb-definition.md
        qualifiers = {"arch": package["architecture"], "distro": distribution}
        source = package.get("source", package["name"])
        if source != package["name"]:
            qualifiers["upstream"] = source
        purl = PackageURL("deb", system["id"], package["name"], package["version"], qualifiers)
        yield Component(
            type=ComponentType.LIBRARY,
            name=package["name"],
            version=package["version"],
            supplier=_supplier(package.get("maintainer", "")),
            purl=purl,
            bom_ref=purl.to_string(),
            hashes=[_sha256(package["sha256"])] if "sha256" in package else [],
            properties=[
                Property(name="ingot:installed-kib", value=str(package["installed_kib"])),
            ],
        )


def _supplier(maintainer: str) -> OrganizationalEntity | None:
    """Return who supplies a package: its maintainer (Debian Policy 5.6.2); None where none is known."""
    name, address = parseaddr(maintainer)
    if not name and not address:
        return None
    return OrganizationalEntity(
        name=name or address, contacts=[OrganizationalContact(email=address)] if address else None
    )


def _dependencies(manifest: Mapping[str, Any]) -> Iterator[Component]:
    for dependency in manifest.get("dependencies", ()):
        url = dependency["name"]
        if "version" in dependency:
            purl = PackageURL.from_string(f"{url}@{dependency['version']}")
            yield Component(
                type=ComponentType.LIBRARY,
                name=purl.name,
                version=dependency["version"],
                purl=purl,
                bom_ref=purl.to_string(),
                hashes=[_sha256(dependency["sha256"])],
            )
            continue
        yield Component(
            type=ComponentType.FILE,
            name=url,
            bom_ref=f"artifact:{url}",
            hashes=[_sha256(dependency["sha256"])],
            properties=[Property(name="ingot:size", value=str(dependency["size"]))],
            external_references=[
                ExternalReference(type=ExternalReferenceType.DISTRIBUTION, url=XsUri(url)),
            ],
        )


def _stages(manifest: Mapping[str, Any]) -> Iterator[Component]:
    """Give the stages: their digests stand for all that they are made of, as the lock names it."""
    for stage in manifest.get("stages", ()):
        yield Component(
            type=ComponentType.PLATFORM,
            name=f"stage {stage['name']}",
            version=stage["digest"][:12],
            scope=ComponentScope.EXCLUDED,
            bom_ref=f"stage:{stage['name']}",
            properties=[Property(name="ingot:stage-digest", value=stage["digest"])],
        )


def _files(manifest: Mapping[str, Any]) -> Iterator[Component]:
    """Give the files that are no package's work: what the recipe put there or changed.

    Not those of artifacts and dependencies, which are components of their own.
    """
    for file in manifest["files"]:
        if file.get("layer") == 1 and file["type"] == "file":
            # CycloneDX is UTF-8: bytes of a name that are not are written as \\xHH.
            name = file["path"].encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
            yield Component(
                type=ComponentType.FILE,
                name=name,
                bom_ref=f"file:{name}",
                hashes=[_sha256(file["sha256"])],
                properties=[Property(name="ingot:size", value=str(file["size"]))],
            )


def _sha256(digest: str) -> HashType:
    return HashType(alg=HashAlgorithm.SHA_256, content=digest)
