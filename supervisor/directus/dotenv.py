"""The ``.env`` format as Directus reads it, which is that of the ``dotenv`` package for Node.js.

python-dotenv is another dialect: it expands ``${NAME}``, knows no backticks, and ends values elsewhere, so
that one file would give the supervisor and Directus different passwords.
"""

from __future__ import annotations

import re

# What `\s` and `trim()` stand for in JavaScript; Python's own sets differ (U+FEFF, U+0085, U+001C to U+001F).
JS_WHITESPACE = "\t\n\v\f\r \u00a0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000\ufeff"
_SPACE = f"[{JS_WHITESPACE}]"
_LINE_START = r"(?:(?<=[\n\u2028\u2029])|\A)"
_LINE_END = r"(?=[\n\u2028\u2029]|\Z)"

_ASSIGNMENT = re.compile(
    rf"{_LINE_START}{_SPACE}*(?:export{_SPACE}+)?([A-Za-z0-9_.-]+)(?:{_SPACE}*={_SPACE}*?|:{_SPACE}+?)"
    rf"({_SPACE}*'(?:\\'|[^'])*'|{_SPACE}*\"(?:\\\"|[^\"])*\"|{_SPACE}*`(?:\\`|[^`])*`|[^#\r\n]+)?"
    rf"{_SPACE}*(?:#[^\n\r\u2028\u2029]*)?{_LINE_END}"
)
_SURROUNDING_QUOTES = re.compile(rf"{_LINE_START}(['\"`])([\s\S]*)\1{_LINE_END}")
_EDGES = re.compile(rf"\A{_SPACE}+|{_SPACE}+\Z")


def js_trim(text: str) -> str:
    """Returns the text without the white space that JavaScript's ``trim()`` takes off its ends."""
    return _EDGES.sub("", text)


def parse_dotenv(text: str) -> dict[str, str]:
    r"""Reads the assignments of a ``.env`` file.

    A value may be in single, double or back quotes and may then span lines; only in double quotes ``\n`` and
    ``\r`` stand for line ends. A ``#`` starts a comment outside of quotes. Lines that are no assignment are
    passed over.

    Args:
        text: the file's content.

    Returns:
        The values by name, in the order of their first appearance; of a name given twice, the last value.
    """
    values: dict[str, str] = {}
    for match in _ASSIGNMENT.finditer(re.sub(r"\r\n?", "\n", text)):
        value = js_trim(match[2] or "")
        double_quoted = value.startswith('"')
        value = _SURROUNDING_QUOTES.sub(r"\2", value)
        if double_quoted:
            value = value.replace(r"\n", "\n").replace(r"\r", "\r")
        values[match[1]] = value
    return values
