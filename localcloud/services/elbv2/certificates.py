"""Certificates of HTTPS listeners.

Taken from where they were imported, in moto's ACM or IAM, which hold the keys as well.

Source of the refusals: Elastic Load Balancing API reference, CreateListener and ModifyListener, "Errors" and
"Certificates".
"""

from __future__ import annotations

import ssl
import tempfile
from typing import NamedTuple

from moto.acm.models import AWS_ROOT_CA, CertificateNotFound, acm_backends
from moto.elbv2.exceptions import ELBClientError
from moto.iam.models import iam_backends

IMPORTED = "ISSUED"  # the only state of a certificate in which a listener may have it


class Pem(NamedTuple):
    """A certificate, what leads to its authority, and its key."""

    certificate: bytes
    chain: bytes
    key: bytes


def context_for(account: str, region: str, arn: str | None, protocol: str = "HTTPS") -> ssl.SSLContext:
    """Return how a listener with this certificate speaks TLS.

    Raise ELBClientError where AWS refuses the listener.
    """
    if not arn:
        message = f"A certificate must be specified for {protocol} listeners"
        raise ELBClientError("ValidationError", message)
    pem = _in_iam(account, arn) if ":server-certificate/" in arn else _in_acm(account, region, arn)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    # OpenSSL reads files only. This one is its owner's alone, and gone at once.
    with tempfile.NamedTemporaryFile() as file:
        file.write(b"\n".join([pem.key, pem.certificate, pem.chain]))
        file.flush()
        try:
            context.load_cert_chain(file.name)
        except ssl.SSLError as error:
            raise _unsupported(arn) from error
    return context


def _in_acm(account: str, region: str, arn: str) -> Pem:
    backend = acm_backends[account][region]
    try:
        bundle = backend.get_certificate(arn)
    except CertificateNotFound as error:
        raise _not_found(arn) from error
    if bundle.status != IMPORTED:
        raise _unsupported(arn)
    # moto puts a root of Amazon's below every chain.
    return Pem(bundle.cert, bundle.chain.replace(AWS_ROOT_CA, b""), bundle.key)


def _in_iam(account: str, arn: str) -> Pem:
    found = iam_backends[account]["aws"].get_certificate_by_arn(arn)
    if found is None:
        raise _not_found(arn)
    return Pem(found.cert_body.encode(), (found.cert_chain or "").encode(), found.private_key.encode())


def _not_found(arn: str) -> ELBClientError:
    return ELBClientError("CertificateNotFound", f"Certificate '{arn}' not found")


def _unsupported(arn: str) -> ELBClientError:
    return ELBClientError(
        "UnsupportedCertificate",
        f"The certificate '{arn}' must have a fully-qualified domain name, a supported signature, and a "
        "supported key size.",
    )
