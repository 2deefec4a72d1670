"""A small project in a git repository: one recipe, and a CDK app that writes its cloud
assembly itself, in a moment.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

from tests import ROOT

RECIPE = """\
name: web
base: {debian: bookworm}
root_volume: {size: 2GiB}
packages:
  - apache2
app: {source: app/, target: /srv/web}
files:
  - {target: /etc/motd, content: hello}
tests:
  - {name: it answers, http: {path: /}}
"""
# What a CDK app does in the end; settings.json stands for its code, and DIGEST in it for the recipe's digest.
APP = """\
import json, os, pathlib, sys
from ingot.errors import IngotError
from ingot.recipe.digest import recipe_digest
from ingot.recipe.load import load_recipe

out = pathlib.Path(os.environ["CDK_OUTDIR"])
settings = json.loads(pathlib.Path("settings.json").read_text())
context = json.loads(os.environ.get("CDK_CONTEXT_JSON") or "{}")
if settings.get("broken"):
    sys.exit(settings["broken"])
try:
    digest = recipe_digest(load_recipe(pathlib.Path("image_recipes") / settings["recipe"]))
except IngotError as error:
    print(error, file=sys.stderr)
    sys.exit(error.exit_code)
path = lambda name: {"aws:cdk:path": "Fleet/" + name + "/Resource"}
of_environment = settings.get(context.get("env") or "instance_type", "t3.small")
resources = {
    "Clone": {"Type": "AWS::EC2::LaunchTemplate", "Metadata": path("Clone"),
        "Properties": {"LaunchTemplateData": {
            "ImageId": "{{resolve:ssm:/ingot/" + settings["recipe"] + "/" + digest + "}}",
            "InstanceType": context.get("instance_type", of_environment)}}},
    "Group": {"Type": "AWS::AutoScaling::AutoScalingGroup", "Metadata": path("Group"),
        "Properties": {"MinSize": "2", "MaxSize": "4", "LaunchTemplate": {
            "LaunchTemplateId": {"Ref": "Clone"},
            "Version": {"Fn::GetAtt": ["Clone", "LatestVersionNumber"]}}},
        "UpdatePolicy": {"AutoScalingInstanceRefresh": {"Strategy": "Rolling", "Preferences": {
            "MinHealthyPercentage": 100, "MaxHealthyPercentage": 150, "InstanceWarmup": 30,
            "AlarmSpecification": {"Alarms": [{"Ref": "Errors"}]}}}}},
    "Errors": {"Type": "AWS::CloudWatch::Alarm", "Metadata": path("Errors"),
        "Properties": {"ComparisonOperator": "GreaterThanThreshold", "EvaluationPeriods": 1}},
    **json.loads(json.dumps(settings.get("resources", {})).replace("DIGEST", digest)),
}
template = {"Resources": resources, "Outputs": {"RecipeDigest": {"Value": digest}}}
out.mkdir(exist_ok=True)
(out / "Fleet.template.json").write_text(json.dumps(template))
stack = {"type": "aws:cloudformation:stack", "environment": "aws://unknown-account/unknown-region",
    "properties": {"templateFile": "Fleet.template.json"}, "displayName": "Fleet"}
(out / "manifest.json").write_text(json.dumps({"version": "36.0.0", "artifacts": {"Fleet": stack}}))
"""
PACKAGE = {
    "architecture": "amd64",
    "sha256": "ab" * 32,
    "size": 10,
    "path": "pool/a.deb",
    "archive": "debian",
    "suite": "bookworm",
    "essential": False,
    "role": "install",
}


class Project:
    """The project, in ``path``. ``write`` changes a file, ``commit`` commits all."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.recipe = path / "image_recipes" / "web"
        self.git("init", "--quiet", "--initial-branch", "main")
        self.git("config", "user.email", "someone@example.com")
        self.git("config", "user.name", "Someone")
        (path / ".git" / "info" / "exclude").write_text("node_modules\n")
        (path / "node_modules").symlink_to(ROOT / "node_modules")

    def fill(self) -> None:
        """Write the recipe and the app, and commit them."""
        self.write("image_recipes/web/recipe.yaml", RECIPE)
        self.write("image_recipes/web/app/index.html", "hello\n")
        self.lock({"apache2": "2.4-1", "openssl": "3.0-1"})
        self.write("cdk.json", json.dumps({"app": f"{sys.executable} app.py"}))
        self.write("app.py", APP)
        self.settings()
        self.commit("Begin")

    def git(self, *words: str) -> str:
        # No configuration of the machine's own, and no hook of it.
        environ = {**os.environ, "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_SYSTEM": os.devnull}
        done = subprocess.run(
            ["git", *words], cwd=self.path, env=environ, capture_output=True, text=True, check=True
        )
        return done.stdout.strip()

    def write(self, name: str, text: str) -> Path:
        path = self.path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    def replace(self, name: str, old: str, new: str) -> None:
        text = (self.path / name).read_text()
        assert old in text
        self.write(name, text.replace(old, new))

    def settings(self, **settings: object) -> None:
        self.write("settings.json", json.dumps({"recipe": "web", **settings}))

    def lock(self, versions: dict[str, str], requested: list[str] | None = None, name: str = "web") -> None:
        packages = [json.dumps({"name": n, "version": v, **PACKAGE}) for n, v in versions.items()]
        lock = {
            "format": 1,
            "distribution": {"id": "debian", "suite": "bookworm"},
            "architecture": "amd64",
            "epoch": 1700000000,
            "packages": [],
            "requested": {
                "base": [],
                "packages": ["apache2"] if requested is None else requested,
                "tools": [],
            },
        }
        text = json.dumps(lock, indent=1).replace(
            '"packages": []', '"packages": [\n' + ",\n".join(packages) + "\n]", 1
        )
        self.write(f"image_recipes/{name}/recipe.lock", text)

    def commit(self, message: str) -> str:
        self.git("add", "--all")
        self.git("commit", "--quiet", "--message", message)
        return self.git("rev-parse", "HEAD")

    def rename(self, old: str, new: str) -> None:
        shutil.move(self.path / "image_recipes" / old, self.path / "image_recipes" / new)
        self.replace(f"image_recipes/{new}/recipe.yaml", f"name: {old}", f"name: {new}")
