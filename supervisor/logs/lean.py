"""structlog, imported without rich.

It imports rich where that is installed, as it is with the extra `dev`: 60 ms and 5 MB, before the first line of the
log, for tracebacks that are not drawn here.
"""

from __future__ import annotations

import sys

__all__ = ["structlog"]

if "rich" in sys.modules or "structlog" in sys.modules:
    import structlog
else:
    # With None an import fails as if nothing were there (The Python Language Reference, 5.3.1).
    sys.modules["rich"] = None  # type: ignore[assignment]
    try:
        import structlog
    finally:
        del sys.modules["rich"]
