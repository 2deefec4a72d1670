"""The docs say what is true: each command shown parses, each recipe is valid, each link leads somewhere."""

import ast
import re
import shlex
from pathlib import Path

import pytest
import typer

from ingot.cli.main import COMMANDS, cli
from ingot.recipe.load import load_recipe

ROOT = Path(__file__).parent.parent.parent
PAGES = [
    *sorted(ROOT.glob("*.md")),
    *sorted((ROOT / "docs").rglob("*.md")),
    *sorted(ROOT.glob("localcloud/**/*.md")),
    ROOT / "ingot/machines/README.md",
    *sorted(ROOT.glob("examples/*/README.md")),
]
CDK = {"bootstrap", "deploy", "destroy", "diff", "synth", "watch"}


def blocks(page: Path, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", page.read_text(), re.DOTALL | re.MULTILINE)


def shown_commands() -> list[tuple[str, list[str]]]:
    """(page, words) of each command in shell blocks and code spans, without comments, pipes and variables."""
    found = []
    for page in PAGES:
        text = page.read_text()
        spans = re.findall(r"`((?:ingot|make|cdk) [^`\n|=(]+)`", text)
        indented = re.findall(r"^    ((?:ingot|make|cdk) .*)$", text, re.MULTILINE)
        lines = "\n".join(blocks(page, "sh")).replace("\\\n", " ").splitlines()
        for line in [*lines, *spans, *indented]:
            words = shlex.split(line, comments=True)
            while words and re.fullmatch(r"[A-Z_]+=.*|sudo|-E", words[0]):
                words.pop(0)
            for stop in ("|", ">", "2>", "&&", ";"):
                words = words[: words.index(stop)] if stop in words else words
            if words:
                found.append((page.name, words))
    return found


COMMANDS_SHOWN = shown_commands()


def ids(value: object) -> str | None:
    return " ".join(value) if isinstance(value, list) else None


def test_there_are_commands_to_check():
    assert len(COMMANDS_SHOWN) > 20


@pytest.mark.parametrize(
    ("page", "words"), [c for c in COMMANDS_SHOWN if Path(c[1][0]).name == "ingot"], ids=ids
)
def test_an_ingot_command_in_the_docs_parses(page, words):
    group = typer.main.get_command(cli)
    shown = [word for word in words[1:] if not re.fullmatch(r"\[.*|.*\]|…", word)]
    if shown[0].startswith("--"):
        assert group.make_context("ingot", shown, resilient_parsing=True)
        return
    name, *arguments = ["1" if word == "PID" else word for word in shown]  # stands for a number
    assert name in COMMANDS, f"{page}: {words}"
    command = group.get_command(None, name)
    if hasattr(command, "commands"):
        if arguments:
            context = typer.Context(command, info_name=name)
            _, command, arguments = command.resolve_command(context, arguments)
        if hasattr(command, "commands"):
            return
    # In running text a command may stand without its argument: `ingot publish`.
    needed = [p for p in command.params if p.param_type_name == "argument" and p.required]
    given = [word for word in arguments if not word.startswith("-")]
    names = ["NAME"] * max(0, len(needed) - len(given))
    context = command.make_context(name, [*arguments, *names])
    assert set(context.params) == {parameter.name for parameter in command.params if parameter.expose_value}


@pytest.mark.parametrize(
    ("page", "words"), [c for c in COMMANDS_SHOWN if c[1][0] in ("make", "cdk")], ids=ids
)
def test_a_make_or_cdk_command_in_the_docs_exists(page, words):
    if words[0] == "make":
        targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
        assert words[1] in targets, f"{page}: {words}"
    else:
        assert words[1] in CDK, f"{page}: {words}"


def test_the_recipe_in_the_readme_is_valid(tmp_path):
    [recipe] = blocks(ROOT / "README.md", "yaml")
    directory = tmp_path / "shop"
    (directory / "app").mkdir(parents=True)
    (directory / "app" / "index.html").write_text("hello")
    (directory / "recipe.yaml").write_text(recipe)
    assert load_recipe(directory).name == "shop"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_leads_somewhere(page):
    for target in re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", page.read_text()):
        if not target.startswith("http"):
            assert (page.parent / target).exists(), f"{page.name} links to {target}"


def test_every_page_is_in_the_index():
    index = (ROOT / "docs" / "README.md").read_text()
    linked = {(ROOT / "docs" / target).resolve() for target in re.findall(r"\]\(([^)#\s]+)", index)}
    pages = {page for page in (ROOT / "docs").glob("*.md") if page.name != "README.md"}
    assert pages - linked == set()


DECISIONS = sorted((ROOT / "docs" / "decisions").glob("[0-9]*.md"))
STATUS = re.compile(r"accepted|proposed|superseded by \[\d+\]\(\d{4}-[\w-]+\.md\)")


@pytest.mark.parametrize("page", DECISIONS, ids=lambda page: page.name)
def test_a_decision_record_has_number_date_and_status_and_is_in_the_index(page):
    head = re.match(r"# (\d+)\. (.+)\n\n- Date: (\d{4}-\d\d-\d\d)\n- Status: (.+)\n\n", page.read_text())
    assert head is not None
    number, title, date, status = head.groups()
    assert page.name.startswith(f"{int(number):04}-")
    assert STATUS.fullmatch(status)
    row = f"| {number} | [{title}]({page.name}) | {date} | {status} |"
    assert row in (page.parent / "README.md").read_text().splitlines()


def test_decision_records_have_one_number_each():
    numbers = [page.name[:4] for page in DECISIONS]  # gaps are of records that are still being written
    assert len(numbers) == len(set(numbers))


LOCALCLOUD_SHOWN = [
    words
    for page in PAGES
    for words in re.findall(r"(?:^|[`(])localcloud ((?:[a-z-]+ ?)*)", page.read_text(), re.M)
]


def test_the_commands_of_the_local_cloud_in_the_docs_exist():
    commands = {words.split()[0] for words in LOCALCLOUD_SHOWN if words.split()}
    assert commands == {"up", "down", "env", "status", "serve"}


@pytest.mark.parametrize(
    "page", [page for page in PAGES if page.parent.parent.name == "localcloud"], ids=lambda page: page.name
)
def test_the_modules_that_the_local_clouds_pages_name_exist(page):
    for name in re.findall(r"`((?:core|services)/[a-z0-9_/]+(?:\.py)?)`", page.read_text()):
        assert (ROOT / "localcloud" / name).exists(), f"{page.name} names {name}"


def test_the_ways_through_the_code_lead_along_functions_that_are_there():
    section = (ROOT / "docs" / "architecture.md").read_text().partition("## Four ways through the code")[2]
    steps = re.findall(r"`([\w/]+\.py)`: ((?:`\w+`(?:, )?)+)", section.partition("\n## ")[0])
    assert len(steps) > 20
    for file, functions in steps:
        nodes = ast.walk(ast.parse((ROOT / file).read_text()))
        defined = {node.name for node in nodes if isinstance(node, ast.FunctionDef)}
        assert set(re.findall(r"\w+", functions)) <= defined, file


def test_lines_are_no_wider_than_those_of_the_code():
    """Excepted are rows of tables, which have no other form, code blocks, which show what programs print, and
    lines that one address makes long.
    """
    for page in PAGES:
        is_code = False
        for number, line in enumerate(page.read_text().splitlines(), 1):
            if line.lstrip().startswith("```"):
                is_code = not is_code
            elif not is_code and not line.lstrip().startswith("|"):
                text = re.sub(r"\(https?://\S+\)\S*", "", line)
                assert len(text) <= 110, f"{page.relative_to(ROOT)}:{number}: {len(line)} characters"
