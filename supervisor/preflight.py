"""What can be known before Directus is started, since its own failure would only be repeated by every restart."""

from __future__ import annotations

import errno
import socket

from supervisor import errors
from supervisor.directus.ping import Address
from supervisor.errors import SupervisorError


def refuse_taken_port(address: Address) -> None:
    """Look whether Directus will be able to listen.

    Raises:
        SupervisorError: ``directus.port_taken``.
    """
    if address.socket is not None or address.port == 0:
        return
    try:
        family, kind, protocol, _, where = socket.getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind, protocol) as trial:
            trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            trial.bind(where)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise SupervisorError(
                errors.PORT_TAKEN, f"Directus is to listen on {address} (HOST, PORT), which is in use"
            ) from None
        # Any other trouble with the address Directus itself explains best.
