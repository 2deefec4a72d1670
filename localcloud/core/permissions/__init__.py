"""What IAM would say to each request: policies evaluated with their resources and conditions.

Off unless asked for.
"""

from localcloud.core.permissions.guard import Guard

__all__ = ["Guard"]
