"""AMIs with their root on an instance store: registered by the manifest of their bundle in S3, and launched
from its parts.

Sources: EC2 API reference, RegisterImage and "Error codes"; EC2 user guide, "Root volume type"; for the form
of bundles, EC2's AMI tools. They are read here as EC2 does it, by EC2's key, not by what makes them.
"""

from localcloud.services.ec2.instance_store.bundles import BundledImage, Bundles
from localcloud.services.ec2.instance_store.images import install

__all__ = ["BundledImage", "Bundles", "install"]
