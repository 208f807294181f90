"""What a scrape serves of the project's metrics."""

import re
from dataclasses import dataclass

_HELP_OR_TYPE = re.compile(r"^# (HELP|TYPE) (whisperfleet_\w+) (.*)$", re.MULTILINE)
_LABELS = re.compile(r"^(whisperfleet_\w+)\{(.*)\} ", re.MULTILINE)
_LABEL = re.compile(r'(\w+)="')
_OF_HISTOGRAMS = ("_bucket", "_sum", "_count")


@dataclass(frozen=True)
class Served:
    """A metric as it is served; `labels` is empty, too, where nothing has been counted yet."""

    type: str
    help: str
    labels: frozenset[str]

    def names(self, name: str) -> list[str]:
        """Return what a query may call it."""
        return [name + end for end in _OF_HISTOGRAMS] if self.type == "histogram" else [name]


def read(text: str) -> dict[str, Served]:
    """Return the project's metrics of a scrape by name."""
    said = {(kind, name): rest for kind, name, rest in _HELP_OR_TYPE.findall(text)}
    labels: dict[str, set[str]] = {}
    for sample, pairs in _LABELS.findall(text):
        labels.setdefault(sample, set()).update(_LABEL.findall(pairs))
    found = {}
    for kind, name in said:
        # When a counter began is a metric of its own to the format, and nobody's to a reader.
        if kind == "TYPE" and not name.endswith("_created"):
            metric = Served(said["TYPE", name], said["HELP", name], frozenset())
            own = set().union(*(labels.get(each, set()) for each in metric.names(name)))
            found[name] = Served(metric.type, metric.help, frozenset(own - {"le"}))
    return found
