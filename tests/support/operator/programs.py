"""Programs of tests in a worker's container: Python runs `sitecustomize` before the worker."""

from collections.abc import Mapping
from typing import Any, Final

from support.cluster.fleet import GATED_WORKER
from support.cluster.kube import Json

_FOLDER: Final = "/program"
_NAME: Final = "program"

# Its children are other programs.
_IN_THE_WORKER: Final = """
import os, sys
names = [each.rpartition("/")[2] for each in sys.orig_argv]
if "whisperfleet" in names:
"""
# In the worker's place, with what it was asked for.
_WITH_GATES: Final = f"""
    asked = sys.orig_argv[names.index("whisperfleet") + 1:]
    os.execv(sys.executable, [sys.executable, "{_FOLDER}/{GATED_WORKER.name}", *asked])
"""
# A large model takes its time by itself.
_HELD: Final = """
    import time
    import redis
    server = redis.Redis.from_url(os.environ["WHISPERFLEET_REDIS"])
    while not server.exists(os.environ["HELD_UNTIL"]):
        time.sleep(0.1)
"""

HELD_PROGRAM: Final = {"sitecustomize.py": _IN_THE_WORKER + _HELD}
GATED_PROGRAM: Final = {
    "sitecustomize.py": _IN_THE_WORKER + _WITH_GATES,
    GATED_WORKER.name: GATED_WORKER.read_text(),
}


def program(files: Mapping[str, str]) -> Json:
    """Return the ConfigMap that a pod with `template` needs."""
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": _NAME},
        "data": dict(files),
    }


def template(**env: str) -> dict[str, Any]:
    """Return a pool's template whose workers run the program; each job takes its time anew."""
    variables = {"PYTHONPATH": _FOLDER, "WHISPERFLEET_CACHE_SECONDS": "0", **env}
    return {
        "env": [{"name": name, "value": value} for name, value in variables.items()],
        "volumes": [{"name": _NAME, "configMap": {"name": _NAME}}],
        "volumeMounts": [{"name": _NAME, "mountPath": _FOLDER}],
    }
