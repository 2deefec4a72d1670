"""What a request asks for, as IAM sees it: action, resources and condition keys.

Source: Service Authorization Reference, the tables of each service; EC2 user guide, "Control access to EC2
resources using resource tags". What is not in these tables is judged as an action that takes no resource.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit
from xml.etree import ElementTree

from localcloud.core.permissions.policy import Access, Values

Tags = Mapping[str, str]


@dataclass(frozen=True)
class Cloud:
    """What the judge has to know of the cloud.

    ``tags_of`` a region's resource by its id; ``template``: a launch template's id and its version's data, by
    RunInstances' specification; ``roles_of`` an instance profile, ARNs; ``secret``: the ARN of a region's
    secret by its name or ARN, None where there is none.
    """

    account: str
    tags_of: Callable[[str, str], Tags]
    template: Callable[[str, Mapping[str, str]], tuple[str, Mapping[str, Any]]]
    roles_of: Callable[[str], list[str]]
    secret: Callable[[str, str], str | None] = lambda region, identifier: None


@dataclass(frozen=True)
class HttpRequest:
    """What of an HTTP request names the operation. ``host`` is without the port.

    ``grants``: it brings an access control list for the object that it writes.
    """

    method: str
    path: str
    query: Mapping[str, str]
    host: str
    body: bytes
    grants: bool


@dataclass(frozen=True)
class ApiRequest:
    """A request: ``parameters`` are the flat form of the query protocols, or the JSON object."""

    cloud: Cloud
    service: str
    action: str
    region: str
    parameters: Mapping[str, Any]

    def arn(self, service: str, resource: str, *, owned: bool = True) -> str:
        """Return an ARN of this region."""
        return f"arn:aws:{service}:{self.region}:{self.cloud.account if owned else ''}:{resource}"

    def existing(self, action: str, kind: str, identifier: str, **context: str) -> Access:
        """Return the access to an EC2 resource that is there, with its tags."""
        # Snapshots and AMIs have no account in their ARNs.
        arn = self.arn("ec2", f"{kind}/{identifier}", owned=kind not in ("snapshot", "image"))
        tags = self.cloud.tags_of(self.region, identifier)
        keys = {f"aws:resourcetag/{key.lower()}": (value,) for key, value in tags.items()}
        keys |= {f"ec2:resourcetag/{key.lower()}": (value,) for key, value in tags.items()}
        return Access(action, arn, keys | {key: (value,) for key, value in context.items()})

    def listed(self, name: str) -> list[str]:
        """Return a list parameter of a query protocol: ``Name.1``, ``Name.2`` …; of JSON: as it is."""
        if isinstance(self.parameters.get(name), list):
            return [str(item) for item in self.parameters[name]]
        found: list[str] = []
        while (key := f"{name}.{len(found) + 1}") in self.parameters:
            found.append(str(self.parameters[key]))
        return found


def parse(cloud: Cloud, environ: Mapping[str, Any], service: str, region: str, body: bytes) -> ApiRequest:
    """Read a WSGI request that is signed for a service and region."""
    target = environ.get("HTTP_X_AMZ_TARGET")
    if target:
        return ApiRequest(cloud, service, str(target).rpartition(".")[2], region, _object(body))
    http = HttpRequest(
        method=str(environ["REQUEST_METHOD"]),
        path=str(environ.get("PATH_INFO", "")),
        query=dict(parse_qsl(str(environ.get("QUERY_STRING", "")), keep_blank_values=True)),
        host=urlsplit(f"//{environ.get('HTTP_HOST', '')}").hostname or "",
        body=body,
        grants=any(name.startswith(S3_GRANTS) for name in environ),
    )
    if service == "ebs":
        return _direct(cloud, region, http)
    if service == "s3":
        return _object_store(cloud, region, http)
    form = dict(parse_qsl(body.decode("utf-8", "replace"), keep_blank_values=True)) | dict(http.query)
    return ApiRequest(cloud, service, form.get("Action", ""), region, form)


def _object(body: bytes) -> dict[str, Any]:
    try:
        found = json.loads(body or b"{}")
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _direct(cloud: Cloud, region: str, http: HttpRequest) -> ApiRequest:
    match [http.method, *http.path.strip("/").split("/")]:
        case ["POST", "snapshots"]:
            return ApiRequest(cloud, "ebs", "StartSnapshot", region, _object(http.body))
        case ["POST", "snapshots", "completion", snapshot]:
            return ApiRequest(cloud, "ebs", "CompleteSnapshot", region, {"SnapshotId": snapshot})
        case ["PUT", "snapshots", snapshot, "blocks", _]:
            return ApiRequest(cloud, "ebs", "PutSnapshotBlock", region, {"SnapshotId": snapshot})
        case ["GET", "snapshots", snapshot, "blocks", _]:
            return ApiRequest(cloud, "ebs", "GetSnapshotBlock", region, {"SnapshotId": snapshot})
        case ["GET", "snapshots", snapshot, "blocks"]:
            return ApiRequest(cloud, "ebs", "ListSnapshotBlocks", region, {"SnapshotId": snapshot})
        case ["GET", "snapshots", snapshot, "changedblocks"]:
            return ApiRequest(cloud, "ebs", "ListChangedBlocks", region, {"SnapshotId": snapshot})
    return ApiRequest(cloud, "ebs", "", region, {})


# Headers of an access control list, as WSGI names them: S3 API reference, PutObject.
S3_GRANTS = ("HTTP_X_AMZ_ACL", "HTTP_X_AMZ_GRANT_")

# Method, and whether it is of an object or of a bucket -> the action that S3 asks IAM for.
S3_ACTIONS = {
    ("GET", True): "GetObject",
    ("HEAD", True): "GetObject",
    ("PUT", True): "PutObject",
    ("POST", True): "PutObject",
    ("DELETE", True): "DeleteObject",
    ("GET", False): "ListBucket",
    ("HEAD", False): "ListBucket",
}

# Method, and what of a bucket or an object is named in the query -> the action.
S3_PARTS = {
    "GET": {
        "location": "GetBucketLocation",
        "encryption": "GetEncryptionConfiguration",
        "publicAccessBlock": "GetBucketPublicAccessBlock",
        "tagging": "GetObjectTagging",
    },
    "PUT": {"tagging": "PutObjectTagging"},
}


def _object_store(cloud: Cloud, region: str, http: HttpRequest) -> ApiRequest:
    path = unquote(http.path.lstrip("/"))
    if http.host.endswith(".localhost"):  # bucket.localhost/key
        bucket, key = http.host.removesuffix(".localhost"), path
    else:
        bucket, _, key = path.partition("/")
    named = [action for part, action in S3_PARTS.get(http.method, {}).items() if part in http.query]
    action = named[0] if named else S3_ACTIONS.get((http.method, bool(key)), "")
    keys = [key]
    if (http.method, bool(key)) == ("POST", False) and "delete" in http.query:
        action, keys = "DeleteObject", _keys_to_delete(http.body)
    grants = http.grants and action == "PutObject"
    return ApiRequest(cloud, "s3", action, region, {"Bucket": bucket, "Keys": keys, "Grants": grants})


def _keys_to_delete(body: bytes) -> list[str]:
    """Return the keys that DeleteObjects names; one that means all for a body that it cannot have."""
    if b"<!" in body:  # a document type, and with it entities: S3's requests have none
        return ["*"]
    try:
        document = ElementTree.fromstring(body)  # noqa: S314 - see above
    except ElementTree.ParseError:
        return ["*"]
    return [element.text or "" for element in document.iter() if element.tag.rpartition("}")[2] == "Key"]


def request_tags(tags: Tags) -> dict[str, Values]:
    """Return the condition keys of tags that a request brings."""
    keys: dict[str, Values] = {f"aws:requesttag/{key.lower()}": (value,) for key, value in tags.items()}
    return keys | {"aws:tagkeys": tuple(tags)} if tags else keys


def tag_specifications(request: ApiRequest) -> dict[str, dict[str, str]]:
    """Return EC2's ``TagSpecification.N`` by resource type."""
    found: dict[str, dict[str, str]] = {}
    for prefix in _groups(request.parameters, "TagSpecification"):
        kind = str(request.parameters.get(f"{prefix}.ResourceType", ""))
        found.setdefault(kind, {}).update(flat_tags(request.parameters, f"{prefix}.Tag"))
    return found


def flat_tags(parameters: Mapping[str, Any], name: str) -> dict[str, str]:
    """Return the tags of ``NAME.1.Key``, ``NAME.1.Value`` …"""
    return {
        str(parameters.get(f"{prefix}.Key", "")): str(parameters.get(f"{prefix}.Value", ""))
        for prefix in _groups(parameters, name)
    }


def _groups(parameters: Mapping[str, Any], name: str) -> Iterator[str]:
    number = 1
    while any(key.startswith(f"{name}.{number}.") for key in parameters):
        yield f"{name}.{number}"
        number += 1
