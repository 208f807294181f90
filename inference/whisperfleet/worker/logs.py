"""Log lines as JSON objects, one a line, with the job's id on every line that concerns a job."""

import json
import logging
import sys
from contextvars import ContextVar
from datetime import UTC, datetime

__all__ = ["configure", "job_id"]

job_id: ContextVar[str | None] = ContextVar("job_id", default=None)

# What a LogRecord has by itself; anything else came in by `extra` and belongs into the line.
_OWN_ATTRIBUTES = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}

# json.dumps with a default makes an encoder each time.
_encode = json.JSONEncoder(default=str).encode


class _JsonFormatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if current := job_id.get():
            line["job_id"] = current
        line |= {k: v for k, v in vars(record).items() if k not in _OWN_ATTRIBUTES}
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return _encode(line)


def configure(level: str) -> None:
    """Send every log line of the process to standard error as JSON."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_JsonFormatter())
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    # faster-whisper logs what it recognises at DEBUG; a transcript must never reach a log.
    logging.getLogger("faster_whisper").setLevel(logging.WARNING)
