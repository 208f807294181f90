"""The models that the tests of this folder share."""

from support.engine.fixtures import engine, library, micro_model

__all__ = ["engine", "library", "micro_model"]
