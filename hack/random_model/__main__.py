"""``python -m hack.random_model --shape large-v3-turbo --out DIR`` writes a model into a folder."""

import argparse
from pathlib import Path

from hack.random_model.build import COMPUTE_TYPES, SHAPES, build_random_model

if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        prog="python -m hack.random_model",
        description="Write a Whisper model with random weights: real shapes, meaningless words.",
    )
    parser.add_argument("--shape", choices=SHAPES, default="tiny")
    parser.add_argument("--out", type=Path, required=True, help="directory to write into")
    parser.add_argument("--compute-type", choices=COMPUTE_TYPES, default="int8")
    parser.add_argument("--seed", type=int, default=0)
    chosen = parser.parse_args()
    build_random_model(SHAPES[chosen.shape], chosen.out, chosen.compute_type, chosen.seed)
