"""YAML, read by the safe C loader, its mistakes told with line and column."""

from __future__ import annotations

from pathlib import Path

from supervisor.errors import CONFIG_INVALID, SupervisorError


def parse_yaml(text: str, path: Path) -> object:
    """Parse YAML by the safe C loader.

    Raises:
        SupervisorError: ``config.invalid`` with line and column when the text is not YAML.
    """
    import yaml  # noqa: PLC0415 - most deployments have no YAML file to read

    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    try:
        return yaml.load(text, Loader=loader)  # noqa: S506 - it is the safe loader
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        place = f"{path}:{mark.line + 1}:{mark.column + 1}" if mark else str(path)
        reason = getattr(error, "problem", None) or str(error).splitlines()[0]
        raise SupervisorError(CONFIG_INVALID, f"{place}: not valid YAML: {reason}") from None
    except (ValueError, RecursionError) as error:
        # The loader lets these out for a date that does not exist, a number too long, and nesting too deep.
        raise SupervisorError(CONFIG_INVALID, f"{path}: not valid YAML: {error}") from None
