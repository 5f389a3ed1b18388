"""Credentials that nobody has named: passwords in URLs, tokens and cookies in headers, query strings and JSON. Pure."""

from __future__ import annotations

import re
from typing import Final

MASK: Final = "[redacted]"

# Whose value is hidden, whatever it is: header fields of RFC 9110 and RFC 6265, and Directus' own tokens.
_OF_A_SESSION: Final = r"(?:access|refresh|session)[_-]?token"
SECRET_NAME: Final = re.compile(rf"(?:(?:proxy-)?authorization|(?:set-)?cookies?|.*{_OF_A_SESSION})\Z", re.IGNORECASE)

# It begins with a literal, so that a long line without one is passed over fast. A password may hold an @ itself.
# Some JSON encoders escape its slashes.
_URL_PASSWORD: Final = re.compile(r'(?P<mark>:\\*/\\*/)(?P<user>[^\s/:@"]*):(?P<password>[^\s/"]+)@')
# RFC 7235: a scheme and its credentials; what has neither a digit nor a capital inside is a word of a sentence.
_SCHEME: Final = re.compile(
    r"\b(?P<scheme>(?i:bearer|basic)(?:\s|%20)+)(?=[A-Za-z0-9._~+/-][A-Za-z0-9._~+/-]*[0-9A-Z=])[A-Za-z0-9._~+/-]{6,}=*"
)
_HIDDEN: Final = r"(?!\[?\\*[\"']?(?:--redact|\[redacted|null\b))"
_HEADER: Final = re.compile(
    rf"(?P<name>(?i:authorization|cookies?)\\*[\"']?\s*[:=]\s*){_HIDDEN}"
    r"(?:(?P<list>\[[^\]\n]{0,4096}\])"
    r"|\"(?:[^\"\\\n]|\\.)+|\\+\"[^\"\\\n]+|'[^'\n]+|[^\s\"'\\{\[][^\"'\\\n]*)"
)
_TOKEN: Final = re.compile(
    rf"(?P<name>(?i:{_OF_A_SESSION})(?:\\*[\"']?\s*[:=]\s*\\*[\"']?|%3[Dd])){_HIDDEN}(?P<token>[^\s\"'\\&,;{{}}<>#]+)"
)

# The same in lower case and cheap: none of these in the text means none of the above.
_HIDDEN_BYTES: Final = rb"(?!\\*[\"']?\s*:\s*\\*[\"']?(?:--redact|\[redacted|null))"
_SIGNS: Final = (
    (b"://", re.compile(rb'://[^\s/:@"]*:[^\s/"]+@')),
    (b"\\/", re.compile(rb':\\*/\\*/[^\s/:@"]*:[^\s/"]+@')),
    (b"authorization", re.compile(rb"authorization" + _HIDDEN_BYTES)),
    (b"cookie", re.compile(rb"cookie" + _HIDDEN_BYTES)),
    (b"bearer", re.compile(rb"bearer(?:\s|%20)")),
    (b"basic", re.compile(rb"basic(?:\s|%20)+[a-z0-9._~+/-]{6}")),
    (b"token", re.compile(rb"token(?=[\"'\\\s:=%])" + _HIDDEN_BYTES)),
)
# Part of a text that is looked at on each side of a cut.
LONGEST: Final = 4096
_PARTS: Final = tuple(re.compile(pattern.pattern.encode()) for pattern in (_URL_PASSWORD, _SCHEME, _HEADER, _TOKEN))


def may_be_in(data: bytes) -> bool:
    """Whether text or JSON may hold credentials; a cheap look, which may be wrong with yes."""
    lowered = data.lower()
    # A plain loop: each line of the log comes by here, and a generator would take as long as all the rest.
    for sign, pattern in _SIGNS:  # noqa: SIM110
        if sign in lowered and pattern.search(lowered) is not None:
            return True
    return False


def masked(text: str) -> str:
    """`text` without the credentials that it shows."""
    if "://" in text or "\\/" in text:
        text = _URL_PASSWORD.sub(rf"\g<mark>\g<user>:{MASK}@", text)
    lowered = text.lower()
    if "bearer" in lowered or "basic" in lowered:
        text = _SCHEME.sub(rf"\g<scheme>{MASK}", text)
    if "authorization" in lowered or "cookie" in lowered:
        text = _HEADER.sub(_without_value, text)
    if "token" in lowered:
        text = _TOKEN.sub(rf"\g<name>{MASK}", text)
    return text


def _without_value(match: re.Match[str]) -> str:
    value = match[0][len(match["name"]) :]
    if match["list"] is not None:
        return f'{match["name"]}["{MASK}"]' if '"' in value else f"{match['name']}[{MASK}]"
    quote = value[: len(value) - len(value.lstrip("\\\"'"))]
    return f"{match['name']}{quote}{MASK}"


def spans_in(data: bytes) -> list[tuple[int, int]]:
    """Where credentials stand in bytes."""
    return [match.span() for pattern in _PARTS for match in pattern.finditer(data)]
