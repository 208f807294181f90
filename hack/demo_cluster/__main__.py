"""``python -m hack.demo_cluster [--keep]``: apply, XADD, words, and zero pods again."""

import argparse
import sys

from rich.console import Console
from rich.table import Table
from rich.text import Text

from hack.demo_cluster.errors import DemoError
from hack.demo_cluster.run import NAMESPACE, DemoRun, run_demo
from hack.demo_cluster.steps import Steps
from hack.images import ImageError
from hack.testbed import Testbed, TestbedError
from whisperfleet.cli.interrupts import interrupted_by_any_end
from whisperfleet.demo.clips import demo_clips
from whisperfleet.demo.run import Heard

_DESCRIPTION = """Bring up a cluster with KEDA and the operator, apply a TranscriptionService, send
the demo's clips to its queue, and print what was said beside what was heard, until no pod is left.
Exit code 1 when a word is wrong or a step does not come about. Takes away what it brought."""

_INTERRUPTED = 130
_PIPE_WIDTH = 120


def main() -> int:
    """Run the demo; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m hack.demo_cluster", description=_DESCRIPTION)
    parser.add_argument(
        "--keep", action="store_true", help="leave the cluster and all in it for a look"
    )
    arguments = parser.parse_args()
    console = Console(stderr=True)

    def hear(heard: Heard) -> None:
        words = f"           {heard.clip.name}: {' '.join(heard.words)}"
        console.print(words, highlight=False, soft_wrap=True)

    try:
        with interrupted_by_any_end() as check:
            run = run_demo(demo_clips(), Steps(console, check), hear, keep=arguments.keep)
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return _INTERRUPTED
    except (DemoError, TestbedError, ImageError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    finally:
        if arguments.keep:
            _tell_of_what_is_kept(console)
    _print_run(run)
    return _judge(run)


def _print_run(run: DemoRun) -> None:
    table = Table(title="What was said and what was heard; times in seconds")
    for name in ("clip", "said", "heard"):
        table.add_column(name, overflow="fold")
    for name in ("audio", "queued", "engine", "total"):
        table.add_column(name, justify="right", no_wrap=True)
    for heard in run.heard:
        timing = heard.result.timing
        table.add_row(
            heard.clip.name,
            " ".join(heard.clip.words),
            Text(" ".join(heard.words), style="red" if heard.wrong_words else "green"),
            f"{heard.clip.seconds:.1f}",
            *(f"{seconds:.2f}" for seconds in (timing.queued, timing.engine, timing.total)),
        )
    width = None if sys.stdout.isatty() else _PIPE_WIDTH
    Console(width=width, highlight=False).print(table)
    words = sum(len(heard.clip.words) for heard in run.heard)
    print(
        f"{words - run.wrong_words} of {words} words are right. From XADD until a pod was ready: "
        f"{run.wake_seconds:.1f} s; until the last words: {run.words_seconds:.1f} s more; until no "
        f"pod was left: {run.sleep_seconds:.1f} s more."
    )


def _judge(run: DemoRun) -> int:
    for heard in run.heard:
        if error := heard.result.error:
            print(
                f"error: {heard.clip.name}: {heard.result.state} ({error.code}): {error.message}",
                file=sys.stderr,
            )
    if run.wrong_words:
        print(f"error: {run.wrong_words} words are wrong; see the table", file=sys.stderr)
    return 1 if run.wrong_words else 0


def _tell_of_what_is_kept(console: Console) -> None:
    testbed = Testbed()
    console.print(
        f"Kept: look with KUBECONFIG={testbed.kubeconfig} {testbed.kubectl} -n {NAMESPACE} get "
        "tsvc,pods; `make cluster-down` ends the whole cluster.",
        highlight=False,
        soft_wrap=True,
    )


if __name__ == "__main__":
    sys.exit(main())
