"""The login and the secret of a project's development instance, generated once and kept."""

from __future__ import annotations

import json
import os
import secrets
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from supervisor.dev.failures import explained, setup_failed

if TYPE_CHECKING:
    from pathlib import Path

ADMIN_EMAIL = "admin@example.com"
_STEP = "login"
_SECRET_BYTES = 32  # Directus warns about a SECRET of less than 32 bytes


@dataclass(frozen=True, slots=True)
class Login:
    """What Directus' bootstrap makes the first administrator from.

    Attributes:
        email: the administrator's address.
        password: his password.
        secret: signs the access tokens; a new one would end every session.
    """

    email: str
    password: str
    secret: str

    def __repr__(self) -> str:
        return f"Login(email={self.email!r})"


def load_login(path: Path) -> Login:
    """Read the login, or generate it when there is none.

    Args:
        path: the file that keeps it, readable by its owner alone.

    Raises:
        SupervisorError: ``dev.setup_failed`` when the file cannot be read, written or understood.
    """
    with explained(_STEP, "XDG_DATA_HOME"):
        try:
            text = path.read_text()
        except FileNotFoundError:
            login = Login(ADMIN_EMAIL, secrets.token_urlsafe(12), secrets.token_urlsafe(_SECRET_BYTES))
            _write(path, json.dumps(asdict(login), indent=2) + "\n")
            return login
    try:
        login = Login(**json.loads(text))
    except (TypeError, ValueError):
        login = Login("", "", "")
    if not all(isinstance(value, str) and value for value in asdict(login).values()):
        raise setup_failed(
            _STEP,
            f"{path} does not hold a login",
            remedy="Start over with `directus-supervisor dev --fresh`: the database has that login.",
        )
    return login


def _write(path: Path, text: str) -> None:
    # The rename keeps a full disk or a kill from leaving half a login behind.
    temporary = path.with_name(f"{path.name}.new")
    temporary.unlink(missing_ok=True)
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as stream:
        stream.write(text)
        stream.flush()
        os.fsync(stream.fileno())
    temporary.replace(path)
