"""The stack for continuous integration: the roles that GitHub Actions takes.

Made where a repository is named: ``-c github=OWNER/NAME``.
"""

from __future__ import annotations

from collections.abc import Mapping

from aws_cdk import CfnOutput
from constructs import Construct

from ingot.constructs import Builder, ReviewRoles
from ingot.errors import InputError
from stacks.base import IngotStack
from stacks.settings.config import REVIEW_KEYS, STACKS, Config


class ReviewStack(IngotStack):
    """Roles of one repository: `aws-actions/configure-aws-credentials` takes them by their ARNs."""

    def __init__(
        self, scope: Construct, id_: str, *, config: Config, context: Mapping[str, object], builder: Builder
    ) -> None:
        """Create the roles of ``context["github"]``.

        Raises InputError for a context key that is not what it should be.
        """
        super().__init__(
            scope, id_, config=config, description="Ingot: what GitHub Actions may do in this account"
        )
        given = {key: context[key] for key in REVIEW_KEYS if context.get(key) is not None}
        for key, value in given.items():
            if not isinstance(value, str):
                raise InputError(f"context key {key} must be text, not {value!r}")
        try:
            roles = ReviewRoles(
                self,
                "Roles",
                repository=str(given["github"]),
                stacks=[STACKS],
                branch=str(given.get("github_branch", "main")),
                provider_arn=str(given["github_provider"]) if "github_provider" in given else None,
                owner_id=str(given["github_owner_id"]) if "github_owner_id" in given else None,
                repository_id=str(given["github_repository_id"]) if "github_repository_id" in given else None,
                # Whatever the setting `builder` says: a base AMI is baked by a builder instance in any case.
                builder=builder,
            )
        except InputError as error:
            raise InputError(
                f"context keys {', '.join(REVIEW_KEYS)}: {error.message}",
                hint="docs/pull-requests.md has them",
            ) from error
        CfnOutput(self, "PullRequestRoleArn", value=roles.pull_request.role_arn)
        CfnOutput(self, "DeployRoleArn", value=roles.deploy.role_arn)
        CfnOutput(self, "PruneRoleArn", value=roles.prune.role_arn)
