"""Results by the ids of their jobs."""

from collections.abc import Collection
from dataclasses import dataclass

from whisperfleet.client.sent_ids import SentIds
from whisperfleet.contract.keys import Keys
from whisperfleet.contract.result import Result, read_result
from whisperfleet.queue.requests import Conversation, ask

__all__ = ["ResultReader"]

_PAGE = 200


@dataclass(frozen=True, slots=True)
class ResultReader:
    """Reads the results of one queue, those of `tenant` alone unless it is None."""

    keys: Keys
    tenant: str | None
    sent: SentIds

    def known(self, job_ids: Collection[str]) -> Conversation[dict[str, Result]]:
        """Return the results that are there, by the ids that the producer knows the jobs by.

        What a later submission under the same id came to wins.
        """
        found = yield from self.of_ids(job_ids)
        made = {made: own for own in job_ids for made in self.sent.made(own)}
        later = yield from self.of_ids(made)
        return found | {made[job_id]: result for job_id, result in later.items()}

    def of_ids(self, job_ids: Collection[str]) -> Conversation[dict[str, Result]]:
        """Return the results that are there under these very ids."""
        ids, found = list(job_ids), dict[str, Result]()
        for start in range(0, len(ids), _PAGE):
            page = ids[start : start + _PAGE]
            documents = yield from ask("MGET", *map(self.keys.result, page))
            for job_id, document in zip(page, documents, strict=True):
                if document is None:
                    continue
                result = read_result(job_id, document)
                if self.tenant in {None, result.tenant}:
                    found[job_id] = result
        return found
