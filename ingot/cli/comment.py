"""``ingot comment``: a plan as the one comment on its pull request."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from ingot.cli.terminal.results import print_json
from ingot.cli.usage.options import AsJson
from ingot.errors import InputError
from ingot.forge.github import GitHub, PullRequest
from ingot.report.files import load_plan
from ingot.report.plan.comment import MARKER, render_comment, render_failed

app = typer.Typer(add_completion=False)


@app.command()
def comment(
    plan: Annotated[
        Path | None, typer.Argument(help="What `ingot plan --json` wrote; - is stdin.", show_default=False)
    ] = None,
    pull_request: Annotated[int | None, typer.Option(help="The pull request's number.")] = None,
    repository: Annotated[
        str | None, typer.Option(help="OWNER/NAME.", envvar="GITHUB_REPOSITORY", show_envvar=True)
    ] = None,
    report: Annotated[
        str | None, typer.Option(help="The URL of the whole report, or of the run, to link to.")
    ] = None,
    author: Annotated[
        str, typer.Option(help="The user that the token is of; only this author's comment is replaced.")
    ] = "github-actions[bot]",
    failed: Annotated[
        bool, typer.Option("--failed", help="There is no plan: say that this push could not be planned.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the comment, and send nothing.")] = False,
    as_json: AsJson = False,
) -> None:
    """Write a plan as one comment on a pull request, in place of the one before. Prints the comment's URL.

    The token is GITHUB_TOKEN; GITHUB_API_URL names another server than github.com.

    Examples: `ingot comment plan.json --pull-request 12`, `ingot comment plan.json --dry-run`.
    """
    if (plan is None) is not failed:
        raise InputError("give either a plan or --failed", hint="make a plan with: ingot plan --json")
    body = (
        render_failed(report) if plan is None else render_comment(load_plan(plan, sys.stdin), report=report)
    )
    if dry_run:
        if as_json:
            print_json({"url": None, "body": body})
        else:
            print(body, end="")
        return
    if pull_request is None:
        raise InputError("--pull-request is missing", hint="`--dry-run` prints the comment without it")
    url = PullRequest(GitHub.of(repository, os.environ), pull_request, author).comment(body, MARKER)
    if as_json:
        print_json({"url": url, "body": body})
    else:
        print(url)
