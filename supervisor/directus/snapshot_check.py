"""Judging a snapshot before Directus is started on it: syntax, shape, duplicates, and what it was exported from.

Only YAML's structure is read, and every scalar as the text that it is: PyYAML's types are those of YAML 1.1, where a
collection called `on` would be a boolean, Directus' js-yaml is 1.2. What the two parsers judge differently, such as
numbers for names, Directus' side tells (``worker.mjs``). JSON has that structure too, once its own parser has found
no mistake.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Final

from supervisor.errors import SNAPSHOT_INVALID, SupervisorError
from supervisor.logs import events
from supervisor.logs.setup import get_log
from supervisor.yaml_file import refuse_depth

if TYPE_CHECKING:
    from yaml import MappingNode, Node

# The keys of @directus/api's validate-snapshot.
_TOP: Final = ("version", "directus", "vendor", "collections", "fields", "systemFields", "relations")
_NAMED_BY: Final[dict[str, tuple[str, ...]]] = {
    "collections": ("collection",),
    "fields": ("collection", "field"),
    "systemFields": ("collection", "field"),
    "relations": ("collection", "field"),
}
_KEYS: Final[dict[str, tuple[str, ...]]] = {
    "collections": ("collection", "meta", "schema"),
    "fields": ("collection", "field", "type", "meta", "schema"),
    "systemFields": ("collection", "field", "schema"),
    "relations": ("collection", "field", "related_collection", "meta", "schema"),
}
_REQUIRED: Final = ("collections", "fields", "relations")
_VENDOR: Final = "postgres"
# PyYAML takes a second and 15 MB a megabyte; larger ones are left to js-yaml, which tells syntax and shape as well.
LARGEST_BYTES: Final = 2_000_000
_log = get_log("schema")


def check_snapshot(data: bytes, path: Path, directus_version: str) -> None:
    """Refuse a snapshot that cannot be applied, and warn of one that may not fit.

    Args:
        data: the file's bytes, not blank; above :data:`LARGEST_BYTES` they are not looked at.
        path: the file's name, for the sentences and for its suffix.
        directus_version: of the installation.

    Raises:
        SupervisorError: ``schema.snapshot_invalid``, with line and column.
    """
    if len(data) > LARGEST_BYTES:
        return
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise SupervisorError(SNAPSHOT_INVALID, f"{path} is not UTF-8: {error.reason}") from None
    is_json = path.suffix == ".json"
    judge = _Judge(path, texts_are_quoted=is_json)
    if is_json:
        _check_json(text, path)
        try:
            # In JSON a tab is white space wherever it stands.
            top = judge.read(text.replace("\t", " "))
        except SupervisorError:
            # A text may be escaped as only JSON has it; Directus' side tells the shape then.
            return
    else:
        top = judge.read(text)
    judge.check(top)
    _check_origin(judge, top, directus_version)
    if judge.unknown:
        names = ", ".join(f"{name} (line {line})" for name, line in judge.unknown[:5])
        _doubt(
            f"{path} has keys that no snapshot has: {names}",
            "Directus passes them over; correct them if they are misspelt.",
        )


def _check_json(text: str, path: Path) -> None:
    try:
        json.loads(text)
    except json.JSONDecodeError as error:
        raise SupervisorError(SNAPSHOT_INVALID, f"{path}:{error.lineno}:{error.colno}: {error.msg}") from None
    except RecursionError:
        raise SupervisorError(SNAPSHOT_INVALID, f"{path} is nested too deeply") from None


def _check_origin(judge: _Judge, top: MappingNode, directus_version: str) -> None:
    by_name = {key.value: value for key, value in top.value}
    version, vendor, exported = by_name.get("version"), by_name.get("vendor"), by_name.get("directus")
    if version is not None and version.value != "1":
        raise judge.refusal(version, f"the format is version {version.value!r}, and only version 1 is known")
    if vendor is not None and vendor.value != _VENDOR:
        raise judge.refusal(
            vendor, f"it was exported from a database of vendor {vendor.value!r}, whose types are not those of Postgres"
        )
    if exported is not None and exported.value != directus_version:
        _doubt(
            f"{judge.path} was exported by Directus {exported.value}, and {directus_version} is installed",
            "Export it again from the installed version: `directus-supervisor snapshot`.",
        )


def _doubt(message: str, remedy: str) -> None:
    _log.emit(events.SNAPSHOT_DOUBTFUL, message=message, remedy=remedy)


class _Judge:
    """Walks the nodes of one file.

    Args:
        path: the file's name, for the sentences.
        texts_are_quoted: whether a value without quotes is no text, as in JSON.
    """

    def __init__(self, path: Path, *, texts_are_quoted: bool = False) -> None:
        self.path = path
        self._texts_are_quoted = texts_are_quoted
        self.unknown: list[tuple[str, int]] = []

    def read(self, text: str) -> MappingNode:
        import yaml  # noqa: PLC0415 - only for a snapshot that is about to be applied

        base = getattr(yaml, "CBaseLoader", yaml.BaseLoader)
        loader = base(text)
        try:
            refuse_depth(text)
            top = loader.get_single_node()
        except yaml.YAMLError as error:
            mark = getattr(error, "problem_mark", None)
            place = f"{self.path}:{mark.line + 1}:{mark.column + 1}" if mark else str(self.path)
            reason = getattr(error, "problem", None) or str(error).splitlines()[0]
            raise SupervisorError(SNAPSHOT_INVALID, f"{place}: not valid YAML: {reason}") from None
        finally:
            loader.dispose()
        if top is None:
            raise SupervisorError(SNAPSHOT_INVALID, f"{self.path} holds nothing but comments")
        return self._mapping(top, "the snapshot")

    def check(self, top: MappingNode) -> None:
        parts = dict(self._pairs(top, _TOP))
        for part in _REQUIRED:
            if part not in parts:
                close = difflib.get_close_matches(part, [name for name, _ in self.unknown], n=1)
                hint = f"; is {close[0]!r} meant?" if close else ""
                raise self.refusal(top, f"{part!r} is missing{hint}")
        for part, names in _NAMED_BY.items():
            if part in parts:
                self._check_part(part, parts[part], names)

    def _check_part(self, part: str, node: Node, names: tuple[str, ...]) -> None:
        from yaml import ScalarNode, SequenceNode  # noqa: PLC0415

        if not isinstance(node, SequenceNode):
            raise self.refusal(node, f"{part!r} is not a list")
        seen: dict[tuple[str, ...], int] = {}
        for item in node.value:
            values = dict(self._pairs(self._mapping(item, f"an item of {part!r}"), _KEYS[part]))
            for name in names:
                value = values.get(name)
                is_text = isinstance(value, ScalarNode) and (value.style or not self._texts_are_quoted)
                if not is_text or not values[name].value:
                    raise self.refusal(item, f"an item of {part!r} has no {name!r}")
            key = tuple(values[name].value for name in names)
            line = item.start_mark.line + 1
            if key in seen:
                raise self.refusal(item, f"{'.'.join(key)} stands in {part!r} twice, first in line {seen[key]}")
            seen[key] = line

    def _pairs(self, node: MappingNode, known: tuple[str, ...]) -> Iterator[tuple[str, Node]]:
        keys: set[str] = set()
        for key, value in node.value:
            name = str(key.value)
            if name in keys:
                raise self.refusal(key, f"the key {name!r} stands here twice")
            keys.add(name)
            if name not in known:
                self.unknown.append((name, key.start_mark.line + 1))
            yield name, value

    def _mapping(self, node: Node, what: str) -> MappingNode:
        from yaml import MappingNode  # noqa: PLC0415

        if not isinstance(node, MappingNode):
            raise self.refusal(node, f"{what} is not a mapping")
        return node

    def refusal(self, node: Node, problem: str) -> SupervisorError:
        mark = node.start_mark
        return SupervisorError(SNAPSHOT_INVALID, f"{self.path}:{mark.line + 1}:{mark.column + 1}: {problem}")
