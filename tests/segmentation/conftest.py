"""The models that the tests of this folder share."""

from engine.fixtures import engine, library, micro_model

__all__ = ["engine", "library", "micro_model"]
