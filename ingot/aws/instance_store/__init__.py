"""AMIs whose root is on an instance store: a disk bundled into parts in S3, registered by its manifest.

AWS calls them end of life. The form is that of EC2's own AMI tools, ec2-bundle-image and ec2-upload-bundle.
"""
