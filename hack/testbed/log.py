"""Where the testbed says what it is doing."""

import logging
from typing import Final

__all__ = ["logger"]

logger: Final = logging.getLogger("testbed")
