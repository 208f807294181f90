"""To end a job before its time, wherever it is."""

from whisperfleet.client.reports import Cancelled
from whisperfleet.client.scope import Scope
from whisperfleet.queue.publishing import cancellation
from whisperfleet.queue.requests import Conversation
from whisperfleet.queue.scripts import Script

__all__ = ["cancel"]

_CANCEL = Script("cancel")


def cancel(
    scope: Scope, job_id: str, tenant: str | None, stream_name: str = "", entry: str = ""
) -> Conversation[Cancelled]:
    """Cancel a job of `tenant`.

    `stream_name` and `entry` say where it is in case that nobody has begun it yet.
    """
    keys, epoch = scope.keys, 0
    while True:
        answer = yield from _CANCEL.ask(
            [
                keys.job(job_id),
                keys.result(job_id),
                keys.done,
                keys.counters,
                keys.running,
                # A key has to be named all the same, and one that the caller may name.
                keys.stream_named(stream_name or scope.stream_names[0]),
                *map(keys.stream_named, scope.stream_names),
            ],
            [
                keys.group,
                keys.prefix,
                entry,
                scope.tenant or "",
                job_id,
                *cancellation(scope.policy, job_id, stream_name, entry, tenant, epoch),
            ],
        )
        if isinstance(answer, bytes):
            return Cancelled(answer.decode())
        # It waits after attempts: what is published of it says how many.
        epoch = answer
