"""Fixtures of the system tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from supervisor.dev.postgres import PostgresCluster
from tests.database import Session


@pytest.fixture
def session(cluster: PostgresCluster, database: str) -> Iterator[Session]:
    """A superuser's session on the database of the test."""
    with Session(cluster, database) as session:
        yield session
