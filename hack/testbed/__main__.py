"""``python -m hack.testbed up``: a cluster on this machine; ``down`` leaves nothing of it."""

import argparse
import datetime as dt
import logging
import signal
import sys
import time
from pathlib import Path

from hack.testbed.cluster import ComponentStatus, Testbed
from hack.testbed.errors import TestbedError


def main() -> int:
    """Do what the command line says; the exit code is 1 where it was not done or not all is up."""
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stdout)
    arguments = _parse()
    try:
        return _run(Testbed(), arguments)
    except TestbedError as error:
        print(f"testbed: {error}", file=sys.stderr)
        return 1


def _run(testbed: Testbed, arguments: argparse.Namespace) -> int:
    began = time.monotonic()
    match arguments.action:
        case "up":
            testbed.up()
            print(f"up in {time.monotonic() - began:.1f} s; KUBECONFIG={testbed.kubeconfig}")
        case "down":
            testbed.down()
            print(f"down in {time.monotonic() - began:.1f} s")
        case "status":
            statuses = testbed.status()
            for status in statuses:
                print(_line(status))
            return 0 if all(status.ready for status in statuses) else 1
        case "load":
            for archive in arguments.archive:
                testbed.load_image(archive)
                print(f"loaded {archive}")
        case "restart":
            testbed.restart(arguments.component)
        case "kill":
            testbed.kill(arguments.component, signal.Signals[arguments.signal])
        case "gpus":
            testbed.set_gpus(arguments.count, arguments.unhealthy)
    return 0


def _line(status: ComponentStatus) -> str:
    if status.pid is None or status.since is None:
        return f"{status.name:24} down"
    since = dt.datetime.fromtimestamp(status.since).astimezone().isoformat(" ", "seconds")
    ready = "ready" if status.ready else "NOT READY"
    return f"{status.name:24} {ready:10} pid {status.pid:<8} since {since}"


def _numbers(text: str) -> list[int]:
    return [int(number) for number in text.split(",") if number]


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m hack.testbed", description=__doc__)
    actions = parser.add_subparsers(dest="action", required=True)
    actions.add_parser("up", help="start what does not run and wait until all is ready")
    actions.add_parser("down", help="take everything away again")
    actions.add_parser("status", help="a line a component; exit code 1 unless all are ready")
    load = actions.add_parser("load", help="load image archives into containerd")
    load.add_argument("archive", type=Path, nargs="+")
    restart = actions.add_parser("restart", help="stop a component and start it again")
    restart.add_argument("component")
    kill = actions.add_parser("kill", help="send a signal to a component")
    kill.add_argument("component")
    kill.add_argument("--signal", default="SIGKILL", choices=[each.name for each in signal.Signals])
    gpus = actions.add_parser("gpus", help="how many fake GPUs there are, and which are unhealthy")
    gpus.add_argument("--count", type=int, required=True)
    gpus.add_argument("--unhealthy", type=_numbers, default=[], metavar="0,1")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
