"""TLS to Postgres with the rules of Node.js, so that the supervisor trusts the servers that Directus trusts.

The rules are those of ``tls.connect`` and of node-postgres: a server that declines TLS is an error and never
answered in plain text, and ``rejectUnauthorized`` decides on chain and host name together.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from supervisor.errors import CONFIG_INVALID, SupervisorError

if TYPE_CHECKING:
    import ssl
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class TlsSettings:
    """How to speak TLS with the server.

    Attributes:
        server_name: the name that the server's certificate must carry.
        reject_unauthorized: verify the certificate's chain and name; without it nothing is verified.
        ca: certificates (PEM) to trust in place of the system's; None for the system's.
        extra_ca_file: a file of certificates to trust besides the system's (``NODE_EXTRA_CA_CERTS``).
        cert: the client's certificate (PEM), used if ``key`` is there too.
        key: the client's private key (PEM).
        passphrase: what the private key is encrypted with.
    """

    server_name: str
    reject_unauthorized: bool = True
    ca: str | None = None
    extra_ca_file: Path | None = None
    cert: str | None = None
    key: str | None = field(default=None, repr=False)
    passphrase: str | None = field(default=None, repr=False)


def ssl_context(settings: TlsSettings) -> ssl.SSLContext:
    """Builds the context for asyncpg's ``ssl`` argument, which then insists on TLS.

    Raises:
        SupervisorError: ``CONFIG_INVALID``; a certificate or the key is not usable.
    """
    # Megabytes in PID 1, for the few that use TLS.
    import ssl  # noqa: PLC0415

    class NamedContext(ssl.SSLContext):
        """Verifies the name that Node.js would, which for an address is not the address that was dialled."""

        def wrap_bio(
            self,
            incoming: ssl.MemoryBIO,
            outgoing: ssl.MemoryBIO,
            server_side: bool = False,
            server_hostname: str | bytes | None = None,  # noqa: ARG002
            session: ssl.SSLSession | None = None,
        ) -> ssl.SSLObject:
            return super().wrap_bio(incoming, outgoing, server_side, settings.server_name, session)

    # Not create_default_context: since Python 3.13 that refuses chains (VERIFY_X509_STRICT) which Node.js
    # accepts.
    context = NamedContext(ssl.PROTOCOL_TLS_CLIENT)
    if not settings.reject_unauthorized:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    elif settings.ca is not None:
        try:
            # The text between certificates may be in any language, and Python wants ASCII.
            context.load_verify_locations(cadata=settings.ca.encode("ascii", "replace").decode())
        except (ssl.SSLError, ValueError) as error:
            raise SupervisorError(
                CONFIG_INVALID,
                f"The CA certificate for Postgres (DB_SSL__CA, sslrootcert) is no PEM certificate: {error}",
                remedy="DB_SSL__CA holds the certificate itself; DB_SSL__CA_FILE names a file that holds it.",
            ) from error
    else:
        context.load_default_certs()
        # Node.js passes over a file of extra certificates that it cannot read, with a warning.
        if settings.extra_ca_file is not None and settings.extra_ca_file.is_file():
            context.load_verify_locations(cafile=settings.extra_ca_file)
    if settings.cert is not None and settings.key is not None:
        try:
            _load_client_certificate(context, settings.cert, settings.key, settings.passphrase)
        except (ssl.SSLError, ValueError) as error:
            raise SupervisorError(
                CONFIG_INVALID,
                f"The client certificate for Postgres (DB_SSL__CERT, DB_SSL__KEY) cannot be used: {error}",
                remedy="Give both as PEM text, and DB_SSL__PASSPHRASE if the key is encrypted.",
            ) from error
    return context


def _load_client_certificate(context: ssl.SSLContext, cert: str, key: str, passphrase: str | None) -> None:
    # The ssl module reads client certificates from files only: this one is in memory, and no private key
    # meets a disk.
    descriptor = os.memfd_create("client-certificate")
    with open(descriptor, "w", encoding="utf-8") as file:  # noqa: PTH123 - it has no path of its own
        file.write(f"{cert}\n{key}\n")
        file.flush()
        # Without a password given, OpenSSL would ask for one on the terminal.
        context.load_cert_chain(f"/proc/self/fd/{descriptor}", password=passphrase or "")
