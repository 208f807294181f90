"""Settings that are not one word, as texts."""

import os
from pathlib import Path

import pytest

from whisperfleet.contract.keys import DEFAULT_PRIORITIES, Priority
from whisperfleet.settings.declare import TextForm
from whisperfleet.settings.forms import (
    FOLDERS,
    HOSTS,
    NETWORKS,
    PRIORITIES,
    TENANTS,
    parse_networks,
)


@pytest.mark.parametrize(
    ("form", "text", "value"),
    [
        (TENANTS, "acme, globex,", ("acme", "globex")),
        (TENANTS, "acme,globex,acme", ("acme", "globex")),
        (TENANTS, "", ()),
        (HOSTS, "*.example.org,[::1]", ("*.example.org", "[::1]")),
        (NETWORKS, "10.20.0.0/16, fd12::/48", parse_networks(["10.20.0.0/16", "fd12::/48"])),
        (FOLDERS, f"/clips{os.pathsep}/more", (Path("/clips"), Path("/more"))),
        (PRIORITIES, "now:9, later:1", (Priority("now", 9), Priority("later", 1))),
        (PRIORITIES, "high:8,normal:3,low:1", DEFAULT_PRIORITIES),
    ],
)
def test_a_text_is_read_and_written_again(form: TextForm, text: str, value: object) -> None:
    assert form.read(text) == value
    assert form.read(form.write(value)) == value


@pytest.mark.parametrize(
    ("form", "text", "sentence"),
    [
        (NETWORKS, "10.20.0.1/16", "'10.20.0.1/16' is not a network"),
        (NETWORKS, "here", "write it as 10.20.0.0/16"),
        (PRIORITIES, "high", "'high' has no weight: write name:weight"),
        (PRIORITIES, "high:0", "from 1 up"),
        (PRIORITIES, "my class:1", "'my class' cannot name a priority or a tenant"),
        (TENANTS, "acme, globex corp", "'globex corp' cannot name a priority or a tenant"),
        (PRIORITIES, ",", "needs at least one priority"),
    ],
)
def test_a_text_that_says_nothing_is_refused(form: TextForm, text: str, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        form.read(text)
