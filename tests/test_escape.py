from ingot.escape import code, fenced, markdown, plain


def test_escapes():
    assert plain("a\tb\r\x7f\u200b\udc80é") == "a\tb\\x0d\\x7f\\u200b\\x80é"
    assert code("a``b`") == "``` a``b` ```"
    assert markdown("@x <b>") == "&#64;&#8203;x &#60;b&#62;"
    assert fenced(["```", "x"]) == "````\n```\nx\n````"
