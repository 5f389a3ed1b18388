from __future__ import annotations

import ssl
import subprocess
from pathlib import Path

import pytest

from supervisor.errors import CONFIG_INVALID, SupervisorError
from supervisor.postgres.tls import TlsSettings, ssl_context


class _Identity:
    def __init__(self, folder: Path, name: str, *, passphrase: str | None = None) -> None:
        self.key_file = folder / f"{name}.key"
        self.cert_file = folder / f"{name}.pem"
        cipher = ["-noenc"] if passphrase is None else ["-passout", f"pass:{passphrase}"]
        subprocess.run(
            [
                "openssl",
                "req",
                "-x509",
                "-newkey",
                "rsa:2048",
                *cipher,
                "-subj",
                "/CN=test",
                "-days",
                "2",
                "-addext",
                f"subjectAltName=DNS:{name}",
                "-keyout",
                self.key_file,
                "-out",
                self.cert_file,
            ],
            check=True,
            capture_output=True,
        )
        self.cert = self.cert_file.read_text()
        self.key = self.key_file.read_text()


@pytest.fixture(scope="module")
def identity(tmp_path_factory: pytest.TempPathFactory) -> _Identity:
    return _Identity(tmp_path_factory.mktemp("identity"), "db.local")


def _shake_hands(settings: TlsSettings, server: _Identity, *, client_ca: str | None = None) -> ssl.SSLObject:
    """Runs a handshake in memory and returns the server's side of it."""
    server_context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server_context.load_cert_chain(server.cert_file, server.key_file)
    if client_ca is not None:
        server_context.verify_mode = ssl.CERT_REQUIRED
        server_context.load_verify_locations(cadata=client_ca)
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    # asyncpg names the address that it dials; the settings' own name has to win.
    client_side = ssl_context(settings).wrap_bio(to_client, to_server, server_hostname="10.0.0.1")
    server_side = server_context.wrap_bio(to_server, to_client, server_side=True)
    pending = [client_side, server_side]
    for _ in range(10):
        for side in list(pending):
            try:
                side.do_handshake()
            except ssl.SSLWantReadError:
                continue
            pending.remove(side)
        if not pending:
            return server_side
    pytest.fail("the handshake did not end")


def test_a_certificate_of_the_given_ca_and_name_is_accepted(identity: _Identity) -> None:
    _shake_hands(TlsSettings("db.local", ca=identity.cert), identity)


def test_another_name_than_the_certificates_is_refused(identity: _Identity) -> None:
    with pytest.raises(ssl.SSLCertVerificationError, match="Hostname mismatch"):
        _shake_hands(TlsSettings("localhost", ca=identity.cert), identity)


def test_a_certificate_that_the_system_does_not_trust_is_refused(identity: _Identity) -> None:
    with pytest.raises(ssl.SSLCertVerificationError, match="self-signed certificate"):
        _shake_hands(TlsSettings("db.local"), identity)


def test_extra_certificates_are_trusted_besides_those_of_the_system(identity: _Identity) -> None:
    _shake_hands(TlsSettings("db.local", extra_ca_file=identity.cert_file), identity)


def test_an_extra_file_that_is_not_there_is_passed_over(tmp_path: Path) -> None:
    ssl_context(TlsSettings("db.local", extra_ca_file=tmp_path / "missing.pem"))


def test_nothing_is_verified_where_verification_is_off(identity: _Identity) -> None:
    _shake_hands(TlsSettings("other", reject_unauthorized=False, ca="not even read"), identity)


def test_text_around_the_certificates_is_passed_over(identity: _Identity) -> None:
    text = f"subject=CN = \u20ac\n{identity.cert}\n# the end\n{identity.cert}"
    _shake_hands(TlsSettings("db.local", ca=text), identity)


@pytest.mark.parametrize(
    "ca", ["/etc/ssl/ca.pem", "", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "\u20ac"]
)
def test_a_ca_that_is_no_certificate_is_told(ca: str) -> None:
    with pytest.raises(SupervisorError, match="DB_SSL__CA") as caught:
        ssl_context(TlsSettings("db.local", ca=ca))
    assert caught.value.failure is CONFIG_INVALID
    assert "DB_SSL__CA_FILE" in caught.value.remedy


@pytest.mark.parametrize("passphrase", [None, "open sesame"])
def test_a_client_certificate_is_shown(tmp_path: Path, identity: _Identity, passphrase: str | None) -> None:
    client = _Identity(tmp_path, "client", passphrase=passphrase)
    settings = TlsSettings("db.local", ca=identity.cert, cert=client.cert, key=client.key, passphrase=passphrase)
    server_side = _shake_hands(settings, identity, client_ca=client.cert)
    assert server_side.getpeercert(binary_form=True) == ssl.PEM_cert_to_DER_cert(client.cert)


@pytest.mark.parametrize("passphrase", [None, "wrong"])
def test_a_key_that_cannot_be_opened_is_told_without_asking_the_terminal(
    tmp_path: Path, passphrase: str | None
) -> None:
    client = _Identity(tmp_path, "client", passphrase="open sesame")
    with pytest.raises(SupervisorError, match="DB_SSL__KEY") as caught:
        ssl_context(TlsSettings("db.local", cert=client.cert, key=client.key, passphrase=passphrase))
    assert "sesame" not in str(caught.value)


def test_a_key_of_another_certificate_is_told(tmp_path: Path, identity: _Identity) -> None:
    other = _Identity(tmp_path, "other")
    with pytest.raises(SupervisorError, match="DB_SSL__CERT"):
        ssl_context(TlsSettings("db.local", cert=identity.cert, key=other.key))
