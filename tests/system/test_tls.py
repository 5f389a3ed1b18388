"""TLS to Postgres by the command: which certificates are trusted, and how a refusal reads.

Not every PostgreSQL is built with TLS. So a front answers the request for it and does the handshake, and hands the
session in plain text to the real server behind it.
"""

from __future__ import annotations

import asyncio
import ssl
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from anyio.from_thread import start_blocking_portal

from supervisor.dev.postgres import PostgresCluster
from tests.harness import Deployment

SSL_REQUEST = bytes.fromhex("0000000804d2162f")


class Authority:
    """A self-signed authority, and a server's certificate for `localhost` by it."""

    def __init__(self, folder: Path, name: str) -> None:
        folder.mkdir()
        self.ca, self.cert, self.key = folder / "ca.pem", folder / "server.pem", folder / "server.key"
        ca_key, request, extensions = folder / "ca.key", folder / "server.csr", folder / "extensions"
        extensions.write_text("subjectAltName=DNS:localhost\n")
        new = ("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-noenc")
        _openssl(*new, "-x509", "-days", "2", "-subj", f"/CN={name}", "-keyout", ca_key, "-out", self.ca)
        _openssl(*new, "-subj", "/CN=database", "-keyout", self.key, "-out", request)
        signed = ("-CA", self.ca, "-CAkey", ca_key, "-CAcreateserial", "-days", "2", "-extfile", extensions)
        _openssl("x509", "-req", "-in", request, *signed, "-out", self.cert)


def _openssl(*arguments: str | Path) -> None:
    subprocess.run(["openssl", *arguments], check=True, capture_output=True)


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("tls") / "right", "the right authority")


@pytest.fixture(scope="module")
def other_authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("tls") / "other", "another authority")


class Front:
    """Speaks TLS for the server behind it.

    Args:
        cluster: the real server.
        authority: whose certificate to show.
    """

    def __init__(self, cluster: PostgresCluster, authority: Authority) -> None:
        self._cluster = cluster
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(authority.cert, authority.key)
        self.ciphers: list[str] = []
        self.port = 0

    async def start(self) -> asyncio.Server:
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        return server

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            if await reader.readexactly(8) != SSL_REQUEST:
                return
            writer.write(b"S")
            await writer.start_tls(self._context)
            self.ciphers.append(writer.get_extra_info("cipher")[0])
            there_reader, there_writer = await asyncio.open_connection(self._cluster.host, self._cluster.port)
            await asyncio.gather(_pass_on(reader, there_writer), _pass_on(there_reader, writer))
        except (OSError, EOFError):
            pass
        finally:
            writer.close()


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    finally:
        writer.close()


@pytest.fixture
def front(cluster: PostgresCluster, authority: Authority, deployment: Deployment) -> Iterator[Front]:
    """The deployment's database behind TLS, as `localhost`."""
    front = Front(cluster, authority)
    with start_blocking_portal() as portal:
        server = portal.call(front.start)
        deployment.environ |= {
            "DB_HOST": "localhost",
            "DB_PORT": str(front.port),
            # The stand-in itself does not speak TLS.
            "STAND_IN_BOOTSTRAP": "fail",
        }
        yield front
        portal.call(server.close)


def connects(deployment: Deployment, front: Front) -> bool:
    """Whether the wait for Postgres is passed, over TLS."""
    process = deployment.migrate(status=5)
    return bool(process.of("postgres.answered") and front.ciphers)


def test_the_right_authority_is_trusted(deployment: Deployment, front: Front, authority: Authority) -> None:
    deployment.environ["DB_SSL__CA"] = authority.ca.read_text()
    assert connects(deployment, front)


def test_an_authority_given_as_a_file_is_trusted(deployment: Deployment, front: Front, authority: Authority) -> None:
    deployment.environ["DB_SSL__CA_FILE"] = str(authority.ca)
    assert connects(deployment, front)


def test_a_wrong_authority_is_refused_at_once(deployment: Deployment, front: Front, other_authority: Authority) -> None:
    deployment.environ["DB_SSL__CA"] = other_authority.ca.read_text()
    process = deployment.migrate(status=78)
    assert process.failure["code"] == "postgres.refused"
    assert "CERTIFICATE_VERIFY_FAILED" in process.failure["message"]
    assert "DB_SSL__CA" in process.failure["remedy"]
    assert not process.of("postgres.waiting")


def test_an_unknown_authority_is_refused_with_the_variable_to_set(deployment: Deployment, front: Front) -> None:
    deployment.environ["DB_SSL"] = "true"
    failure = deployment.migrate(status=78).failure
    assert "self-signed certificate" in failure["message"] or "unable to get local issuer" in failure["message"]
    assert "DB_SSL__CA" in failure["remedy"]


def test_without_verification_any_certificate_will_do(
    deployment: Deployment, front: Front, other_authority: Authority
) -> None:
    deployment.environ["DB_SSL__REJECT_UNAUTHORIZED"] = "false"
    assert connects(deployment, front)


def test_a_certificate_for_another_host_is_refused_with_its_name(
    deployment: Deployment, front: Front, authority: Authority
) -> None:
    deployment.environ |= {"DB_SSL__CA": authority.ca.read_text(), "DB_SSL__SERVERNAME": "db.example.com"}
    # Only to an address does Directus' driver send a name of its own choice.
    deployment.environ["DB_HOST"] = "127.0.0.1"
    process = deployment.migrate(status=78)
    assert "db.example.com" in process.failure["message"]
    assert "DB_HOST" in process.failure["remedy"]
    assert not process.of("postgres.waiting")


def test_a_ca_that_is_no_certificate_is_named_with_its_variable(deployment: Deployment, front: Front) -> None:
    deployment.environ["DB_SSL__CA"] = "no certificate at all"
    failure = deployment.migrate(status=78).failure
    assert "DB_SSL__CA" in failure["message"]
    assert "DB_SSL__CA_FILE" in failure["remedy"]


def test_a_server_that_goes_away_in_the_handshake_is_waited_for(deployment: Deployment) -> None:
    async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readexactly(8)
        writer.write(b"S")
        await reader.read(1)
        writer.close()

    with start_blocking_portal() as portal:
        server = portal.call(asyncio.start_server, hang_up, "127.0.0.1", 0)
        deployment.environ |= {"DB_PORT": str(server.sockets[0].getsockname()[1]), "DB_SSL": "true"}
        deployment.environ["SUPERVISOR_POSTGRES_TIMEOUT_S"] = "1"
        process = deployment.migrate(status=8)
        portal.call(server.close)
    assert process.of("postgres.waiting")
