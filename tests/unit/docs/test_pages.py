"""What the pages point at is there, and what they quote is what it says."""

import re
import shlex
from pathlib import Path

import pytest

from support.docs.pages import ROOT, anchors, links, pages, quoted
from whisperfleet.contract.codes import Code
from whisperfleet.contract.keys import DEFAULT_PRIORITIES, Keys
from whisperfleet.exit_codes import ExitCode
from whisperfleet.queue.access import producer_rules, reader_rules, tenant_rules

PAGES = pages()
each_page = pytest.mark.parametrize(
    "page", PAGES, ids=[str(page.relative_to(ROOT)) for page in PAGES]
)


@each_page
def test_every_link_leads_somewhere(page: Path):
    for target in links(page):
        path, _, anchor = target.partition("#")
        file = (page.parent / path).resolve() if path else page
        assert file.exists(), target
        if anchor:
            assert anchor in anchors(file), target


def test_the_page_for_producers_quotes_the_programs():
    page = ROOT / "docs/produce.md"
    programs = {language: dict(quoted(page, language)) for language in ("sh", "python")}
    folder = ROOT / "examples/produce"
    assert programs == {
        "sh": {file: file.read_text("utf-8") for file in [folder / "redis-cli/produce.sh"]},
        "python": {file: file.read_text("utf-8") for file in (folder / "python").glob("*.py")},
    }


def test_the_architecture_names_what_there_is():
    text = (ROOT / "docs/architecture.md").read_text("utf-8")
    sources = [ROOT / "inference/whisperfleet", ROOT / "operator/whisperfleet_operator"]
    named = set(re.findall(r"`((?:[a-z_]+/)*[a-z_]+(?:\.py|\.lua|/))`", text))
    assert len(named) > 25
    for name in named:
        assert any((source / name).exists() for source in sources) or [
            found for source in sources for found in source.rglob(name)
        ], name


def test_the_runbook_on_dead_letters_knows_the_codes_that_the_protocol_sends_there():
    runbook = (ROOT / "docs/operate.md").read_text("utf-8")
    protocol = (ROOT / "docs/protocol.md").read_text("utf-8")
    table = runbook.partition("\n### Dead letters\n")[2].partition("\n| code |")[2]
    explained = re.findall(r"`([a-z]+_[a-z]+)`", table.partition("\n\n")[0])
    rows = re.findall(
        r"(?m)^\| (.*?) \| .*look at the dead letter, then redrive \|$", protocol, re.IGNORECASE
    )
    assert sorted(explained) == sorted(re.findall(r"`(\w+)`", " ".join(rows)))
    assert set(explained) <= {code.value for code in Code}


def test_the_page_for_producers_has_every_exit_code():
    page = (ROOT / "docs/produce.md").read_text("utf-8")
    table = page.partition("| exit code |")[2].partition("\n\n")[0]
    assert [int(code) for code in re.findall(r"(?m)^\| (\d+) \|", table)] == sorted(ExitCode)


def test_the_page_for_producers_has_the_rights_of_each_account():
    page = (ROOT / "docs/produce.md").read_text("utf-8").replace(r"\|", "|")
    keys = Keys("QUEUE")
    tenant = tenant_rules(keys.streams(DEFAULT_PRIORITIES, ["acme"]), "acme")
    for rules in (producer_rules(keys, "normal"), tenant, reader_rules(keys)):
        commands = " ".join(rule for rule in rules if rule.startswith("+"))
        assert f"| `{commands}` |" in page


def test_the_page_for_producers_gives_a_tenant_its_rights():
    page = (ROOT / "docs/produce.md").read_text("utf-8")
    (command,) = re.findall(r"ACL SETUSER acme on '>PASSWORD' ((?:[^\\\n]|\\\n)*)", page)
    streams = Keys("team-a.calls").streams(DEFAULT_PRIORITIES, ["acme"])
    assert sorted(shlex.split(command.replace("\\\n", ""))) == sorted(tenant_rules(streams, "acme"))
