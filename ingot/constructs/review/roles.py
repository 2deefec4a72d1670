"""The roles that GitHub Actions takes without any stored secret.

One is for pull requests, which may not deploy; two are for the branch that deploys: one deploys, the other
removes old images.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from aws_cdk import Duration
from aws_cdk import aws_iam as iam
from constructs import Construct

from ingot.constructs.audit import departs
from ingot.constructs.builder.builder import Builder
from ingot.constructs.review.policies import bootstrap_roles, never_deploying, planning, policy
from ingot.errors import InputError

ISSUER = "token.actions.githubusercontent.com"
AUDIENCE = "sts.amazonaws.com"
# GitHub's rules for names; a wildcard here would open the roles to other repositories.
REPOSITORY = re.compile(r"[A-Za-z0-9][A-Za-z0-9-]{0,38}/[A-Za-z0-9._-]{1,100}")
BRANCH = re.compile(r"[A-Za-z0-9._/-]{1,200}")
ID = re.compile(r"[1-9][0-9]{0,19}")
# CloudFormation's rule for stacks, and * for any rest of a name.
STACK = re.compile(r"[A-Za-z][A-Za-z0-9-]{0,127}\*?")


class ReviewRoles(Construct):
    """GitHub's identity provider, and the three roles of one repository.

    The subject of GitHub's token tells them apart (GitHub Docs, "OpenID Connect reference"):
    ``repo:OWNER/NAME:pull_request`` reads, ``repo:OWNER/NAME:ref:refs/heads/BRANCH`` deploys or prunes, each
    with a role of its own: a job gets the rights that it needs and no others. The subjects of
    repositories that were created, renamed or transferred since 15 July 2026 carry ids,
    ``repo:OWNER@ID/NAME@ID:…``: with both ids the roles trust either form, of this very repository. A pull
    request from a fork gets no token at all.
    """

    def __init__(
        self,
        scope: Construct,
        id_: str,
        *,
        repository: str,
        stacks: Sequence[str],
        branch: str = "main",
        provider_arn: str | None = None,
        builder: Builder | None = None,
        owner_id: str | None = None,
        repository_id: str | None = None,
    ) -> None:
        """Create the roles.

        :param repository: OWNER/NAME on GitHub
        :param stacks: the names of the app's stacks, each perhaps with a ``*`` at its end
        :param branch: the branch whose workflows deploy
        :param provider_arn: GitHub's identity provider, where the account has it already: there can be but
            one. Default: it is made here
        :param builder: where builder instances bake; the deploying role may launch and follow them.
            Default: images are baked on the runner
        :param owner_id: the id of the repository's owner on GitHub; with ``repository_id``
        :param repository_id: the repository's own id; a repository of the same name made later is not trusted
        :raises InputError: a repository, branch, ARN, id or name that is none, or one id without the other
        """
        super().__init__(scope, id_)
        _check(repository, branch, provider_arn, stacks)
        _check_ids(owner_id, repository_id)
        self._repository_id = repository_id
        owner, _, name = repository.partition("/")
        self._names = (
            [repository] if owner_id is None else [repository, f"{owner}@{owner_id}/{name}@{repository_id}"]
        )
        self.provider_arn = provider_arn or self._provider()
        looking = {"Look": policy(self, "look", stacks), "Plan": planning(self, stacks)}
        self.pull_request = self._role(
            "PullRequest",
            "pull_request",
            f"Pull requests of {repository}: may look, may not deploy",
            {**looking, "NeverDeploy": never_deploying()},
            hours=1,
        )
        self.deploy = self._role(
            "Deploy",
            f"ref:refs/heads/{branch}",
            f"The branch {branch} of {repository}: publishes and deploys",
            {
                **looking,
                "Publish": policy(self, "publish", stacks),
                **({} if builder is None else {"Build": policy(self, "build", stacks, builder)}),
                "Deploy": bootstrap_roles(self),
            },
            # A bake on a builder instance may take two; what fails after it is cleaned up with the same
            # credentials.
            # As long as a job on a hosted runner may take.
            hours=6,
        )
        self.prune = self._role(
            "Prune",
            f"ref:refs/heads/{branch}",
            f"The branch {branch} of {repository}: removes old images",
            {"Prune": policy(self, "prune", stacks)},
            hours=1,
        )

    def _provider(self) -> str:
        # CloudFormation's own resource: the CDK's older construct needs a Lambda function for it.
        provider = iam.OidcProviderNative(self, "GitHub", url=f"https://{ISSUER}", client_ids=[AUDIENCE])
        return provider.oidc_provider_arn

    def _role(
        self, id_: str, event: str, description: str, policies: dict[str, iam.PolicyDocument], *, hours: int
    ) -> iam.Role:
        subjects = [f"repo:{name}:{event}" for name in self._names]
        claims: dict[str, object] = {
            f"{ISSUER}:aud": AUDIENCE,
            f"{ISSUER}:sub": subjects[0] if len(subjects) == 1 else subjects,
        }
        if self._repository_id is not None:
            claims[f"{ISSUER}:repository_id"] = self._repository_id
        role = iam.Role(
            self,
            id_,
            assumed_by=iam.WebIdentityPrincipal(self.provider_arn, {"StringEquals": claims}),
            description=description,
            inline_policies=policies,
            max_session_duration=Duration.hours(hours),
        )
        departs(
            role,
            "AwsSolutions-IAM5",
            "ids of snapshots, AMIs and stacks are AWS's choice: conditions on the ingot:recipe tag and "
            "names narrow them; "
            "Describe calls take no resource.",
        )
        return role


def _check(repository: str, branch: str, provider_arn: str | None, stacks: Sequence[str]) -> None:
    for value, pattern, what in (
        (repository, REPOSITORY, "a GitHub repository as OWNER/NAME"),
        (branch, BRANCH, "a branch's name without wildcards"),
        *((name, STACK, "a stack's name, which may end in a *") for name in stacks),
    ):
        if pattern.fullmatch(value) is None:
            raise InputError(f"{value!r} is not {what}")
    wanted = rf"arn:aws[a-z-]*:iam::[0-9]{{12}}:oidc-provider/{re.escape(ISSUER)}"
    if provider_arn is not None and re.fullmatch(wanted, provider_arn) is None:
        raise InputError(
            f"{provider_arn!r} is not the ARN of GitHub's identity provider",
            hint=f"arn:aws:iam::ACCOUNT:oidc-provider/{ISSUER}",
        )


def _check_ids(owner_id: str | None, repository_id: str | None) -> None:
    given = [value for value in (owner_id, repository_id) if value is not None]
    for value in given:
        if ID.fullmatch(value) is None:
            raise InputError(f"{value!r} is not the id of a GitHub owner or repository: ids are numbers")
    if len(given) == 1:
        raise InputError(
            "the ids of the owner and of the repository must be given together",
            hint="gh api repos/OWNER/NAME --jq '.owner.id, .id' prints both",
        )
