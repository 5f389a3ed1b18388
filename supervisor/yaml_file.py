"""YAML, read by the safe C loader, its mistakes told with line and column."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from supervisor.errors import CONFIG_INVALID, SupervisorError

if TYPE_CHECKING:
    from yaml import Node

_DEEPEST: Final = 200


def parse_yaml(text: str, path: Path, *, unique_keys: bool = False) -> object:
    """Parse YAML by the safe C loader.

    Args:
        text: the document.
        path: its name, for the sentences.
        unique_keys: whether a key that stands twice in one mapping is refused, as YAML 1.2 (3.2.1.3) has it; PyYAML
            takes the last one. It adds two thirds to the time.

    Raises:
        SupervisorError: ``config.invalid`` with line and column when the text is not YAML.
    """
    import yaml  # noqa: PLC0415 - most deployments have no YAML file to read

    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)(text)
    try:
        refuse_depth(text)
        root = loader.get_single_node()
        if root is None:
            return None
        if unique_keys:
            _refuse_double_keys(root)
        return loader.construct_document(root)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        place = f"{path}:{mark.line + 1}:{mark.column + 1}" if mark else str(path)
        reason = getattr(error, "problem", None) or str(error).splitlines()[0]
        raise SupervisorError(CONFIG_INVALID, f"{place}: not valid YAML: {reason}") from None
    except (ValueError, RecursionError) as error:
        # The loader lets these out for a date that does not exist, a number too long, and nesting too deep.
        raise SupervisorError(CONFIG_INVALID, f"{path}: not valid YAML: {error}") from None
    finally:
        loader.dispose()


def refuse_depth(text: str) -> None:
    """Refuse a document that is nested deeper than any that somebody wrote.

    libyaml composes by recursion in C: nested deep enough, that is the end of the process.

    Raises:
        yaml.YAMLError: with its place; also for what is not YAML.
    """
    import yaml  # noqa: PLC0415
    from yaml.composer import ComposerError  # noqa: PLC0415

    depth = 0
    for event in yaml.parse(text, Loader=getattr(yaml, "CBaseLoader", yaml.BaseLoader)):
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
            if depth > _DEEPEST:
                mark: Any = event.start_mark
                raise ComposerError(None, None, "it is nested too deeply here", mark)
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1


def _refuse_double_keys(root: Node) -> None:
    from yaml import MappingNode, ScalarNode, SequenceNode  # noqa: PLC0415
    from yaml.constructor import ConstructorError  # noqa: PLC0415

    waiting = [root]
    # An anchor may be used often, and within itself.
    seen = {id(root)}
    while waiting:
        node = waiting.pop()
        inner: list[Node] = []
        if isinstance(node, SequenceNode):
            inner = node.value
        elif isinstance(node, MappingNode):
            keys = set()
            for key, value in node.value:
                inner += (key, value)
                name = (key.tag, key.value) if isinstance(key, ScalarNode) else None
                if name in keys and name is not None:
                    raise ConstructorError(None, None, f"the key {key.value!r} stands here twice", key.start_mark)
                keys.add(name)
        fresh = [child for child in inner if id(child) not in seen]
        seen.update(map(id, fresh))
        waiting += fresh
