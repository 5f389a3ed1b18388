"""The file at ``CONFIG_PATH``, whose values override the environment's.

Its format follows its extension, as in ``@directus/env``: JavaScript, JSON, YAML, else ``.env``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from supervisor.directus.cast import js_string, parse_json
from supervisor.directus.dotenv import parse_dotenv
from supervisor.errors import SupervisorError

EvaluateJs = Callable[[Path], Mapping[str, object]]


class ConfigFileError(Exception):
    """The file cannot be used; the text is one sentence without any of the file's values."""


def read_config_file(path: Path, evaluate_js: EvaluateJs | None) -> dict[str, object] | None:
    """Reads the configuration file.

    Args:
        path: absolute path of the file.
        evaluate_js: runs a JavaScript configuration file under Node.js and returns what it exports.

    Returns:
        The uncast values by name, or None where there is no such file, which Directus takes for an empty one.

    Raises:
        ConfigFileError: the file cannot be read, or is not what its extension says.
    """
    if not path.exists():
        return None
    extension = path.suffix.lower()
    if extension in (".js", ".cjs", ".mjs"):
        return _from_javascript(path, evaluate_js)
    try:
        text = path.read_bytes().decode("utf-8", "replace")
    except OSError as error:
        raise ConfigFileError(f"CONFIG_PATH names {path}, which cannot be read: {error.strerror}") from error
    if extension == ".json":
        return _from_json(path, text.removeprefix("\ufeff"))
    if extension in (".yaml", ".yml"):
        return _from_yaml(path, text.removeprefix("\ufeff"))
    return dict(parse_dotenv(text))


def _from_javascript(path: Path, evaluate_js: EvaluateJs | None) -> dict[str, object]:
    if evaluate_js is None:
        raise ConfigFileError(f"CONFIG_PATH names {path}, which only Node.js can evaluate, and none is at hand here")
    try:
        return dict(evaluate_js(path))
    except SupervisorError as error:
        raise ConfigFileError(f"CONFIG_PATH names {path}, which failed: {error.message}") from error


def _from_json(path: Path, text: str) -> dict[str, object]:
    try:
        content = parse_json(text)
    except (ValueError, RecursionError) as error:
        # A JSONDecodeError's text holds a position and none of the values.
        raise ConfigFileError(f"CONFIG_PATH names {path}, which is not valid JSON: {error}") from error
    if not isinstance(content, dict):
        raise ConfigFileError(f"CONFIG_PATH names {path}, which does not hold a JSON object")
    return content


def _from_yaml(path: Path, text: str) -> dict[str, object]:
    from yaml import MarkedYAMLError, YAMLError  # noqa: PLC0415 - costs memory in PID 1, and few use it

    from supervisor.directus.yaml_values import load_yaml  # noqa: PLC0415

    try:
        content = load_yaml(text)
    except YAMLError as error:
        mark = error.problem_mark if isinstance(error, MarkedYAMLError) else None
        place = f" at line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        raise ConfigFileError(f"CONFIG_PATH names {path}, which is not valid YAML{place}") from error
    if not isinstance(content, dict):
        raise ConfigFileError(f"CONFIG_PATH names {path}, which does not hold a YAML mapping")
    return {js_string(key): value for key, value in content.items()}
