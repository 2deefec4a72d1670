"""Errors as text with the line that they are about, and as one JSON document of one shape."""

import json

import jsonschema
import pytest

from ingot.cli.main import main
from tests.baked import ROOT

ERROR = jsonschema.Draft202012Validator(json.loads((ROOT / "docs/error.schema.json").read_text()))


@pytest.mark.parametrize(
    ("words", "code", "problems"),
    [
        (["check", "--json"], 2, 0),  # no recipes here
        (["digest", "web", "--json"], 2, 0),
        (["show", "web", "--json", "--zzz"], 2, 0),
        (["check", "--recipes", "wrong", "--json"], 2, 2),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_a_failure_with_json_is_one_document_of_one_shape(
    words, code, problems, tmp_path, monkeypatch, capsys
):
    (tmp_path / "wrong" / "web").mkdir(parents=True)
    (tmp_path / "wrong" / "web" / "recipe.yaml").write_text("name: web\nbase: {debian: 7}\nzzz: 1\n")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as ended:
        main(words)
    out, err = capsys.readouterr()
    assert (ended.value.code, out) == (code, "")
    found = json.loads(err)
    ERROR.validate(found)
    assert found["error"]["exit_code"] == code
    assert len(found["error"]["problems"]) >= problems


def test_a_recipes_error_shows_its_line_and_what_belongs_there(tmp_path, monkeypatch, capsys):
    (tmp_path / "image_recipes" / "web").mkdir(parents=True)
    (tmp_path / "image_recipes" / "web" / "recipe.yaml").write_text("name: web\npakages: [nginx]\n")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit):
        main(["check"])
    err = capsys.readouterr().err
    assert (
        "error: image_recipes/web/recipe.yaml:2:1: unknown key 'pakages'\n"
        "  2 | pakages: [nginx]\n"
        "    | ^ expected one of include, name, base, "
    ) in err
    assert "\n  hint: did you mean packages or stages?\n" in err
