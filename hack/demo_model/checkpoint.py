"""Parameters on disk: one array for each leaf, named by its path in the tree."""

from pathlib import Path
from typing import Any

import jax
import numpy as np

from hack.demo_model.model import Initialiser, Params


def save(path: Path, params: Params) -> None:
    """Write the parameters, replacing an older file at once."""
    leaves = {_name(keys): np.asarray(leaf) for keys, leaf in _leaves(params)}
    partial = path.with_suffix(".partial.npz")
    np.savez(partial, allow_pickle=False, **leaves)
    partial.replace(path)


def load(path: Path) -> Params:
    """Return the parameters of a file, in the shape of a new model's tree."""
    template = Initialiser(seed=0).model()
    with np.load(path) as file:
        leaves = [file[_name(keys)] for keys, _ in _leaves(template)]
    params: Params = jax.tree.unflatten(jax.tree.structure(template), leaves)
    return params


def _leaves(params: Params) -> list[tuple[Any, Any]]:
    return jax.tree_util.tree_leaves_with_path(params)


def _name(keys: Any) -> str:
    return jax.tree_util.keystr(keys, simple=True, separator="/")
