"""A script with those shared functions that it uses: Lua makes each of them at each call."""

import re

__all__ = ["compose"]

# A declaration begins at the left margin; what it goes on with is indented, or closes it.
_DECLARATION = re.compile(r"^local (?:function )?(\w+)", re.MULTILINE)
_NAME = re.compile(r"\w+")
_COMMENT = re.compile(r"^\s*--.*\n", re.MULTILINE)


def compose(library: str, script: str) -> str:
    """Return the declarations of `library` that `script` needs, in their order, and the script."""
    parts = dict(_declarations(_COMMENT.sub("", library)))
    needed: set[str] = set()
    found = _names(_COMMENT.sub("", script))
    while found := (found & parts.keys()) - needed:
        needed |= found
        found = set().union(*(_names(parts[name]) for name in found))
    return "".join(text for name, text in parts.items() if name in needed) + script


def _declarations(library: str) -> list[tuple[str, str]]:
    begins = list(_DECLARATION.finditer(library))
    ends = [match.start() for match in begins[1:]] + [len(library)]
    return [
        (match[1], library[match.start() : end]) for match, end in zip(begins, ends, strict=True)
    ]


def _names(text: str) -> set[str]:
    return set(_NAME.findall(text))
