"""Secrets: no known one is in any line, whatever it is made of and wherever it stands."""

from __future__ import annotations

import json
import re
import time
from base64 import b64encode, urlsafe_b64encode
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from supervisor.logs.credentials import MASK
from supervisor.logs.redact import Redactor

# What a password manager, a YAML file or a person comes up with; the mask's own letters are left out of the secrets.
SECRET_TEXT = st.text(
    st.characters(codec="utf-8", exclude_characters="[]redactRDACTE") | st.sampled_from("\"\\'\n\t/ü€😀\x00\x7f"),
    min_size=4,
    max_size=30,
).filter(lambda secret: len(secret.strip()) >= 4)


def json_around(leaf: st.SearchStrategy[object]) -> st.SearchStrategy[object]:
    return st.recursive(
        leaf,
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
        max_leaves=6,
    )


@given(secret=SECRET_TEXT, data=st.data())
def test_no_known_secret_survives_in_rendered_json(secret: str, data: st.DataObject) -> None:
    around = st.text(max_size=10)
    leaf = st.builds(lambda before, after: f"{before}{secret}{after}", around, around) | st.just(secret) | st.integers()
    value = data.draw(json_around(leaf) | st.dictionaries(st.just(f"key {secret}"), leaf, max_size=1))
    masked = Redactor([secret]).value(value)
    for rendered in (json.dumps(masked), json.dumps(masked, ensure_ascii=False)):
        strings = str(json.loads(rendered))
        # The digits of an escape such as \u0000 are no secret, even one that reads 0000.
        unescaped = re.sub(r"\\u[0-9a-f]{4}", "", rendered)
        assert secret not in unescaped
        escaped = json.dumps(secret)[1:-1]
        assert escaped not in (rendered if "\\" in escaped else unescaped)
        # A secret of characters that repr() doubles could be met by chance in it.
        assert secret not in strings or "\\" in secret or "'" in secret


@given(SECRET_TEXT)
def test_a_secret_inside_json_inside_a_message_is_masked(secret: str) -> None:
    assume("\\u" not in secret)
    message = "config: " + json.dumps({"password": secret, "user": "someone"})
    redactor = Redactor([secret])
    assert redactor.may_concern(json.dumps(message).encode()), "the look at the rendered line misses it"
    assert redactor.may_concern(json.dumps(message, ensure_ascii=False).encode())
    assert json.loads(redactor.text(message).removeprefix("config: ")) == {"password": MASK, "user": "someone"}


@given(st.text(max_size=200))
def test_text_without_secrets_is_left_alone(text: str) -> None:
    assume("://" not in text)
    assert Redactor(["a secret that is not there"]).text(text) == text


def test_a_numeric_secret_keeps_the_line_valid_json() -> None:
    masked = Redactor(["12345678"]).value({"pin": 12345678, "other": 7, "list": [12345678.5]})
    assert masked == {"pin": MASK, "other": 7, "list": [f"{MASK}.5"]}
    json.loads(json.dumps(masked))


def test_keys_are_masked_too() -> None:
    assert Redactor(["hunter22"]).value({"hunter22": 1}) == {MASK: 1}


def test_other_kinds_of_values_stay_as_they_are() -> None:
    value = {"yes": True, "nothing": None, "number": 1.5, "set": [1]}
    assert Redactor(["secret"]).value(value) == value


def test_a_secret_is_masked_with_and_without_the_white_space_around_it() -> None:
    redactor = Redactor(["hunter22\n"])
    assert redactor.text("it is hunter22!") == f"it is {MASK}!"


def test_the_longer_of_two_secrets_goes_first() -> None:
    assert Redactor(["hunter", "hunter22"]).text("hunter22") == MASK


def test_each_line_of_a_private_key_is_masked_by_itself() -> None:
    head, *lines, foot = "-----BEGIN KEY-----", "a-line-of-the-key-1", "a-line-of-the-key-2", "-----END KEY-----"
    redactor = Redactor(["\n".join([head, *lines, foot, ""])])
    assert [redactor.text(line) for line in (head, *lines, foot)] == [head, MASK, MASK, foot]


def test_values_shorter_than_four_characters_are_passed_over() -> None:
    assert Redactor(["abc", ""]).text("abc") == "abc"


@pytest.mark.parametrize(
    ("url", "masked"),
    [
        ("postgres://user:pass@host:5432/db", "postgres://user:[redacted]@host:5432/db"),
        ("redis://:pass@host", "redis://:[redacted]@host"),
        ("HTTPS://u:p%40ss@h/", "HTTPS://u:[redacted]@h/"),
        ("postgres://u:p@ss@h/db", "postgres://u:[redacted]@h/db"),
        ("postgres://u:it's@h/db", "postgres://u:[redacted]@h/db"),
        ("a://u:one@h and b://u:two@h", "a://u:[redacted]@h and b://u:[redacted]@h"),
        (r"postgres:\/\/user:pass@host\/db", r"postgres:\/\/user:[redacted]@host\/db"),
        (r"postgres:\\/\\/user:pass@host", r"postgres:\\/\\/user:[redacted]@host"),
        (r"C:\/Users\/a@b", r"C:\/Users\/a@b"),
        ("http://host:8055/path", "http://host:8055/path"),
        ("http://user@host/", "http://user@host/"),
        ("mail to a@b.example", "mail to a@b.example"),
    ],
)
def test_the_password_of_a_url_is_masked_although_nobody_named_it(url: str, masked: str) -> None:
    redactor = Redactor()
    assert redactor.text(url) == masked
    assert redactor.may_concern(url.encode()) == (url != masked)


def test_a_long_line_is_searched_in_linear_time() -> None:
    redactor = Redactor(["secret"])
    lines = ["a" * 300_000 + " ://", "://" * 100_000, "://u:" * 60_000, "://" + "u" * 300_000, "://u:" + "p" * 300_000]
    began = time.process_time()
    for line in lines:
        redactor.text(line)
    assert time.process_time() - began < 1


def test_new_secrets_replace_the_old_ones() -> None:
    redactor = Redactor(["first-one"])
    redactor.know(["second-one"])
    assert redactor.text("first-one second-one") == f"first-one {MASK}"


TOKEN = "eyJhbGciOiJIUzI1NiJ9.e30.Zm9vYmFy"


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        (f"Authorization: Bearer {TOKEN}", "Authorization: [redacted]"),
        (f"sent Bearer {TOKEN} twice", "sent Bearer [redacted] twice"),
        ("basic dXNlcjpwYXNz, please", "basic [redacted], please"),
        (f'{{"authorization":"Bearer {TOKEN}","a":1}}', '{"authorization":"[redacted]","a":1}'),
        (f'{{\\"authorization\\":\\"Bearer {TOKEN}\\"}}', '{\\"authorization\\":\\"[redacted]\\"}'),
        ("Cookie: directus_session_token=abc; theme=dark", "Cookie: [redacted]"),
        ("'set-cookie': 'a=b; Path=/', x", "'set-cookie': '[redacted]', x"),
        ('"set-cookie":["a=b","c=d"],"x":1', '"set-cookie":["[redacted]"],"x":1'),
        ('"cookie":"a=\\"b\\"; c=d","x":1', '"cookie":"[redacted]","x":1'),
        ("GET /items?access_token=abc&limit=1", "GET /items?access_token=[redacted]&limit=1"),
        ("GET /x%3Faccess_token%3Dabc", "GET /x%3Faccess_token%3D[redacted]"),
        ('{"refresh_token":"abc-def","expires":900}', '{"refresh_token":"[redacted]","expires":900}'),
        ("refreshToken: 'abc'", "refreshToken: '[redacted]'"),
        ("AUTHORIZATION: BEARER abc123def", "AUTHORIZATION: [redacted]"),
    ],
)
def test_credentials_that_nobody_named_are_masked(text: str, masked: str) -> None:
    redactor = Redactor()
    assert redactor.text(text) == masked
    assert redactor.may_concern(text.encode())
    assert redactor.may_concern(json.dumps(text).encode()), "the look at the rendered line misses it"
    assert redactor.text(masked) == masked


@pytest.mark.parametrize(
    "text",
    [
        "basic authentication is off",
        "the bearer of this message",
        "no cookie was set",
        "Directus wants an access_token",
        '{"authorization":"--redact--","cookie":"--redacted--"}',
        '{"access_token":null}',
        "tokens: 12",
    ],
)
def test_words_that_are_no_credentials_are_left_alone(text: str) -> None:
    assert Redactor().text(text) == text


def test_what_a_request_s_line_redacts_itself_is_no_reason_to_look_closer() -> None:
    line = b'{"req":{"headers":{"authorization":"--redacted--","cookie":"--redact--","referer":"https://x.example/a"}}}'
    assert not Redactor(["hunter22"]).may_concern(line)


def test_a_field_that_holds_credentials_by_its_name_is_masked_whatever_it_is() -> None:
    value = {"headers": {"Authorization": "odd", "set-cookie": ["a=b", "c"], "cookies": {"a": "b"}, "x": "y"}}
    assert Redactor().value({**value, "access_token": 7, "refresh_token": None}) == {
        "headers": {"Authorization": MASK, "set-cookie": [MASK, MASK], "cookies": {"a": MASK}, "x": "y"},
        "access_token": MASK,
        "refresh_token": None,
    }


@given(
    st.sampled_from(["Bearer {}", "access_token={}", "://u:{}@h", 'authorization":"Basic {}"', "refresh_token: {}"]),
    st.text(st.sampled_from("abcXYZ0189-_."), min_size=8, max_size=40).filter(lambda text: "0" in text[1:]),
    st.text(max_size=20),
)
def test_no_credential_survives_whatever_is_around_it(form: str, token: str, around: str) -> None:
    assume(token not in around)
    text = f"{around} {form.format(token)} {around}"
    redactor = Redactor()
    assert token not in redactor.text(text)
    assert token not in json.dumps(redactor.value({"a": [text]}))
    for rendered in (json.dumps({"a": text}), json.dumps({"a": text}, ensure_ascii=False)):
        assert redactor.may_concern(rendered.encode())
        assert token not in redactor.text(rendered)


@pytest.mark.parametrize(
    "piece", ["cookie:[", "Bearer ", "access_token=", "authorization: ", "basic a", 'cookie":"\\', r":\\/"]
)
def test_credentials_are_searched_in_linear_time(piece: str) -> None:
    text = piece * (300_000 // len(piece))
    redactor = Redactor()
    began = time.process_time()
    redactor.text(text)
    redactor.may_concern(text.encode())
    assert time.process_time() - began < 3


@pytest.mark.parametrize("kept", ["-._~", "-._~!*'()", "-._~!*'();,/?:@&=+$#", "*-._"])
@given(secret=st.text(st.sampled_from("ab0Z~!*'();,/?:@&=+$#% \"<>`-._üé€😀"), min_size=4, max_size=30))
def test_no_known_secret_survives_in_a_url(kept: str, secret: str) -> None:
    assume(len(secret.strip()) >= 4)
    redactor = Redactor([secret])
    text = quote(secret, safe=kept)
    if "~" not in kept:
        # Which is not for Python to choose.
        text = text.replace("~", "%7E")
    for once in (text, text.replace("%20", "+"), quote_plus(secret)):
        for spelled in {once, re.sub("%..", lambda match: match[0].lower(), once)}:
            line = f"GET /items?search={spelled}&limit=1"
            assert redactor.may_concern(line.encode())
            assert redactor.text(line) == f"GET /items?search={MASK}&limit=1"


@given(
    secret=st.text(st.characters(codec="utf-8"), min_size=8, max_size=40),
    after=st.binary(max_size=4),
)
def test_no_known_secret_survives_in_base64(secret: str, after: bytes) -> None:
    redactor = Redactor([secret])
    for encode in (b64encode, urlsafe_b64encode):
        encoded = encode(secret.encode() + after).decode()
        assert redactor.may_concern(encoded.encode())
        rest = redactor.text(encoded).replace(MASK, "")
        assert len(rest) <= len(after) / 3 * 4 + 8


def test_a_short_secret_is_not_looked_for_in_base64() -> None:
    assert Redactor(["abcd"]).text(b64encode(b"abcd").decode()) == "YWJjZA=="
