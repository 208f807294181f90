"""What a process must do that is number 1 of its container.

The kernel gives process 1 no default action for SIGTERM. Until some handler is there a pod that is
deleted while it starts would go on, and be killed at the end of its grace period.
"""

import os
import signal

from whisperfleet.exit_codes import after_signal

__all__ = ["end_on_sigterm", "keep_sigterm"]

_EXIT_CODE = after_signal(signal.SIGTERM)


def end_on_sigterm() -> None:
    """End at once on SIGTERM, as any other process does, until a command handles it itself."""
    if os.getpid() == 1:
        signal.signal(signal.SIGTERM, lambda *_: os._exit(_EXIT_CODE))
        # One that came since `keep_sigterm` is there now.
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})


def keep_sigterm() -> None:
    """Keep a SIGTERM that comes from now on for `end_on_sigterm` of the program that this becomes.

    A handler does not outlast exec; what is blocked and pending does.
    """
    if os.getpid() == 1:
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
