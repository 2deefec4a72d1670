"""Three distributions in one tree: no file is in two, and each works without the others' dependencies."""

import ast
import json
import subprocess
import tomllib
from email.parser import HeaderParser
from pathlib import Path
from zipfile import ZipFile

import pytest

from tests import ROOT
from tests.repository.distributions import NAMES, build, contents, environment, outside, tracked

# Of a distribution, but not installed: what builds and describes it.
NOT_INSTALLED = {
    "ingot/machines/LICENSE",
    "ingot/machines/README.md",
    "ingot/machines/hatch_build.py",
    "ingot/machines/pyproject.toml",
    "localcloud/LICENSE",
    "localcloud/README.md",
    "localcloud/pyproject.toml",
}


@pytest.fixture(scope="module")
def wheels(tmp_path_factory):
    return build(tmp_path_factory.mktemp("wheels"))


def run(program: Path, *words: str, cwd: Path | None = None, **more: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [program, *words],
        cwd=cwd or program.parent,
        capture_output=True,
        text=True,
        check=False,
        env=outside(**more),
    )


def metadata(wheel: Path):
    with ZipFile(wheel) as archive:
        [name] = [name for name in archive.namelist() if name.endswith(".dist-info/METADATA")]
        return HeaderParser().parsestr(archive.read(name).decode())


def requirements(wheel: Path) -> set[str]:
    """The names of what a distribution always requires."""
    lines = metadata(wheel).get_all("Requires-Dist") or []
    return {
        line.split(";")[0].split("[")[0].split("=")[0].split(">")[0].split("<")[0].strip().lower()
        for line in lines
        if "extra ==" not in line
    }


def test_every_file_is_in_exactly_one_wheel(wheels):
    files = [name for wheel in wheels.values() for name in contents(wheel)]
    assert len(files) == len(set(files))
    assert set(files) == tracked("ingot", "localcloud") - NOT_INSTALLED - tracked("localcloud/docs")


def test_every_wheel_has_the_license(wheels):
    for wheel in wheels.values():
        with ZipFile(wheel) as archive:
            [name] = [name for name in archive.namelist() if name.endswith(".dist-info/licenses/LICENSE")]
            assert archive.read(name) == (ROOT / "LICENSE").read_bytes()


def test_all_have_one_version_and_require_each_other_in_it(wheels):
    versions = {metadata(wheel)["Version"] for wheel in wheels.values()}
    assert len(versions) == 1
    [version] = versions
    ours = [
        line
        for wheel in wheels.values()
        for line in metadata(wheel).get_all("Requires-Dist") or []
        if line.startswith("ingot")
    ]
    assert sorted(ours) == [
        f"ingot-localcloud=={version}; extra == 'cloud'",
        f"ingot-machines=={version}",
        f"ingot-machines=={version}",
    ]


def test_only_the_local_cloud_requires_moto(wheels):
    assert requirements(wheels["ingot-machines"]) == set()
    assert {"moto", "aiohttp", "cfn-lint", "jsonschema", "regex"} <= requirements(wheels["ingot-localcloud"])
    assert not {"moto", "aiohttp", "cfn-lint", "jsonschema", "regex"} & requirements(wheels["ingot"])
    assert not {"aws-cdk-lib", "typer", "pydantic", "rich"} & requirements(wheels["ingot-localcloud"])


@pytest.mark.parametrize("name", ["ingot-machines", "ingot-localcloud"])
def test_what_it_imports_of_ours_is_in_it_or_in_what_it_requires(name, wheels):
    """A new module of the foundations has to be in the wheel of `ingot-machines` before
    machines may use it.
    """
    known = contents(wheels[name]) | contents(wheels["ingot-machines"])
    modules = {file.removesuffix(".py").removesuffix("/__init__").replace("/", ".") for file in known}
    for file in contents(wheels[name]):
        if not file.endswith(".py"):
            continue
        for node in ast.walk(ast.parse((ROOT / file).read_text())):
            if isinstance(node, ast.ImportFrom):
                names = {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
            elif isinstance(node, ast.Import):
                names = {alias.name for alias in node.names}
            else:
                continue
            if any(name.split(".")[0] in ("ingot", "localcloud") for name in names):
                packages = names if names & {"ingot", "localcloud"} else {min(names, key=len)}
                missing = packages - modules - {"ingot", "localcloud", "ingot.__version__"}
                assert not missing, f"{file}:{node.lineno} imports {sorted(missing)}"


def test_the_two_lists_of_the_foundations_agree():
    ingot = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["hatch"]["build"]["targets"]["wheel"]
    machines = tomllib.loads((ROOT / "ingot/machines/pyproject.toml").read_text())["tool"]["hatch"]["build"]
    foundations = machines["targets"]["wheel"]["hooks"]["custom"]["foundations"]
    assert set(ingot["exclude"]) == {f"/ingot/{name}" for name in [*foundations, "machines"]}


def test_an_editable_install_is_a_plain_path():
    """An import hook, or a copy of some files, would be found before the sources or slow down every start."""
    import aws_cdk

    packages = Path(aws_cdk.__file__).parent.parent
    for name in NAMES:
        lines = (packages / f"_{name.replace('-', '_')}.pth").read_text().splitlines()
        assert [Path(line).resolve() for line in lines] == [ROOT]
    assert not (packages / "ingot").exists()
    assert not (packages / "localcloud").exists()


@pytest.fixture(scope="module")
def without_cloud(wheels, tmp_path_factory):
    """An environment as `pip install ingot` makes it."""
    blocked = ("moto", "aiohttp", "cfnlint", "jsonschema", "regex", "flask", "werkzeug")
    directory = tmp_path_factory.mktemp("without-cloud")
    return environment(directory / "venv", wheels["ingot"], wheels["ingot-machines"], blocked=blocked)


def test_ingot_works_without_moto(without_cloud, tmp_path):
    done = run(without_cloud.parent / "ingot", "--help")
    assert done.returncode == 0, done.stderr
    assert "Bake a recipe into a disk image." in done.stdout
    recipe = tmp_path / "image_recipes" / "hello"
    recipe.mkdir(parents=True)
    text = "name: hello\nbase: {ami: {ssm: /aws/x}}\nroot_volume: {size: 2GiB}\n"
    (recipe / "recipe.yaml").write_text(text)
    done = run(without_cloud, "-m", "ingot.cli.main", "check", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (0, "hello: ok\n"), done.stderr


@pytest.mark.parametrize("command", ["up", "down", "status", "env"])
def test_without_the_local_cloud_its_commands_say_how_to_install_it(command, without_cloud):
    done = run(without_cloud, "-m", "ingot.cli.main", "cloud", command)
    assert (done.returncode, done.stdout) == (3, "")
    hint = "  hint: install it with: pip install 'ingot[cloud]'\n"
    assert done.stderr == f"error: the local cloud is not installed\n{hint}"


def test_the_hint_of_a_denied_call_works_from_the_wheel(without_cloud):
    program = "from ingot.aws.session.failures import statement_for; print(statement_for('RunInstances'))"
    done = run(without_cloud, "-c", program)
    assert done.returncode == 0, done.stderr
    first, *_ = json.loads(f"[{done.stdout}]")
    assert first["Action"] == "ec2:RunInstances"


def test_the_local_cloud_works_without_ingot(wheels, tmp_path):
    blocked = ("aws_cdk", "constructs", "typer", "pydantic", "rich", "ruamel", "cyclonedx")
    python = environment(
        tmp_path / "venv", wheels["ingot-localcloud"], wheels["ingot-machines"], blocked=blocked
    )
    done = run(python, "-m", "localcloud", "--help")
    assert done.returncode == 0, done.stderr
    assert "serve" in done.stdout
    assert run(python.parent / "localcloud", "--help").stdout == done.stdout
    done = run(python, "-m", "localcloud", "status", "--json", INGOT_HOME=str(tmp_path / "home"))
    assert (done.returncode, json.loads(done.stdout)) == (1, {"running": False}), done.stderr
    program = "import ingot.cli"
    assert "No module named 'ingot.cli'" in run(python, "-c", program).stderr
