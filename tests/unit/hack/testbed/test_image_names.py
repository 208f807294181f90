"""What the nodes call an image."""

import pytest

from hack.testbed.images import full_name


@pytest.mark.parametrize(
    ("name", "full"),
    [
        ("redis:7.2", "docker.io/library/redis:7.2"),
        ("example/worker:1", "docker.io/example/worker:1"),
        ("whisperfleet.local/worker:0.1.0", "whisperfleet.local/worker:0.1.0"),
        ("localhost/worker:1", "localhost/worker:1"),
        ("registry:5000/worker:1", "registry:5000/worker:1"),
    ],
)
def test_a_name_without_a_registry_is_of_dockers(name: str, full: str):
    assert full_name(name) == full
