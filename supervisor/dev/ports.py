"""A TCP port that nothing listens on."""

from __future__ import annotations

import socket

from supervisor.dev.failures import setup_failed


def free_port(host: str, preferred: int = 0) -> int:
    """A TCP port that nothing listens on at this moment.

    Args:
        host: the IPv4 address to be bound.
        preferred: taken when it is free.

    Raises:
        SupervisorError: ``dev.setup_failed`` when the address cannot be bound at all.
    """
    reason: OSError | None = None
    for port in dict.fromkeys((preferred, 0)):
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
            # As servers do: connections of an earlier run in TIME_WAIT do not count.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((host, port))
            except OSError as error:
                reason = error
                continue
            return int(probe.getsockname()[1])
    raise setup_failed("ports", f"no port of {host} can be bound: {reason}", remedy="Correct HOST.") from reason
