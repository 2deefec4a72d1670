from ingot.plan.infrastructure.fold import fold

A, B, C, D = ("a" * 64, "b" * 64, "c" * 64, "d" * 64)


def image(digest, recipe="web"):
    return f"{{{{resolve:ssm:/ingot/{recipe}/{digest}}}}}"


def test_an_image_is_folded_wherever_its_digest_stands():
    before = {"Resources": {"Clone": {"Image": image(A)}}, "Outputs": {"Digest": {"Value": A}}}
    after = {"Resources": {"Clone": {"Image": image(B)}}, "Outputs": {"Digest": {"Value": B}}}
    folded, [found] = fold(before, after, {})
    assert folded == after
    assert (found.kind, found.name, found.before, found.after) == ("image", "web", A, B)
    assert found.places == ("Resources.Clone.Image", "Outputs.Digest.Value")


def test_two_images_of_one_recipe_are_told_apart_by_their_places():
    before = {"One": image(A), "Two": image(B)}
    after = {"One": image(C), "Two": image(D)}
    _, found = fold(before, after, {})
    assert [(f.before, f.after) for f in found] == [(A, C), (B, D)]


def test_an_asset_is_folded_by_its_name():
    before, after = {"Key": f"{A}.zip"}, {"Key": f"{B}.zip"}
    folded, [found] = fold(before, after, {B: "Fleet/Code"})
    assert folded == after
    assert (found.kind, found.name) == ("asset", "Fleet/Code")


def test_another_recipe_is_a_change_and_no_noise():
    before, after = {"Image": image(A, "web")}, {"Image": image(B, "shop")}
    assert fold(before, after, {}) == (before, [])


def test_other_hex_digits_may_mean_something():
    before, after = {"Fingerprint": A, "Image": image(C)}, {"Fingerprint": B, "Image": image(C)}
    assert fold(before, after, {}) == (before, [])


def test_what_else_differs_stays():
    before = {"List": [image(A), "x"], "Gone": image(A)}
    after = {"List": [image(B)], "New": image(B)}
    folded, _ = fold(before, after, {})
    assert folded == {"List": [image(B), "x"], "Gone": image(A)}
