from typing import get_args

import pytest

from ingot.bake.hygiene import NAMES
from ingot.errors import InputError
from ingot.recipe.load import load_recipe
from ingot.recipe.plan import compile_plan
from ingot.recipe.schema.parts import FindingName

ALLOW = (
    'hygiene: {allow: [{finding: private-key, path: "/etc/ssl/private/*.key", reason: for tests}]}\nsteps:'
)


def test_recipes_know_the_findings_of_the_gate():
    assert get_args(FindingName) == NAMES


def test_the_plan_says_what_is_allowed(web):
    assert compile_plan(load_recipe(web.file))["hygiene"] == {"allow": []}
    web.replace("steps:", ALLOW)
    assert compile_plan(load_recipe(web.file))["hygiene"] == {
        "allow": [{"finding": "private-key", "path": "/etc/ssl/private/*.key", "reason": "for tests"}]
    }


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        (", reason: for tests", "", "no key 'reason'"),
        ("reason: for tests", 'reason: " "', "why, in one line"),
        ("private-key", "privat-key", "did you mean private-key?"),
        ('"/etc/ssl/private/*.key"', "etc/x", "an absolute path"),
    ],
)
def test_a_wrong_allowance(web, old, new, said):
    web.replace("steps:", ALLOW.replace(old, new))
    with pytest.raises(InputError) as caught:
        load_recipe(web.file)
    assert len(caught.value.problems) == 1
    assert said in str(caught.value)
