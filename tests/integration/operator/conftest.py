"""A reconciler over a fake Kubernetes and a real Redis."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from support.operator.fake_kube import FakeKube
from support.operator.reconciling import KEDA_INDEX, KEDA_SCHEMA, World
from whisperfleet.demo.server import EmbeddedServer


@pytest.fixture
def fake() -> FakeKube:
    """An API server with KEDA 2.17."""
    kube = FakeKube()
    kube.documents = {**KEDA_INDEX, **KEDA_SCHEMA}
    return kube


@pytest.fixture
def world(fake: FakeKube, any_server: EmbeddedServer, tmp_path: Path) -> World:
    return World(fake, any_server.url, tmp_path)


@pytest.fixture
def queue(world: World) -> Iterator[redis.Redis]:
    """A client of the Redis that the service is on."""
    with world.settings.connect() as client:
        yield client


@pytest.fixture
def settled(world: World) -> World:
    """A service that has all it needs, and an operator that has nothing more to say about it."""
    world.apply()
    world.reconcile()
    world.keda_says(Ready="True", Active="False", Paused="False")
    world.reconcile()
    assert world.ready() == ("True", "Idle")
    world.writes()
    return world


@pytest.fixture
def guarded(fake: FakeKube, tmp_path) -> Iterator[World]:
    """A service whose Redis wants the password `one`, and knows it."""
    with EmbeddedServer(options=[("requirepass", "one")]) as server:
        world = World(fake, server.url, tmp_path)
        world.make_secret("r", password="one")
        world.apply(queue={"redis": {"url": server.url, "credentials": {"secretName": "r"}}})
        world.reconcile()
        yield world
