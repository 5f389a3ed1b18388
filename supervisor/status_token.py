"""The token that opens the status page, the metrics and the controls."""

from __future__ import annotations

from supervisor import errors
from supervisor.errors import SupervisorError
from supervisor.settings import Settings


def read_status_token(settings: Settings) -> str | None:
    """The configured token; the newline at the end of its file is not a part of it.

    Raises:
        SupervisorError: ``config.invalid``.
    """
    file = settings.status_token_file
    if file is None:
        return settings.status_token
    if settings.status_token is not None:
        raise SupervisorError(
            errors.CONFIG_INVALID, "SUPERVISOR_STATUS_TOKEN and SUPERVISOR_STATUS_TOKEN_FILE are both set"
        )
    try:
        token = file.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise SupervisorError(
            errors.CONFIG_INVALID, f"SUPERVISOR_STATUS_TOKEN_FILE names {file}, which cannot be read: {reason}"
        ) from None
    if not token:
        raise SupervisorError(errors.CONFIG_INVALID, f"SUPERVISOR_STATUS_TOKEN_FILE names {file}, which is empty")
    return token
