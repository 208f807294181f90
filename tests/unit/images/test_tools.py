"""What is said where a tool is missing."""

import pytest

from hack.images import ImageError
from hack.images.tools import require_tools


@pytest.mark.parametrize(("root", "apt"), [(False, "/usr/bin/apt-get"), (True, None)])
def test_where_it_cannot_be_installed_the_command_is_named(root: bool, apt: str | None) -> None:
    present = {"mmdebstrap": "/usr/bin/mmdebstrap", "apt-get": apt}
    with pytest.raises(ImageError, match=r"needs buildah; install with: .* buildah \(") as raised:
        require_tools(["mmdebstrap", "buildah"], find=present.get, is_root=lambda: root)
    assert "keyring" not in str(raised.value)


def test_nothing_is_asked_where_nothing_is_missing() -> None:
    require_tools(["buildah"], find=lambda name: f"/usr/bin/{name}", is_root=lambda: False)
