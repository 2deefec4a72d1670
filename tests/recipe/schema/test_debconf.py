"""Answers to packages' questions: typed, each once, and a part of the digest."""

import pytest

from ingot.errors import InputError
from ingot.recipe.compile import compile_spec
from ingot.recipe.digest import recipe_digest
from ingot.recipe.load import load_recipe
from ingot.spec import AnswerSpec

ANSWER = "{package: apache2, question: apache2/hello, value: yes and no}"
AGREED = "{package: apache2, question: apache2/agreed, type: boolean, value: true}"


def write(web, *answers):
    entries = "".join(f"  - {answer}\n" for answer in answers)
    web.replace("packages: [apache2]\n", f"packages: [apache2]\ndebconf:\n{entries}")


def test_answers_reach_the_engine_and_the_digest(web):
    before = recipe_digest(load_recipe(web.file))
    write(web, ANSWER, AGREED)
    recipe = load_recipe(web.file)
    assert compile_spec(recipe).debconf == (
        AnswerSpec("apache2", "apache2/agreed", "boolean", "true"),
        AnswerSpec("apache2", "apache2/hello", "string", "yes and no"),
    )
    digest = recipe_digest(recipe)
    assert digest != before
    web.replace(f"  - {ANSWER}\n  - {AGREED}\n", f"  - {AGREED}\n  - {ANSWER}\n")
    assert recipe_digest(load_recipe(web.file)) == digest


@pytest.mark.parametrize(
    ("answers", "said"),
    [
        ([AGREED.replace("true", "maybe")], "a boolean with the value 'maybe'"),
        ([ANSWER.replace("yes and no", "true")], "a string with the value True"),
        ([ANSWER.replace("yes and no", r'"two\nlines"')], "text in one line"),
        ([ANSWER.replace("apache2/hello", "hello")], "a debconf question"),
        ([AGREED.replace("boolean", "password")], "'boolean', 'multiselect', 'select' or 'string'"),
        ([ANSWER, ANSWER], "'apache2/hello' again"),
    ],
)
def test_a_wrong_answer_is_named_with_its_place(web, answers, said):
    write(web, *answers)
    with pytest.raises(InputError) as caught:
        load_recipe(web.file)
    (problem,) = caught.value.problems
    assert said in str(problem)
    assert str(problem).startswith(f"image_recipes/web/recipe.yaml:{5 + len(answers)}:")


def test_a_base_ami_has_no_debconf(web):
    write(web, ANSWER)
    web.replace("{debian: bookworm}", "{ami: {id: ami-0123456789abcdef0}}")
    with pytest.raises(InputError) as caught:
        load_recipe(web.file)
    assert "debconf on a base AMI" in str(caught.value.problems[0])
