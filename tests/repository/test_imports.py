"""The direction of imports: docs/architecture.md draws it, this test holds it."""

import ast
import re
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
GROUND = {
    "blocks",
    "cloud_record",
    "deb822",
    "errors",
    "escape",
    "files",
    "interrupts",
    "locks",
    "paths",
    "process",
    "progress",
    "quantities",
    "spec",
    "retry",
}
# package -> what else of ours it may import
MAY_IMPORT = {
    "recipe": {"recipe"},
    "machines": {"machines"},
    "bake": {"bake"},
    "store": {"store", "recipe", "bake"},
    "aws": {"aws", "store", "recipe", "bake"},
    "fleet": {"fleet", "aws"},
    "forge": {"forge"},
    "diff": {"diff", "forge", "recipe", "store", "aws", "bake"},
    "plan": {"plan", "diff", "forge", "recipe", "store", "aws"},
    "report": {"report", "plan", "diff", "store"},
    "constructs": {"constructs", "recipe"},
    "pipeline": {"pipeline", "recipe", "bake", "store", "machines", "aws", "fleet", "forge", "diff", "plan"},
    "cli": {
        "cli",
        "pipeline",
        "recipe",
        "bake",
        "store",
        "machines",
        "aws",
        "fleet",
        "forge",
        "diff",
        "plan",
        "report",
    },
}
STDLIB_ONLY_GROUND = {
    "blocks",
    "deb822",
    "errors",
    "files",
    "locks",
    "process",
    "progress",
    "quantities",
    "retry",
    "spec",
}


def imports_of(file: Path) -> set[str]:
    names = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}:{node.lineno}: relative import"
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def ours(file: Path) -> set[str]:
    """The packages of ours that a file imports: `recipe` for `ingot.recipe.load`."""
    return {name.split(".")[1] for name in imports_of(file) if name.startswith("ingot.")} - {"__version__"}


@pytest.mark.parametrize("package", MAY_IMPORT)
def test_package_imports_only_what_lies_below_it(package):
    for file in (ROOT / "ingot" / package).rglob("*.py"):
        beyond = ours(file) - MAY_IMPORT[package] - GROUND
        assert not beyond, f"{file.relative_to(ROOT)} imports {sorted(beyond)}"


def test_the_rules_allow_no_circle_of_packages():
    TopologicalSorter({package: others - {package} for package, others in MAY_IMPORT.items()}).prepare()


def modules() -> dict[str, Path]:
    """The modules of Ingot and of the local cloud, by name."""
    files = [*product(), *(ROOT / "localcloud").rglob("*.py")]
    parts = {file: file.relative_to(ROOT).with_suffix("").parts for file in files}
    return {".".join(names[: -1 if names[-1] == "__init__" else None]): file for file, names in parts.items()}


def test_no_modules_import_each_other():
    """Not inside a function either, nor for types alone: each can be read and moved without the other."""
    known = modules()
    assert len(known) > 300
    graph = {}
    for module, file in known.items():
        # `from ingot import paths` names a module, `from ingot.paths import RECIPES` something in one.
        named = {name if name in known else name.rpartition(".")[0] for name in imports_of(file)}
        graph[module] = (named & known.keys()) - {module}
    TopologicalSorter(graph).prepare()


def test_every_package_has_a_rule():
    packages = {path.name for path in (ROOT / "ingot").iterdir() if (path / "__init__.py").exists()}
    assert packages == set(MAY_IMPORT)


def test_the_engine_needs_the_standard_library_alone():
    import sys

    files = [
        *(ROOT / "ingot" / "bake").rglob("*.py"),
        *(ROOT / "ingot" / f"{name}.py" for name in STDLIB_ONLY_GROUND),
    ]
    for file in files:
        foreign = {name.split(".")[0] for name in imports_of(file)} - set(sys.stdlib_module_names) - {"ingot"}
        assert not foreign, f"{file.relative_to(ROOT)} imports {sorted(foreign)}"
        beyond = ours(file) - {"bake"} - STDLIB_ONLY_GROUND
        assert not beyond, f"{file.relative_to(ROOT)} imports {sorted(beyond)}"


def test_stacks_import_constructs_and_recipes_only():
    for file in [*(ROOT / "stacks").rglob("*.py"), ROOT / "app.py"]:
        beyond = ours(file) - {"constructs", "recipe"} - GROUND
        assert not beyond, f"{file.relative_to(ROOT)} imports {sorted(beyond)}"


def product() -> list[Path]:
    """The modules of Ingot, without the files that it writes into projects."""
    templates = ROOT / "ingot" / "templates"
    return [file for file in (ROOT / "ingot").rglob("*.py") if not file.is_relative_to(templates)]


def test_only_aws_cdk_users_import_it():
    for file in product():
        package = file.relative_to(ROOT / "ingot").parts[0]
        users = {name.split(".")[0] for name in imports_of(file)}
        if package != "constructs":
            assert "aws_cdk" not in users, file
        if package != "aws":
            assert not {"boto3", "botocore"} & users, file


def is_program(node: ast.stmt) -> bool:
    return isinstance(node, ast.If) and ast.unparse(node.test) == "__name__ == '__main__'"


def ends(tree: ast.Module) -> set[str]:
    """What of a module prints, or ends the process that runs it, where it is not that process's program."""
    body = [node for node in tree.body if not is_program(node)]
    nodes = [inner for node in body for inner in ast.walk(node)]
    called = {ast.unparse(node.func) for node in nodes if isinstance(node, ast.Call)}
    raised = {
        ast.unparse(node.exc).partition("(")[0] for node in nodes if isinstance(node, ast.Raise) and node.exc
    }
    return (called | raised) & {"print", "exit", "quit", "sys.exit", "os._exit", "os.abort", "SystemExit"}


# A process that was forked ends without what its parent would still do.
FORKS = {"ingot/bake/runtime/sandbox.py": {"os._exit"}}


def test_only_the_command_line_prints_or_exits():
    found = {
        str(file.relative_to(ROOT)): ending
        for file in product()
        if file.relative_to(ROOT / "ingot").parts[0] != "cli"
        and (ending := ends(ast.parse(file.read_text())))
    }
    assert found == FORKS


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("def f():\n    sys.exit(1)", {"sys.exit"}),
        ("def f():\n    raise SystemExit(1)", {"SystemExit"}),
        ("def f():\n    raise SystemExit", {"SystemExit"}),
        ("class A:\n    def f(self):\n        print(1)", {"print"}),
        ("if __name__ == '__main__':\n    sys.exit(main())", set()),
        ("def f():\n    console.print(1)", set()),
    ],
)
def test_what_prints_or_exits(text, expected):
    assert ends(ast.parse(text)) == expected


def test_no_command_imports_another():
    """What two of them need is a function below: in the pipeline, or in a package beside the commands."""
    commands = {file.stem: file for file in (ROOT / "ingot" / "cli").glob("[a-z]*.py") if file.stem != "main"}
    assert len(commands) > 20
    for command, file in commands.items():
        used = {name.split(".")[2] for name in imports_of(file) if name.startswith("ingot.cli.")}
        assert not used & (commands.keys() - {command}), file


def test_only_process_runs_programs():
    """All but the first program of a builder instance, which fetches what brings ``ingot.process``, and the
    bench's relay, which has to be small: its size counts as that of the program that it starts.
    """
    runners = set()
    for tree in ("ingot", "localcloud", "stacks", "bench", "tools"):
        for file in (ROOT / tree).rglob("*.py"):
            for node in ast.walk(ast.parse(file.read_text())):
                if isinstance(node, ast.Call) and re.fullmatch(
                    r"subprocess\.\w+|Popen|os\.(system|popen|(posix_)?spawn\w+)", ast.unparse(node.func)
                ):
                    runners.add(str(file.relative_to(ROOT)))
    assert runners == {"ingot/process.py", "ingot/bake/instance/bootstrap.py", "bench/relay.py"}


def test_only_what_starts_and_stops_the_local_cloud_imports_it():
    importers = {
        str(file.relative_to(ROOT))
        for file in [*(ROOT / "ingot").rglob("*.py"), *(ROOT / "stacks").rglob("*.py"), ROOT / "app.py"]
        if any(name.split(".")[0] == "localcloud" for name in imports_of(file))
    }
    assert importers == {"ingot/cli/cloud.py", "ingot/cli/down.py", "ingot/pipeline/project/cloud.py"}


def test_the_local_cloud_imports_machines_and_foundations_only():
    for file in (ROOT / "localcloud").rglob("*.py"):
        beyond = ours(file) - {"machines"} - GROUND
        assert not beyond, f"{file.relative_to(ROOT)} imports {sorted(beyond)}"


def test_the_architecture_names_every_package():
    page = (ROOT / "docs" / "architecture.md").read_text()
    for package in MAY_IMPORT:
        assert f"\n  {package}/ " in page, package
    for package in (ROOT / "ingot" / "bake").iterdir():
        if (package / "__init__.py").exists():
            assert f"\n    {package.name}/ " in page, package.name


# Within a tree: package -> what else of the tree it may import. Modules at a tree's top stand above all of
# them.
WITHIN = {
    "ingot/aws": {
        "session": set(),
        "registry": {"session"},
        "instances": {"session"},
        "instance_store": {"session"},
        "publish": {"instance_store", "instances", "registry", "session"},
        "builder": {"publish", "instances", "registry", "session"},
        "verify": {"instance_store", "publish", "registry", "session"},
        "prune": {"instance_store", "publish", "registry", "session"},
        "archive": {"publish", "registry", "session"},
    },
    "ingot/bake": {
        "tree": set(),
        "runtime": {"tree"},
        "packages": {"runtime"},
        "dependencies": {"image", "packages", "runtime"},
        "image": {"runtime", "tree"},
        "disk": {"runtime", "tree"},
        "hygiene": {"disk", "image", "packages", "runtime", "tree"},
        "layers": {"dependencies", "disk", "hygiene", "image", "packages", "runtime", "tree"},
        "instance": {"disk", "hygiene", "image", "layers", "packages", "runtime", "tree"},
    },
    "ingot/cli": {"terminal": set(), "usage": {"terminal"}, "failures": {"terminal", "usage"}},
    "localcloud": {"core": set(), "services": {"core"}},
}
# The program of a builder instance runs the engine.
STANDS_ON_THE_TOP = {ROOT / "ingot" / "bake" / "instance"}


@pytest.mark.parametrize(
    ("tree", "package"), [(tree, package) for tree in WITHIN for package in WITHIN[tree]]
)
def test_packages_of_a_tree_import_one_way(tree, package):
    prefix, folder = tree.replace("/", ".") + ".", ROOT / tree / package
    for file in folder.rglob("*.py"):
        used = {
            name.removeprefix(prefix).split(".")[0] for name in imports_of(file) if name.startswith(prefix)
        }
        top = {path.stem for path in (ROOT / tree).glob("*.py")} if folder in STANDS_ON_THE_TOP else set()
        beyond = used - WITHIN[tree][package] - {package} - top
        assert not beyond, f"{file.relative_to(ROOT)} imports {sorted(beyond)}"


@pytest.mark.parametrize("tree", WITHIN)
def test_every_package_of_a_tree_has_a_rule(tree):
    assert {path.parent.name for path in (ROOT / tree).glob("*/__init__.py")} == set(WITHIN[tree])


@pytest.mark.parametrize("tree", WITHIN)
def test_the_rules_within_a_tree_allow_no_circle(tree):
    TopologicalSorter(WITHIN[tree]).prepare()
