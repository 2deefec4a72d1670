"""What must hold for the repository as a whole."""

import re
import subprocess
from pathlib import Path

from ruamel.yaml import YAML

import ingot

ROOT = Path(__file__).parent.parent.parent


def tracked() -> list[Path]:
    done = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True)
    return [ROOT / name for name in done.stdout.split("\0") if name and (ROOT / name).is_file()]


def test_no_package_registry_is_named():
    # Spelled so that this file does not name them.
    host = re.compile(
        "|".join(
            [
                r"deb\.deb" r"ian\.org",
                r"security\.deb" r"ian\.org",
                r"registry\.np" r"mjs\.org",
                r"files\.python" r"hosted\.org",
            ]
        )
    )
    for file in tracked():
        found = host.search(file.read_text(errors="replace"))
        assert not found, f"{file.relative_to(ROOT)} names {found.group()}"


def test_the_setup_can_be_read_by_a_shell():
    for script in ("tools/picture", "tools/setup", "tools/up", ".ci/run"):
        subprocess.run(["bash", "-n", script], cwd=ROOT, check=True)
        assert (ROOT / script).stat().st_mode & 0o111


def test_the_mask_of_secrets():
    pattern = re.compile(r"AKIA[0-9A-Z]{16}|-----BEGIN [A-Z ]*PRIVATE KEY-----")
    for file in tracked():
        if file.suffix in (".deb", ".png"):
            continue
        found = pattern.search(file.read_text(errors="replace"))
        assert not found, f"{file.relative_to(ROOT)} holds what looks like a secret: {found.group()[:12]}…"


def test_a_contributor_finds_the_usual_files():
    names = {str(path.relative_to(ROOT)) for path in tracked()}
    assert {
        ".editorconfig",
        ".gitattributes",
        ".github/CODEOWNERS",
        ".github/dependabot.yml",
        ".github/pull_request_template.md",
        ".pre-commit-config.yaml",
        "CHANGELOG.md",
        "CONTRIBUTING.md",
        "LICENSE",
        "SECURITY.md",
    } <= names


def test_the_configuration_of_github_and_of_hooks_is_valid_yaml():
    yaml = YAML(typ="safe")
    for path in [*(ROOT / ".github").rglob("*.yml"), ROOT / ".pre-commit-config.yaml"]:
        assert isinstance(yaml.load(path), dict), path
    [repository] = yaml.load(ROOT / ".pre-commit-config.yaml")["repos"]
    assert {hook["entry"].split()[0] for hook in repository["hooks"]} == {".venv/bin/ruff", ".venv/bin/mypy"}
    updates = yaml.load(ROOT / ".github" / "dependabot.yml")["updates"]
    assert [update["package-ecosystem"] for update in updates] == ["pip", "npm", "github-actions"]


def test_the_newest_release_in_the_changelog_is_the_version():
    headings = re.findall(r"^## (.+)$", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert headings[0] == "Unreleased"
    version, date = headings[1].split(" - ")
    assert version == ingot.__version__
    assert re.fullmatch(r"\d{4}-\d\d-\d\d", date)


def test_text_files_end_their_lines_as_gitattributes_says():
    listed = subprocess.run(
        ["git", "ls-files", "--eol"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    endings = {line.split()[0] for line in listed.stdout.splitlines()}
    assert endings <= {"i/lf", "i/none", "i/-text", "i/"}  # "i/": a symbolic link
