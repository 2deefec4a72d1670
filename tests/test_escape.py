import pytest

from ingot.escape import code, fenced, markdown, plain, without_colors, without_sequences


def test_escapes():
    assert plain("a\tb\r\x7f\u200b\udc80é") == "a\tb\\x0d\\x7f\\u200b\\x80é"
    assert code("a``b`") == "``` a``b` ```"
    assert markdown("@x <b>") == "&#64;&#8203;x &#60;b&#62;"
    assert fenced(["```", "x"]) == "````\n```\nx\n````"


@pytest.mark.parametrize(
    "sequence",
    [
        "\x1b[0;32m",
        "\x1b[2J",
        "\x1b[?25l",
        "\x1b[=3h",
        "\x1b[6 q",
        "\x1b]0;a title\x07",
        "\x1b]8;;https://example.com\x1b\\",
        "\x1b(B",
        "\x1b)0",
        "\x1b=",
        "\x1b7",
        "\x1bc",
    ],
)
def test_sequences_of_a_terminal_are_taken_out_whole(sequence):
    assert without_sequences(f"[  {sequence}OK{sequence}  ] Reached") == "[  OK  ] Reached"


def test_colors_alone_are_taken_out_and_the_rest_is_left_to_be_shown():
    assert plain(without_colors("\x1b[1;31mred\x1b[0m\x1b[2J")) == "red\\x1b[2J"
