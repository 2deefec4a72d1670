"""The stack of the roles that GitHub Actions takes. No secret is stored: GitHub proves who asks."""

from __future__ import annotations

from collections.abc import Sequence

import aws_cdk as cdk
from constructs import Construct
from ingot.constructs import Builder, ReviewRoles
from stacks.environments import Environment


class ReviewStack(cdk.Stack):
    """Roles for the workflows of one repository: pull requests look, the main branch deploys and prunes."""

    def __init__(
        self,
        scope: Construct,
        id_: str,
        *,
        repository: str,
        fleets: Sequence[str],
        builder: Builder,
        environment: Environment,
    ) -> None:
        super().__init__(
            scope, id_, env=environment.place, description="What GitHub Actions may do in this account"
        )
        context = self.node.try_get_context
        roles = ReviewRoles(
            self,
            "Roles",
            repository=repository,
            stacks=["Images", *(name for fleet in fleets for name in (fleet, f"{fleet}-*"))],
            builder=builder,
            # An account can have only one identity provider of GitHub's. If it has it, name its ARN.
            provider_arn=context("github_provider"),
            # For repositories that were created, renamed or transferred since 15 July 2026.
            owner_id=context("github_owner_id"),
            repository_id=context("github_repository_id"),
        )
        cdk.CfnOutput(self, "PullRequestRoleArn", value=roles.pull_request.role_arn)
        cdk.CfnOutput(self, "DeployRoleArn", value=roles.deploy.role_arn)
        cdk.CfnOutput(self, "PruneRoleArn", value=roles.prune.role_arn)
