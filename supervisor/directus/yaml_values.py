"""YAML with the scalars of YAML 1.2, as the ``js-yaml`` package reads it for Directus.

PyYAML speaks YAML 1.1, where ``on`` is true, ``1:30`` is ninety and ``010`` is eight: a password or a host
name of that look would differ between the supervisor and Directus. This module is imported only where a YAML
file is read.
"""

from __future__ import annotations

import math
import re

import yaml

_NUMBER_START = list("-+0123456789")
_INTEGER = re.compile(r"[-+]?(?:0b[01_]*[01]|0x[0-9a-fA-F_]*[0-9a-fA-F]|0o[0-7_]*[0-7]|[0-9](?:[0-9_]*[0-9])?)\Z")
_FLOAT = re.compile(
    r"(?:[-+]?[0-9][0-9_]*(?:\.[0-9_]*)?(?:[eE][-+]?[0-9]+)?|\.[0-9_]+(?:[eE][-+]?[0-9]+)?"
    r"|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN))(?<!_)\Z"
)
_TIMESTAMP = re.compile(
    r"\d{4}-\d\d-\d\d\Z|\d{4}-\d\d?-\d\d?(?:[Tt]|[ \t]+)\d\d?:\d\d:\d\d(?:\.\d*)?"
    r"(?:[ \t]*(?:Z|[-+]\d\d?(?::\d\d)?))?\Z",
    re.ASCII,
)


class _Loader(yaml.CSafeLoader):
    # PyYAML's own way to drop the YAML 1.1 resolvers.
    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}  # noqa: RUF012


def load_yaml(text: str) -> object:
    """Reads one YAML document.

    Raises:
        yaml.YAMLError: the text is not one YAML document, or a mapping has a key twice.
    """
    return yaml.load(text, Loader=_Loader)  # noqa: S506 - a safe loader of our own


def _integer(loader: _Loader, node: yaml.ScalarNode) -> int:
    text = loader.construct_scalar(node).replace("_", "").lower()
    sign, digits = (-1 if text.startswith("-") else 1), text.lstrip("+-")
    base = {"0b": 2, "0o": 8, "0x": 16}.get(digits[:2], 10)
    return sign * int(digits if base == 10 else digits[2:], base)


def _float(loader: _Loader, node: yaml.ScalarNode) -> float:
    text = loader.construct_scalar(node).replace("_", "").lower()
    if text.endswith(".inf"):
        return -math.inf if text.startswith("-") else math.inf
    number = math.nan if text == ".nan" else float(text)
    return int(number) if math.isfinite(number) and number.is_integer() else number


def _mapping(loader: _Loader, node: yaml.MappingNode) -> dict[object, object]:
    seen: set[object] = set()
    for key_node, _ in node.value:
        if key_node.tag == "tag:yaml.org,2002:merge":
            continue
        key = loader.construct_object(key_node, deep=True)
        if not isinstance(key, (list, dict)):
            if key in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"the key {key!s} is given twice", key_node.start_mark
                )
            seen.add(key)
    loader.flatten_mapping(node)
    return loader.construct_mapping(node, deep=True)


_Loader.add_implicit_resolver("tag:yaml.org,2002:null", re.compile(r"(?:~|null|Null|NULL|)\Z"), ["~", "n", "N", ""])
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:bool", re.compile(r"(?:true|True|TRUE|false|False|FALSE)\Z"), list("tTfF")
)
_Loader.add_implicit_resolver("tag:yaml.org,2002:timestamp", _TIMESTAMP, list("0123456789"))
_Loader.add_implicit_resolver("tag:yaml.org,2002:int", _INTEGER, _NUMBER_START)
_Loader.add_implicit_resolver("tag:yaml.org,2002:float", _FLOAT, [*_NUMBER_START, "."])
_Loader.add_implicit_resolver("tag:yaml.org,2002:merge", re.compile(r"<<\Z"), ["<"])
_Loader.add_constructor("tag:yaml.org,2002:int", _integer)
_Loader.add_constructor("tag:yaml.org,2002:float", _float)
_Loader.add_constructor("tag:yaml.org,2002:map", _mapping)
