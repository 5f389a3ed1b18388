"""How a text is spelled in URLs and in Base64, where a secret is the same secret. Pure."""

from __future__ import annotations

import re
from binascii import b2a_base64
from typing import Final

# What stays as it is beside letters and digits: by RFC 3986, in `encodeURIComponent` and `encodeURI` of JavaScript
# (ECMA-262, 19.2.6), and in forms (https://url.spec.whatwg.org/#application-x-www-form-urlencoded-percent-encode-set).
_KEPT: Final = ("-._~", "-._~!*'()", "-._~!*'();,/?:@&=+$#", "*-._")
_PERCENT: Final = re.compile(r"%[0-9A-F]{2}")
# The Base64 of what is shorter is so short that other words have it in them.
_SHORTEST_BYTES: Final = 8


def in_url(text: str) -> set[str]:
    """The spellings of a text within a URL, other than itself."""
    found = {_percent(text, kept) for kept in _KEPT}
    found |= {one.replace("%20", "+") for one in found}
    found |= {_PERCENT.sub(lambda match: match[0].lower(), one) for one in found}
    return found - {text}


def _percent(text: str, kept: str) -> str:
    return "".join(
        character
        if character.isascii() and (character.isalnum() or character in kept)
        else "".join(f"%{byte:02X}" for byte in character.encode("utf-8", "surrogatepass"))
        for character in text
    )


def in_base64(text: str) -> set[str]:
    """What the Base64 (RFC 4648) of a text, and of whatever begins with it, has of it.

    Not of what has other bytes before it: two more spellings of each secret, to be looked for in every line, would cost
    a tenth of all lines per second.
    """
    data = text.encode("utf-8", "surrogatepass")
    if len(data) < _SHORTEST_BYTES:
        return set()
    # Three bytes make four characters of six bits; the last one may be shared with other bytes.
    found = b2a_base64(data, newline=False).decode()[: len(data) * 8 // 6]
    return {found, found.replace("+", "-").replace("/", "_")}
