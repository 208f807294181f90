"""Trains the demo model and makes its clips: ``python -m hack.demo_model all``."""

import argparse
import logging
import os
from pathlib import Path
from typing import Final

from hack.demo_model import checkpoint, clips, evaluate, schedule, synthesise, train
from hack.demo_model import export as exporter

logger = logging.getLogger(__name__)

_ROOT: Final = Path(__file__).parents[2]
_HELD_OUT: Final = _ROOT / "tests" / "data" / "heldout"
_DEMO: Final = _ROOT / "inference" / "whisperfleet" / "demo" / "data"
_MODEL: Final = _DEMO / "model"
_DEMO_CLIPS: Final = _DEMO / "clips"

# Of the clips, not of the training: a new training must not change what it is scored on.
_CLIPS_SEED: Final = 2026

_STAGES: Final = ("synthesise", "train", "export", "clips", "evaluate")


def main() -> None:
    """Run one stage, or all of them in order."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
    logging.getLogger("faster_whisper").setLevel(logging.WARNING)
    arguments = _parse()
    arguments.work.mkdir(parents=True, exist_ok=True)
    for stage in _STAGES if arguments.stage == "all" else (arguments.stage,):
        logger.info("stage: %s", stage)
        _run(stage, arguments)


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m hack.demo_model", description=__doc__)
    parser.add_argument("stage", choices=(*_STAGES, "all"))
    parser.add_argument("--work", type=Path, default=_default_work(), help="bank, checkpoints")
    parser.add_argument("--seed", type=int, default=1, help="of the bank and the training")
    names = [stage.name for stage in schedule.STAGES]
    parser.add_argument("--after", choices=names, help="train from the end of this stage on")
    parser.add_argument(
        "--checkpoint", default="model", help="which .npz below --work to export (default: model)"
    )
    return parser.parse_args()


def _default_work() -> Path:
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(cache) / "whisperfleet" / "demo-model"


def _run(stage: str, arguments: argparse.Namespace) -> None:
    match stage:
        case "synthesise":
            synthesise.synthesise(arguments.work / "bank", seed=arguments.seed)
        case "train":
            train.train(arguments.work, arguments.seed, after=arguments.after)
        case "export":
            params = checkpoint.load(arguments.work / f"{arguments.checkpoint}.npz")
            exporter.export(params, _MODEL)
        case "clips":
            clips.make_held_out(_HELD_OUT, _CLIPS_SEED)
            clips.make_demo(_DEMO_CLIPS, _CLIPS_SEED, evaluate.understander(_MODEL))
        case "evaluate":
            for line in evaluate.table(_MODEL, _HELD_OUT):
                logger.info(line)


if __name__ == "__main__":
    main()
