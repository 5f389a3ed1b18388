"""What statements do to the set of relations that exist, in order: the vocabulary. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto
from typing import Final

from supervisor.check.guards import UNKNOWN, Relations
from supervisor.check.names import Relation
from supervisor.check.source import Fragment

NOT_LITERAL: Final = Relation(None, "")


class Kind(Enum):
    """One kind of effect."""

    NEED = auto()
    MENTION = auto()  # a name that may be that of a relation: an index, or a type
    CREATE = auto()
    CREATE_TEMPORARY = auto()
    MAY_CREATE = auto()  # as in a function that somebody may call
    DROP = auto()
    DROP_SCHEMA = auto()
    CREATE_SCHEMA = auto()
    FILL_SCHEMA = auto()  # by something that cannot be read here, such as an extension
    SEARCH_PATH = auto()
    CREATE_EXTENSION = auto()
    DEFINE = auto()  # a function whose body needs relations when somebody calls it
    CALL = auto()
    OPAQUE = auto()  # from here on anything may exist: SQL that is put together at run time


@dataclass(frozen=True, slots=True)
class Effect:
    """One effect of one statement.

    Attributes:
        kind: what it does.
        relation: to which relation; of a schema, an extension or a function, the name.
        fragment: what `byte` counts in.
        byte: its place.
        only_if: relations without which the statement does not run.
        path: the new search path; None when it cannot be known.
        body: of a function, what is needed when it is called.
    """

    kind: Kind
    relation: Relation
    fragment: Fragment
    byte: int
    only_if: Relations = frozenset()
    path: tuple[str, ...] | None = None
    body: tuple[Effect, ...] = ()

    @property
    def offset(self) -> int:
        """Characters of the file before its place."""
        return self.fragment.offset(self.byte)

    @property
    def certain(self) -> bool:
        """Whether what it depends on can be known."""
        return UNKNOWN not in self.only_if
