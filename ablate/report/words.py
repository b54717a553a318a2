"""Text of a study's author among words of ours: isolated, and cut where it is long."""

import re

_TURNS = re.compile(
    "[\u0590-\u08ff\ufb1d-\ufdff\ufe70-\ufefc\u200e\u200f\u202a-\u202e\u2066-\u2069\U00010800-\U00010fff]"
)
"""Letters from right to left, and marks that set a direction."""
_OPENS = "\u202a\u202b\u202d\u202e\u2066\u2067\u2068"
_ISOLATE, _END = "\u2068", "\u2069"
LONGEST = 200
"""Characters of a text that a sentence or a cell of a table shows."""


def isolated(text: str) -> str:
    """A text that does not turn the words around it, whatever directions it sets; unchanged where it sets none."""
    if not _TURNS.search(text):
        return text
    opened, kept = 0, []
    for character in text:
        opened += character in _OPENS
        if character in "\u202c\u2069":
            if not opened:  # it would end a direction that the text did not begin
                continue
            opened -= 1
        kept.append(character)
    return f"{_ISOLATE}{''.join(kept)}{_END * opened}{_END}"


def cut(text: str, longest: int = LONGEST) -> str:
    """The begin of a long text, with dots; a short one as it is."""
    return text if len(text) <= longest else f"{text[: longest - 3].rstrip()}..."


def named(text: str) -> str:
    """A name or a label as sentences write it: cut, then isolated."""
    return isolated(cut(text))
