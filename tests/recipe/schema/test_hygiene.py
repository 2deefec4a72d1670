import pytest

from ingot.errors import InputError
from ingot.recipe.compile import compile_spec
from ingot.recipe.load import load_recipe
from ingot.spec import AllowanceSpec

ALLOW = (
    'hygiene: {allow: [{finding: private-key, path: "/etc/ssl/private/*.key", reason: for tests}]}\nsteps:'
)


def test_the_spec_says_what_is_allowed(web):
    assert compile_spec(load_recipe(web.file)).allowances == ()
    web.replace("steps:", ALLOW)
    assert compile_spec(load_recipe(web.file)).allowances == (
        AllowanceSpec("private-key", "/etc/ssl/private/*.key", "for tests"),
    )


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        (", reason: for tests", "", "missing key 'reason'"),
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
