"""Where one job is in its life, read from its record or from its entry."""

from collections.abc import Mapping

from pydantic import TypeAdapter

from whisperfleet.client.reports import JobStatus
from whisperfleet.contract.codes import Code
from whisperfleet.contract.keys import Keys
from whisperfleet.contract.result import AnyCode
from whisperfleet.contract.states import AnyState, State
from whisperfleet.contract.times import entry_time, moment
from whisperfleet.queue.requests import Conversation, ask

__all__ = ["read_entry_status", "read_status"]

# What is read of a job's hash.
_FIELDS = (
    *("state", "stream", "epoch", "owner", "deliveries", "releases", "retries", "code", "tenant"),
    *("cancel", "entry", "claimed", "finished", "history"),
)
_STATE: TypeAdapter[State | str] = TypeAdapter(AnyState)
_CODE: TypeAdapter[Code | str] = TypeAdapter(AnyCode)


def read_status(keys: Keys, job_id: str) -> Conversation[JobStatus | None]:
    """Read a job's hash; None where none is known, or one of which only a cancel is."""
    values = yield from ask("HMGET", keys.job(job_id), *_FIELDS)
    # A tenant is what an entry says, whatever bytes that are.
    known = {
        name: value.decode("utf-8", "replace")
        for name, value in zip(_FIELDS, values, strict=True)
        if value is not None
    }
    if "state" not in known:
        return None
    return JobStatus(
        id=job_id,
        state=_STATE.validate_python(known["state"]),
        stream=known.get("stream", ""),
        epoch=_count(known, "epoch"),
        worker=known.get("owner"),
        deliveries=_count(known, "deliveries"),
        releases=_count(known, "releases"),
        retries=_count(known, "retries"),
        code=_CODE.validate_python(known["code"]) if known.get("code") else None,
        tenant=known.get("tenant") or None,
        cancel_requested="cancel" in known,
        enqueued_at=entry_time(known.get("entry", "")),
        claimed_at=moment(known.get("claimed", "")),
        finished_at=moment(known.get("finished", "")),
        history=known.get("history", ""),
    )


def _count(known: Mapping[str, str], name: str) -> int:
    text = known.get(name, "")
    return int(text) if text.isdecimal() else 0


def read_entry_status(keys: Keys, stream_name: str, entry: str) -> Conversation[JobStatus | None]:
    """Return the status of a job that nobody has begun and whose id the queue made of its entry.

    None where there is no such entry, or its job has an id of its own.
    """
    entries = yield from ask("XRANGE", keys.stream_named(stream_name), entry, entry)
    if not entries or b"id" in entries[0][1]:
        return None
    owner = stream_name.partition(":")[2].encode() or entries[0][1].get(b"tenant", b"")
    return JobStatus(
        id=f"{stream_name}-{entry}",
        state=State.QUEUED,
        stream=stream_name,
        tenant=owner.decode("utf-8", "replace") or None,
        enqueued_at=entry_time(entry),
    )
