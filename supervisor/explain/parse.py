"""One of our lines, out of its frame, as fields: JSON, whole or cut short; logfmt; console. Pure."""

from __future__ import annotations

import ast
import json
import re
import warnings
from collections.abc import Mapping
from typing import Any, Final

_LONGEST_LITERAL: Final = 20_000
_LONGEST_CONSOLE: Final = 65_536
_DECODER: Final = json.JSONDecoder()
_SPACE: Final = re.compile(r"[ \t]*")
_CONSOLE: Final = re.compile(
    r"(?P<time>(?:\d{4}-\d\d-\d\d[T ])?\d\d:\d\d:\d\d(?:\.\d+)?Z?) +\[(?P<level>[a-z]+) *\] +"
    r"(?P<event>[a-z]+\.[a-z_]+|incident)\b"
)
# A value as Python would write it; what stands in quotes or brackets may hold what looks like a further field.
_PAIR: Final = re.compile(
    r"""([a-z_][a-z0-9_]*)=('(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*"|[\[{].*?[\]}](?=\s+[a-z_]\w*=|\s*$)|<[^>]*>|\S*)"""
)
_LOGFMT: Final = re.compile(r'([A-Za-z_][\w.]*)=(?:"((?:[^"\\]|\\.)*)"|([^\s"]*))(?:\s|$)')
_ESCAPES: Final = {"n": "\n", "t": "\t", "r": "\r"}
_ENUM: Final = re.compile(r"<[\w.]+: (.*)>")
_CONSTANTS: Final[dict[str, Any]] = {
    "true": True, "True": True, "false": False, "False": False, "null": None, "None": None
}  # fmt: skip


def fields_of(text: str) -> tuple[Mapping[str, Any], bool] | None:
    """The fields of one line, and whether that is all of them; None when it is no line of ours."""
    if text.startswith("{"):
        found = _from_json(text)
    elif "event=" in text and "boot_id=" in text:
        found = _from_logfmt(text), True
    else:
        found = _from_console(text), True
    return found if found and isinstance(found[0].get("event"), str) else None


def _from_json(text: str) -> tuple[Mapping[str, Any], bool] | None:
    try:
        record = json.loads(text)
    except RecursionError:
        return None
    except ValueError:
        return _salvaged(text), False
    return (record, True) if isinstance(record, dict) else None


def _salvaged(text: str) -> Mapping[str, Any]:
    """The leading fields of an object that breaks off or is damaged, and what is there of a text that breaks off."""
    found: dict[str, Any] = {}
    name, at = "", 1
    while at < len(text) and text[at] == '"':
        try:
            name, at = _DECODER.raw_decode(text, at)
            at = _after(text, at, ":")
            found[name], at = _DECODER.raw_decode(text, at)
            at = _after(text, at, ",")
        except (ValueError, IndexError, RecursionError):
            if text[at : at + 1] == '"' and name not in found:
                found[name] = text[at + 1 :].replace('\\"', '"').replace("\\n", "\n").rstrip("\\")
            break
    return found


def _after(text: str, at: int, mark: str) -> int:
    at = _end(_SPACE, text, at)
    if text[at] != mark:
        raise ValueError(mark)
    return _end(_SPACE, text, at + 1)


def _end(pattern: re.Pattern[str], text: str, at: int) -> int:
    match = pattern.match(text, at)
    return match.end() if match else at


def _from_logfmt(text: str) -> Mapping[str, Any]:
    found: dict[str, Any] = {}
    for name, quoted, bare in _LOGFMT.findall(text):
        value = re.sub(r"\\(.)", lambda match: _ESCAPES.get(match[1], match[1]), quoted) if quoted else bare
        found.setdefault(name, _value(value))
    return found


def _from_console(text: str) -> Mapping[str, Any]:
    head = _CONSOLE.match(text)
    if head is None or len(text) > _LONGEST_CONSOLE:
        return {}
    rest = text[head.end() :]
    found: dict[str, Any] = {"timestamp": head["time"], "level": head["level"], "event": head["event"]}
    # The message has no name, and may hold what looks like a field: the component is the first one of every line.
    begin = max(rest.find(" component="), 0)
    if message := rest[:begin].strip():
        found["message"] = message
    for name, value in _PAIR.findall(rest, begin):
        found.setdefault(name, _value(value))
    return found


def _value(text: str) -> Any:  # noqa: ANN401 - whatever it stands for
    if text in _CONSTANTS:
        return _CONSTANTS[text]
    if enum := _ENUM.fullmatch(text):
        return _value(enum[1])
    if text[:1] in {"'", '"', "[", "{"} and len(text) <= _LONGEST_LITERAL:
        return _literal(text)
    return text


def _literal(text: str) -> Any:  # noqa: ANN401 - whatever it stands for
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for read in (json.loads, ast.literal_eval):
            try:
                return read(text)
            except (ValueError, TypeError, SyntaxError, RecursionError, MemoryError):
                continue
    return text
