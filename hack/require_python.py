"""Say in one sentence that the Python is too old, before an installer says it in fifty lines."""

import sys

if sys.version_info < (3, 11):  # noqa: UP036 - this runs where nothing has been checked yet
    sys.exit(
        f"Whisperfleet needs Python 3.11 or later, and this is {sys.version.split()[0]} "
        f"({sys.executable}); run make with PYTHON=<path of a newer one>"
    )
