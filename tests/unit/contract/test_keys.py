"""The one list of the streams that take jobs."""

import pytest

from whisperfleet.contract.keys import DEFAULT_PRIORITIES, InputStream, Keys, Priority

KEYS = Keys("team-a.calls")
NOW, LATER = Priority("now", 9), Priority("later", 1)


def test_without_tenants_there_is_one_stream_of_each_priority() -> None:
    assert [stream.key for stream in KEYS.streams(DEFAULT_PRIORITIES)] == [
        "wf:{team-a.calls}:in:high",
        "wf:{team-a.calls}:in:normal",
        "wf:{team-a.calls}:in:low",
    ]


def test_each_tenant_has_a_stream_of_each_priority_beside_the_shared_ones() -> None:
    assert KEYS.streams([NOW, LATER], ["acme", "Globex.eu"]) == (
        InputStream("wf:{team-a.calls}:in:now", NOW),
        InputStream("wf:{team-a.calls}:in:later", LATER),
        InputStream("wf:{team-a.calls}:in:now:acme", NOW, "acme"),
        InputStream("wf:{team-a.calls}:in:later:acme", LATER, "acme"),
        InputStream("wf:{team-a.calls}:in:now:Globex.eu", NOW, "Globex.eu"),
        InputStream("wf:{team-a.calls}:in:later:Globex.eu", LATER, "Globex.eu"),
    )


@pytest.mark.parametrize("tenant", ["a:b", "-a", "a b", "ü", "a" * 64])
def test_a_tenant_has_a_name_that_a_stream_can_have(tenant: str) -> None:
    with pytest.raises(ValueError, match="cannot name a priority or a tenant"):
        KEYS.streams(DEFAULT_PRIORITIES, [tenant])
