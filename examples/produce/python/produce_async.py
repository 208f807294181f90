"""Send many audio files to a fleet at once: python produce_async.py https://example.org/*.ogg."""

import asyncio
import os
import sys

from whisperfleet import AsyncClient, Job, RedisSettings
from whisperfleet.errors import ResultGoneError

WAIT_SECONDS = 600


async def words(client: AsyncClient, url: str) -> str:
    """Return the words of one file, or why there are none."""
    job_id = await client.submit(Job(url=url))
    try:
        async for _, result in client.wait([job_id], timeout_seconds=WAIT_SECONDS):
            if result.transcript is not None:
                return result.transcript.text
            return f"{job_id} is {result.state}: {result.error}"
    except (TimeoutError, ResultGoneError) as error:
        return str(error)
    return ""


async def main(urls: list[str]) -> None:
    """Send all of them at once and print a line for each, in order."""
    settings = RedisSettings(os.environ.get("REDIS_URL", "redis://127.0.0.1:6379/0"))
    async with AsyncClient(settings, os.environ.get("QUEUE", "default.calls")) as client:
        for line in await asyncio.gather(*(words(client, url) for url in urls)):
            print(line)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1:]))
