import re

import pytest

from ingot.diff.files import secrets
from ingot.diff.files.secrets import Mask
from ingot.diff.files.text import text_diff

KEY = "-----BEGIN RSA " + "PRIVATE KEY-----\n" + "MIIEow" * 10 + "\n-----END RSA " + "PRIVATE KEY-----\n"


@pytest.mark.parametrize(
    ("line", "masked"),
    [
        ("DB_PASSWORD=hunter2", "DB_PASSWORD=‹masked 1›"),
        ("export API_KEY='a b'", "export API_KEY=‹masked 1›"),
        ('{"client_secret": "abc", "id": 5}', '{"client_secret": ‹masked 1›, "id": 5}'),
        ("password: hunter2 # why", "password: ‹masked 1› # why"),
        ("url = https://me:hunter2@example.com/x", "url = https://me:‹masked 1›@example.com/x"),
        ("Authorization: Bearer abcdefghijklmnop", "Authorization: Bearer ‹masked 1›"),
        ("root:$6$salt$abcdefghijk:1", "root:‹masked 1›:1"),
        ("key AKIA" + "ABCDEFGHIJKLMNOP end", "key ‹masked 1› end"),
        ("DBPassword hunter2", "DBPassword ‹masked 1›"),
        ("a_token=x&b_secret=y", "a_token=‹masked 1›&b_secret=‹masked 2›"),
        ('{"token": "a", "password": "b"}', '{"token": ‹masked 1›, "password": ‹masked 2›}'),
        ("password:\n  user: bob", "password:\n  user: bob"),
        ("secret: |\n  one\n  two\nnext: 1", "secret: |\n‹masked 1›\nnext: 1"),
        ("run --password hunter2 --verbose", "run --password ‹masked 1› --verbose"),
        ("mysql --password --user x", "mysql --password --user x"),
        ("<password>hunter2</password>", "<password>‹masked 1›</password>"),
        ("define('DB_PASSWORD', 'hunter2');", "define('DB_PASSWORD', ‹masked 1›);"),
        ("'password' => 'hunter2',", "'password' => ‹masked 1›,"),
        ("user:{SSHA}abcdef==", "user:‹masked 1›"),
        ("CREATE USER x IDENTIFIED BY 'hunter2'", "CREATE USER x IDENTIFIED BY ‹masked 1›"),
        ('Environment="API_KEY=abc"', 'Environment="API_KEY=‹masked 1›"'),
        ("ServerTokens Prod", "ServerTokens Prod"),
        ("AuthType Basic", "AuthType Basic"),
        ("PasswordAuthentication no", "PasswordAuthentication no"),
        ("tokens = 5", "tokens = 5"),
        ("password = ${PASSWORD}", "password = ${PASSWORD}"),
        ("threads=8", "threads=8"),
        ("Header set X-Content-Type-Options nosniff", "Header set X-Content-Type-Options nosniff"),
        ('app.config["SECRET_KEY"] = "hunter2"', 'app.config["SECRET_KEY"] = ‹masked 1›'),
        ("$cfg['db']['password'] = 'hunter2';", "$cfg['db']['password'] = ‹masked 1›;"),
        ('x = "{\\"password\\": \\"hunter2\\"}"', 'x = "{\\"password\\": ‹masked 1›"'),
        ("DB_PASS=hunter2", "DB_PASS=‹masked 1›"),
        ("rootpass: hunter2", "rootpass: ‹masked 1›"),
        ("requirepass hunter2 # redis", "requirepass ‹masked 1› # redis"),
        ('psk="hunter2"', "psk=‹masked 1›"),
        ("PresharedKey = hunter2=", "PresharedKey = ‹masked 1›"),
        ("wpa-psk hunter2", "wpa-psk ‹masked 1›"),
        ("PASSWORD=Tr0ub4dor&3xyz", "PASSWORD=‹masked 1›"),
        ("PASSWORD=Tr0ub#a,b;c.d\"e'f", "PASSWORD=‹masked 1›"),
        ("PASSWORD=a b #c", "PASSWORD=‹masked 1›"),
        ("PASSWORD=a\xa0b", "PASSWORD=‹masked 1›"),
        ("PASSWORD=$ecret", "PASSWORD=‹masked 1›"),
        ("PASSWORD=$'hunter2'", "PASSWORD=‹masked 1›"),
        ("password = b'hunter2'", "password = ‹masked 1›"),
        ("password = rb'hunter2', 5", "password = ‹masked 1›, 5"),
        ('PASSWORD="hun"ter2', "PASSWORD=‹masked 1›"),
        ("password: 'it''s'", "password: ‹masked 1›"),
        ("password = 'hun' + 'ter2'", "password = ‹masked 1›"),
        ('password="a\nb\nc" x', "password=‹masked 1›\n‹masked 1›\n‹masked 1› x"),
        ('password = """\nhunter2\n"""\nx', "password = ‹masked 1›\n‹masked 1›\n‹masked 1›\nx"),
        ('password="hunter2\nnext=1', "password=‹masked 1›\nnext=1"),
        ("passwords:\n  - hunter2\n  - hunter3\nnext: 1", "passwords:\n‹masked 1›\nnext: 1"),
        ("passwords:\n- name: a\n  value: b\nnext: 1", "passwords:\n‹masked 1›\nnext: 1"),
        ("password:\n  hunter2\nnext: 1", "password:\n  ‹masked 1›\nnext: 1"),
        ('"password":\n "hunter2"', '"password":\n ‹masked 1›'),
        ('"passwords": [\n "a",\n "b"\n]', '"passwords": ‹masked 1›\n‹masked 1›\n‹masked 1›\n‹masked 1›'),
        ("<password><![CDATA[hunter2]]></password>", "<password>‹masked 1›</password>"),
        ("postgres://u:p@ss@host/x", "postgres://u:‹masked 1›@host/x"),
        ("postgres://u:p/ss@host/x", "postgres://u:‹masked 1›@host/x"),
        ("http://host:8080/a@b", "http://host:8080/a@b"),
        ('password: "${PASSWORD}",', 'password: "${PASSWORD}",'),
        ('"password": null,', '"password": null,'),
        ("credentials: {\n  a: 1\n}", "credentials: {\n  a: 1\n}"),
        ("proxy_pass http://backend;", "proxy_pass http://backend;"),
        ("fastcgi_pass unix:/run/php.sock;", "fastcgi_pass unix:/run/php.sock;"),
        ("ProxyPass /api http://127.0.0.1:8000/", "ProxyPass /api http://127.0.0.1:8000/"),
        ("PASSWORD=hun\\\nter2\nnext=1", "PASSWORD=‹masked 1›\n‹masked 1›\nnext=1"),
        ('password = "hun" \\\n "ter2"', "password = ‹masked 1›\n‹masked 1›"),
        ('password = \\\n "hunter2"', "password = \\\n ‹masked 1›"),
        ("password: !vault |\n  one\n\n  two\nnext: 1", "password: !vault |\n‹masked 1›\nnext: 1"),
        ("passwords:\n\n  - hunter2", "passwords:\n\n‹masked 1›"),
        ("passwords: {a: hunter2,\n b: x}", "passwords: ‹masked 1›\n‹masked 1›"),
        ('<add key="password" value="hunter2"/>', '<add key="password" value=‹masked 1›/>'),
        ('<property name="password">hunter2</property>', '<property name="password">‹masked 1›</property>'),
        ('{"name":"DB_PASSWORD","value":"hunter2"}', '{"name":"DB_PASSWORD","value":‹masked 1›}'),
        ("- name: DB_PASSWORD\n  value: hunter2", "- name: DB_PASSWORD\n  value: ‹masked 1›"),
        ("- name: DB_PASSWORD\n  image: a", "- name: DB_PASSWORD\n  image: a"),
        ('10.0.0.1 : PSK "hunter2"', "10.0.0.1 : PSK ‹masked 1›"),
        ("api.key=hunter2", "api.key=‹masked 1›"),
        ("bypass = once", "bypass = once"),
        ("PASS_MAX_DAYS\t99999", "PASS_MAX_DAYS\t99999"),
        ("secret = # nothing", "secret = # nothing"),
        ("PassThrough = always", "PassThrough = always"),
    ],
)
def test_a_line_is_masked(line, masked):
    assert Mask("/etc/app.conf")(line) == masked


def test_a_key_is_masked_as_a_whole():
    assert "MIIEow" not in Mask("/etc/x.conf")("a\n" + KEY + "b\n")


def test_the_same_secret_has_the_same_number():
    mask = Mask("/etc/x")
    assert mask("token=aaa") == "token=‹masked 1›"
    assert mask("token=bbb\ntoken=aaa") == "token=‹masked 2›\ntoken=‹masked 1›"


def test_hashes_of_passwords_are_masked_and_locks_are_not():
    assert Mask("/etc/shadow")("a:x1y2:1:\nb:!:1:\nc:*:1:") == "a:‹masked 1›:1:\nb:!:1:\nc:*:1:"


def test_the_name_service_keeps_its_words():
    line = "passwd:         files systemd"
    assert Mask("/etc/nsswitch.conf")(line) == line


def test_sudoers_keep_their_words():
    line = "%ops ALL=(ALL) NOPASSWD: /usr/bin/systemctl"
    assert Mask("/etc/sudoers.d/ops")(line) == line


def test_a_changed_secret_shows_as_a_change_and_no_more():
    found = text_diff("/etc/x", b"a=1\npassword=old-one\n", b"a=1\npassword=new-one\n")
    assert found.lines == ("@@ -1,2 +1,2 @@", " a=1", "-password=‹masked 1›", "+password=‹masked 2›")
    assert found.masked == 2


def test_files_for_credentials_are_not_shown():
    found = text_diff("/root/.netrc", b"", b"machine x login y password z\n")
    assert (found.lines, found.note) == ((), "not shown: a file for credentials")


@pytest.mark.parametrize(
    ("content", "note"),
    [
        (b"a\0b", "no text diff: binary"),
        (b"x" * 300_000, "no text diff: larger than 256 KiB"),
        (b"x\n" * 6000, "no text diff: more than 5,000 lines"),
        (b"\n".join(b"%d" % n for n in range(500)), "… 101 more lines of this diff are not shown"),
    ],
    ids=["binary", "large", "long", "cut"],
)
def test_what_is_not_shown_is_said(content, note):
    assert text_diff("/etc/x", None, content).note == note


@pytest.mark.parametrize(
    "tail", ["a" * 200_000 + ",", " " * 200_000 + ",", "'a'" * 60_000 + ","], ids=["word", "blank", "quotes"]
)
def test_a_long_line_comes_to_an_end(tail):
    assert "‹masked 1›" in Mask("/etc/x")(f'password "hunter2"{tail}\npassword="hunter2"')


@pytest.mark.parametrize(
    "piece",
    [
        *("password", "a_password.", "--password ", "<password ", "://a", "basic ", "token-"),
        *(
            'password="',
            "password='''",
            'password="\\"',
            "password=[",
            "password=(",
            "password=\n",
            "pass:\n - a",
        ),
        *('password "\n', "://a:", "://a:b/", "<password><![CDATA[", "pass=a&", "pass=`", "password=b' "),
        *(
            "name=pass value=",
            "name=pass ",
            "name=pass>",
            "pass={",
            "pass:\n\n",
            "pass: |\n\n a\n",
            ": psk ",
            "pass=\\\n",
        ),
    ],
)
def test_a_text_of_nothing_but_names_of_secrets_comes_to_an_end(piece):
    assert text_diff("/etc/x", None, (piece * 40_000).encode()[:250_000]).removed == 0


def test_no_pattern_repeats_a_group_possessively():
    """Debian 12's Python 3.11.2 takes too much in them (python/cpython#106052); atomic groups are right."""
    patterns = [value.pattern for value in vars(secrets).values() if isinstance(value, re.Pattern)]
    assert len(patterns) > 10
    assert [pattern for pattern in patterns if re.search(r"\)[*+?]\+", pattern)] == []
