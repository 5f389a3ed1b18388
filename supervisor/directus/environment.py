"""What Directus is configured with, read as Directus itself reads it.

``@directus/env`` takes the process' environment, lets the file at ``CONFIG_PATH`` override it, replaces each
``X_FILE`` by the content of the file named, and casts every value. Reading ``os.environ`` alone could migrate
another database than the one that Directus uses.
"""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

from supervisor.directus.cast import cast, cast_prefix, default_type, js_string
from supervisor.directus.config_file import ConfigFileError, read_config_file
from supervisor.directus.variables import DEFAULTS, secrets_in, variable_named_by_file
from supervisor.errors import CONFIG_INVALID, SupervisorError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from supervisor.directus.config_file import EvaluateJs

_FROM_ENVIRONMENT = "environment"


class DirectusEnvironment:
    """Directus' configuration: values after casting, where each comes from, and which texts are secret.

    Attributes:
        cwd: the folder that Directus runs in; relative paths start here.
        process: the environment of Directus' process, which its database driver reads for itself (``PGHOST``,
            ...).
        config_path: the file whose values override the environment's.
        config_file_found: whether that file exists; Directus goes on silently without it.
    """

    __slots__ = ("_secrets", "_sources", "_values", "config_file_found", "config_path", "cwd", "process")

    def __init__(
        self,
        values: Mapping[str, object],
        sources: Mapping[str, str],
        *,
        process: Mapping[str, str],
        cwd: Path,
        config_path: Path,
        config_file_found: bool,
        secrets: frozenset[str],
    ) -> None:
        self._values = values
        self._sources = sources
        self._secrets = secrets
        self.process = process
        self.cwd = cwd
        self.config_path = config_path
        self.config_file_found = config_file_found

    def __repr__(self) -> str:
        found = "" if self.config_file_found else ", not there"
        return f"<DirectusEnvironment: {len(self._values)} variables, config file {self.config_path}{found}>"

    def __contains__(self, name: str) -> bool:
        """Tells whether the variable is set at all, be it to nothing."""
        return name in self._values

    def value(self, name: str) -> object | None:
        """Returns the variable as Directus casts it; None where it is not set."""
        return self._values.get(name)

    def text(self, name: str) -> str | None:
        """Returns the cast variable as JavaScript would write it; None where it is not set or null."""
        value = self._values.get(name)
        return None if value is None else js_string(value)

    def source(self, name: str) -> str:
        """Says where the variable comes from: ``environment``, ``file /path/.env``, ``default``, ..."""
        return self._sources.get(name, "not set")

    def items(self) -> Iterator[tuple[str, object]]:
        """Yields names and cast values in the order in which Directus goes through them."""
        yield from self._values.items()

    def secret_values(self) -> frozenset[str]:
        """Returns every text that must not be seen in a log: passwords, tokens, keys, those within URLs."""
        return self._secrets


def read_environment(
    environ: Mapping[str, str], cwd: Path, evaluate_js: EvaluateJs | None = None
) -> DirectusEnvironment:
    """Reads the configuration that Directus would run with.

    Args:
        environ: the environment that Directus' process gets, in its order.
        cwd: the folder that Directus runs in.
        evaluate_js: evaluates a JavaScript configuration file under Node.js.

    Raises:
        SupervisorError: ``CONFIG_INVALID``; names every problem at once, also in the fact ``problems``.
    """
    problems: list[str] = []
    process = {name: _as_node_reads(value) for name, value in environ.items()}
    config_path = Path(cwd, process.get("CONFIG_PATH") or ".env")
    raw: dict[str, object] = dict(process)
    sources = dict.fromkeys(raw, _FROM_ENVIRONMENT)
    from_file: dict[str, object] | None = None
    try:
        from_file = read_config_file(config_path, evaluate_js)
    except ConfigFileError as error:
        problems.append(str(error))
    secrets = {secret for name, value in raw.items() for secret in secrets_in(name, value)}
    if from_file is not None:
        raw |= from_file
        sources |= dict.fromkeys(from_file, f"file {config_path}")

    values = {name: cast(value, name) if default_type(name) else value for name, value in DEFAULTS.items()}
    value_sources = dict.fromkeys(values, "default")
    for given_name, given_value in raw.items():
        name, value, source = given_name, given_value, sources[given_name]
        variable = variable_named_by_file(name)
        if variable is not None and isinstance(value, str):
            try:
                value = _content(value, cwd)
            except OSError as error:
                reason = error.strerror or "no such file"
                problems.append(f"{name} ({source}) names the file {value!r}, which cannot be read: {reason}")
                continue
            name, source = variable, f"file named by {name}"
        if isinstance(value, date):
            # JavaScript's text of a date depends on Node's version and time zone.
            problems.append(f"{name} ({source}) is a date; write it in quotes")
            continue
        values[name] = cast(value, name)
        value_sources[name] = source
        secrets.update(secrets_in(name, value), secrets_in(name, values[name]))
    if problems:
        raise SupervisorError(CONFIG_INVALID, "; ".join(problems), problems=problems)
    return DirectusEnvironment(
        values,
        value_sources,
        process=process,
        cwd=cwd,
        config_path=config_path,
        config_file_found=from_file is not None,
        secrets=frozenset(secrets),
    )


def _content(value: str, cwd: Path) -> str:
    prefix = cast_prefix(value)
    flag = f"{prefix}:" if prefix else ""
    path = value.removeprefix(flag)
    if "\0" in path:
        raise OSError
    return flag + Path(cwd, path).read_bytes().decode("utf-8", "replace")


def _as_node_reads(value: str) -> str:
    """Node.js replaces bytes that are not UTF-8, where Python smuggles them through as surrogates."""
    return value.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
