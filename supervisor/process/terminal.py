"""The controlling terminal: which process group is in the foreground, and so hears the keyboard."""

from __future__ import annotations

import os


def hand_over(giver: int, taker: int) -> bool:
    """Put one process group into the foreground in place of another.

    The caller must have SIGTTOU blocked or ignored: ``tcsetpgrp(3)`` from the background stops it otherwise.

    Args:
        giver: the process group that must be in the foreground now.
        taker: the process group of the same session that is to be there.

    Returns:
        False when there is no controlling terminal, when `giver` is not in the foreground (a background job must not
        take the terminal away from whoever has it), or when `taker` is gone.
    """
    try:
        # The controlling terminal itself: any of the three standard streams may be something else.
        terminal = os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY)
    except OSError:
        return False
    try:
        if os.tcgetpgrp(terminal) != giver:
            return False
        os.tcsetpgrp(terminal, taker)
    except OSError:
        return False
    else:
        return True
    finally:
        os.close(terminal)
