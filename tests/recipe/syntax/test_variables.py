import hashlib
import time

import pytest

from ingot.errors import InputError
from ingot.recipe.compile import compile_spec
from ingot.recipe.digest import recipe_digest
from ingot.recipe.load import environments, load_recipe

FILE = "image_recipes/web/recipe.yaml"
VARIABLES = """\
variables: {greeting: hello, size: 2GiB, id: 990, quiet: true}
environments:
  prod: {greeting: hi, size: 4GiB}
  test:
"""


@pytest.fixture
def varied(web):
    web.file.write_text(web.file.read_text().replace("size: 2GiB", 'size: "${size}"') + VARIABLES)
    web.replace("uid: 990", 'uid: "${id}"')
    web.replace("a2ensite site", "echo ${greeting} $HOME $${HOME} ${id} ${quiet}")
    return web


def problems(web, environment=None):
    with pytest.raises(InputError) as caught:
        load_recipe(web.file, environment)
    return [str(problem) for problem in caught.value.problems]


def test_values_are_put_in(varied):
    recipe = load_recipe(varied.file)
    assert recipe.root_volume.size == 2 * 2**30
    assert recipe.users[0].uid == 990
    assert recipe.steps[0].run == "echo hello $HOME ${HOME} 990 true"


def test_an_environment_sets_its_own(varied):
    recipe = load_recipe(varied.file, "prod")
    assert recipe.root_volume.size == 4 * 2**30
    assert recipe.steps[0].run.startswith("echo hi ")
    assert load_recipe(varied.file, "test").steps[0].run.startswith("echo hello ")


def test_a_number_is_text_where_text_is_wanted(varied):
    varied.replace(
        "target: /etc/site.conf",
        'target: /etc/site.conf, group: app}\n  - {target: /etc/uid, content: "${id}"',
    )
    varied.replace("packages: [apache2]", 'packages: [apache2]\nkernel_command_line: "${quiet}"')
    recipe = load_recipe(varied.file)
    assert recipe.files[1].content == "990"
    assert recipe.kernel_command_line == "true"


def test_values_are_in_the_digest_by_what_they_change(varied):
    plain, prod, test = (recipe_digest(load_recipe(varied.file, name)) for name in (None, "prod", "test"))
    assert plain == test  # the same image, whatever the environment is called
    assert plain != prod
    varied.replace("greeting: hello", "greeting: good day")
    assert recipe_digest(load_recipe(varied.file)) != plain
    assert recipe_digest(load_recipe(varied.file, "prod")) == prod


def test_a_template_takes_values(varied):
    (varied.path / "files" / "site.conf").write_text("Say ${greeting}\n$${HOME} $1\n")
    varied.replace("target: /etc/site.conf", "target: /etc/site.conf, template: true")
    spec = compile_spec(load_recipe(varied.file, "prod"))
    [file] = [file for file in spec.files if file.target == "/etc/site.conf"]
    text = "Say hi\n${HOME} $1\n"
    assert file.content == text
    assert file.source is None
    assert (file.mode, file.size) == ("0644", len(text))
    assert file.sha256 == hashlib.sha256(text.encode()).hexdigest()


def test_a_file_that_is_no_template_is_left_alone(varied):
    (varied.path / "files" / "site.conf").write_text("${greeting} ${nothing}\n")
    [file] = [f for f in compile_spec(load_recipe(varied.file)).files if f.target == "/etc/site.conf"]
    assert file.source == "files/site.conf"


def test_unknown_variables_of_a_template_are_named_with_their_places(varied):
    (varied.path / "files" / "site.conf").write_text("a\nSay ${greting} and ${x:-y}\n${")
    varied.replace("target: /etc/site.conf", "target: /etc/site.conf, template: true")
    first, second, third = problems(varied)
    assert first.startswith(
        "image_recipes/web/files/site.conf:2:5: the variable 'greting', which is not declared"
    )
    assert "did you mean greeting?" in first
    assert "site.conf:2:20: invalid value '${x:-y}'" in second
    assert "write $${" in second
    assert "site.conf:3:1: invalid value '${'" in third


@pytest.mark.parametrize(
    ("name", "data", "said"),
    [
        ("site.conf", b"\xff\xfe", "whose byte 0 is not UTF-8"),
        ("site.conf", b"x" * (2**20 + 1), "a template of at most 1048576 bytes"),
    ],
)
def test_what_is_no_template(varied, name, data, said):
    (varied.path / "files" / name).write_bytes(data)
    varied.replace("target: /etc/site.conf", "target: /etc/site.conf, template: true")
    [problem] = problems(varied)
    assert said in problem


def test_a_template_needs_a_source_file(varied):
    varied.replace("source: files/site.conf", "content: x, template: true")
    [problem] = problems(varied)
    assert "template for a content, which takes variables anyway" in problem
    varied.replace("content: x", "source: files")
    [problem] = problems(varied)
    assert "template for a source that is a directory" in problem


WRONG = [
    (
        "echo ${greeting}",
        "echo ${greting}",
        f"{FILE}:11:5: the variable 'greting', which is not declared",
        "did you mean greeting?",
    ),
    ("echo ${greeting}", "echo ${zzz}", f"{FILE}:11:5: the variable 'zzz'", "write $${"),
    ('uid: "${id}"', 'uid: "${idd}"', f"{FILE}:6:26: the variable 'idd'", "did you mean id?"),
    ("id: 990, quiet", "id: x, quiet", f"{FILE}:6:26: invalid value 'x'", "a whole number"),
    ("greeting: hello", "greeting: [a]", f"{FILE}:15:23: a mapping or a list", "text, a whole number"),
    ("greeting: hello", "greeting: 1.5", f"{FILE}:15:23: invalid value 1.5", "text, a whole number"),
    (
        "greeting: hello",
        "gree-ting: hello, greeting: x",
        f"{FILE}:15:13: variable 'gree-ting'",
        "letters, digits and _",
    ),
    ("prod: {greeting", "prod: {greting", f"{FILE}:17:10: the variable 'greting'", "did you mean greeting?"),
    ("prod:", "Prod:", f"{FILE}:17:3: environment 'Prod'", "lower case letters"),
    ("  test:", "  test: x", f"{FILE}:18:9: no mapping", "{greeting: hello}"),
]


@pytest.mark.parametrize(("old", "new", "said", "also"), WRONG, ids=[entry[1] for entry in WRONG])
def test_what_is_wrong_has_its_place(varied, old, new, said, also):
    varied.replace(old, new)
    found = [problem for problem in problems(varied) if said in problem]
    assert len(found) == 1, problems(varied)
    assert also in found[0]


def test_one_mistake_is_one_problem(varied):
    varied.replace('uid: "${id}"', 'uid: "${idd}"')
    assert len(problems(varied)) == 1


def test_an_environment_that_there_is_not(varied):
    [problem] = problems(varied, "prd")
    assert problem.startswith(f"{FILE}:16:1: no environment 'prd', expected one of prod, test")
    assert "did you mean prod?" in problem


def test_no_environments_at_all(web):
    [problem] = problems(web, "prod")
    assert "no environment 'prod', expected none: the recipe has no environments" in problem


def test_a_variable_without_a_default_is_the_environments_to_set(varied):
    assert environments(varied.file) == [None, "prod", "test"]
    varied.replace("greeting: hello", "greeting: ")
    assert environments(varied.file) == ["prod", "test"]
    load_recipe(varied.file, "prod")
    [problem] = problems(varied, "test")
    assert "the variable 'greeting', which has no value in test" in problem
    assert "which has no value without an environment" in problems(varied)[0]


def test_an_environment_may_have_a_lock_of_its_own(varied):
    shared = varied.lock.read_text()
    prod = load_recipe(varied.file, "prod")
    assert prod.lock_path == varied.lock
    before = recipe_digest(prod)
    own = varied.path / "recipe.prod.lock"
    own.write_text(shared.replace("1700000000", "1700000001"))
    assert prod.lock_path == own
    assert recipe_digest(prod) != before
    assert load_recipe(varied.file).lock_path == varied.lock
    own.write_text(shared.replace('"packages": ["apache2"]', '"packages": []'))
    with pytest.raises(InputError, match="run: ingot lock web --env prod"):
        recipe_digest(prod)


def test_a_reference_without_quotes_in_braces_is_explained(varied):
    varied.replace('uid: "${id}"', "uid: ${id}")
    [problem] = problems(varied)
    assert "YAML that does not parse" in problem
    assert 'inside {…} and […] a value with ${…} needs quotes: "${greeting}"' in problem


def test_what_values_make_of_a_recipe_is_limited(varied):
    steps = "".join(f"  - echo {number} ${{big}}\n" for number in range(1600))
    varied.replace("steps:\n", f"steps:\n{steps}")
    varied.replace("variables: {", f"variables: {{big: {'x' * 50_000}, ")
    found = [problem for problem in problems(varied) if "once its values are in" in problem]
    assert len(found) == 1
    assert found[0].startswith(f"{FILE}:94:5: text of more than 4194304 characters")


def test_what_values_make_of_a_template_is_limited(varied):
    (varied.path / "files" / "site.conf").write_text("${big}" * 1600)
    varied.replace("files/site.conf, target", "files/site.conf, template: true, target")
    varied.replace("variables: {", f"variables: {{big: {'x' * 50_000}, ")
    [problem] = problems(varied)
    assert problem.startswith("image_recipes/web/files/site.conf:1:")
    assert "text of more than 4194304 characters once its values are in" in problem


def test_unknown_variables_are_reported_until_nobody_reads_on(varied):
    (varied.path / "files" / "site.conf").write_text("${nope}\n" * 20_000)
    varied.replace("files/site.conf, target", "files/site.conf, template: true, target")
    began = time.monotonic()
    assert len(problems(varied)) == 100
    assert time.monotonic() - began < 5
