"""The testbed's addresses are this machine's own: no proxy of the outside world knows them."""

from collections.abc import Mapping
from typing import Final

from hack.testbed.layout import NODE_IP, POD_RANGE, SERVICE_RANGE

__all__ = ["past_proxies"]

# Upper and lower case: programs differ in which one they read, and which one goes first.
_VARIABLES: Final = ("NO_PROXY", "no_proxy")
_OURS: Final = (
    *("localhost", "127.0.0.1", NODE_IP, SERVICE_RANGE, POD_RANGE),
    *(".svc", ".cluster.local"),
)


def past_proxies(environment: Mapping[str, str]) -> dict[str, str]:
    """Return an environment in which a proxy is asked for everything but the testbed."""
    given = [each for name in _VARIABLES for each in environment.get(name, "").split(",") if each]
    names = ",".join(dict.fromkeys((*given, *_OURS)))
    return {**environment, **dict.fromkeys(_VARIABLES, names)}
