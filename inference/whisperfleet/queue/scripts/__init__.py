"""The Lua scripts: every change of a job's state is one of them, so that none happens by half.

What a script uses of `common.lua` precedes it; the first line is added here because it must be the
very first, and after it what the contract says of sizes.
"""

import hashlib
from collections.abc import Sequence
from functools import cached_property
from importlib import resources
from typing import Any

import redis
from redis.exceptions import NoScriptError

from whisperfleet.contract.sizes import MAX_ENTRY_BYTES
from whisperfleet.queue.requests import Argument, Conversation, ask, run
from whisperfleet.queue.scripts.composition import compose

__all__ = ["Script", "milliseconds"]

# Scripts free more than they take, so they must run where `maxmemory` already refuses an XADD. A
# function of Redis 7.0 and Valkey; an older server answers with a syntax error.
_HEADER = f"#!lua flags=allow-oom\nlocal MAX_ENTRY_BYTES = {MAX_ENTRY_BYTES}\n"


def milliseconds(seconds: float) -> int:
    """Return whole milliseconds, the unit of the scripts."""
    return round(seconds * 1000)


class Script:
    """One script by the name of its file; sent whole only where the server does not know it yet."""

    def __init__(self, name: str) -> None:
        self.name = name

    @cached_property
    def source(self) -> str:
        """The text as the server gets it."""
        folder = resources.files(__package__)
        library, script = (
            folder.joinpath(f"{part}.lua").read_text("utf-8") for part in ("common", self.name)
        )
        return _HEADER + compose(library, script)

    @cached_property
    def _sha(self) -> str:
        # The name by which EVALSHA knows a script; nothing rests on its strength.
        return hashlib.sha1(self.source.encode(), usedforsecurity=False).hexdigest()

    def ask(self, keys: Sequence[str], arguments: Sequence[Argument]) -> Conversation[Any]:
        """Have the script run and return its reply; SCRIPT FLUSH and fail-overs go unnoticed."""
        try:
            return (yield from ask("EVALSHA", self._sha, len(keys), *keys, *arguments))
        except NoScriptError:
            return (yield from ask("EVAL", self.source, len(keys), *keys, *arguments))

    def run(self, client: redis.Redis, keys: Sequence[str], arguments: Sequence[Argument]) -> Any:
        """Run the script, as `ask` does, and return its reply."""
        return run(client, self.ask(keys, arguments))
