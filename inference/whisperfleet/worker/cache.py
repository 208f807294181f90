"""Transcripts by content: the same audio under the same options costs the model once.

The key is HMAC-SHA256 under the tenant's name, so one tenant's audio never answers another's, and
covers everything that the words depend on.
"""

import hashlib
import hmac
import io
import json
import logging
from dataclasses import asdict, dataclass

import redis
from pydantic import ValidationError

from whisperfleet.contract.job import PROTOCOL_MAJOR, Job
from whisperfleet.contract.keys import Keys
from whisperfleet.worker import metrics
from whisperfleet.worker.channels import Heard
from whisperfleet.worker.recognition import request_of

__all__ = ["TranscriptCache"]

log = logging.getLogger(__name__)

# A transcript that is larger is not kept twice: under `noeviction` memory is for jobs and results.
_MAX_BYTES = 1024 * 1024


@dataclass(frozen=True, slots=True)
class TranscriptCache:
    """Transcripts and their warnings in Redis, each kept for `seconds`; 0 keeps none.

    `recipe` is what all jobs of this worker share and words depend on: model digest, compute type,
    decoding and segmentation options. A cache that cannot be reached is a miss, never a failure.
    """

    client: redis.Redis
    keys: Keys
    seconds: float
    recipe: str

    def key(self, audio: io.FileIO, job: Job) -> str | None:
        """Return where what a job hears in an audio file belongs; None when nothing is kept."""
        if not self.seconds:
            return None
        audio.seek(0)
        content = hashlib.file_digest(audio, "sha256").hexdigest()
        asked = [asdict(request_of(job)), job.channel, job.track]
        parts = json.dumps([PROTOCOL_MAJOR, content, asked, self.recipe])
        digest = hmac.new((job.tenant or "").encode(), parts.encode(), hashlib.sha256)
        return self.keys.cache(digest.hexdigest())

    def get(self, key: str | None) -> Heard | None:
        """Return what was kept, or None."""
        if key is None:
            return None
        try:
            kept = self.client.get(key)
            heard = Heard.model_validate_json(kept) if kept else None
        except (redis.RedisError, ValidationError) as error:
            log.warning("the transcript cache cannot be read (%s); going on without", _brief(error))
            heard = None
        metrics.cache_lookups.labels("hit" if heard else "miss").inc()
        return heard

    def put(self, key: str | None, heard: Heard) -> None:
        """Keep a transcript with its warnings, unless they are too large."""
        if key is None:
            return
        value = heard.model_dump_json(exclude_defaults=True)
        if len(value) > _MAX_BYTES:
            return
        try:
            self.client.set(key, value, px=int(self.seconds * 1000))
        except redis.RedisError as error:
            log.warning("the transcript cache cannot be written (%s); going on without", error)


def _brief(error: Exception) -> str:
    # A validation error repeats what it read, which are somebody's words.
    return type(error).__name__ if isinstance(error, ValidationError) else str(error)
