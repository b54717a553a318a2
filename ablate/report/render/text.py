"""Text of unknown content made safe: isolated in its direction, shortened, escaped for LaTeX and Markdown."""

import re
import unicodedata

_TURNS = re.compile(
    "[\u0590-\u08ff\ufb1d-\ufdff\ufe70-\ufefc\u200e\u200f\u202a-\u202e\u2066-\u2069\U00010800-\U00010fff]"
)
"""Right-to-left letters, and marks that set a direction."""
_OPENS = "\u202a\u202b\u202d\u202e\u2066\u2067\u2068"
_ISOLATE, _END = "\u2068", "\u2069"
LONGEST = 200
"""Maximum number of characters of a text in a sentence or a table cell."""


def isolated(text: str) -> str:
    """A text that cannot change the direction of surrounding text; unchanged if it sets no direction."""
    if not _TURNS.search(text):
        return text
    opened, kept = 0, []
    for character in text:
        opened += character in _OPENS
        if character in "\u202c\u2069":
            if not opened:  # would end a direction that the text did not start
                continue
            opened -= 1
        kept.append(character)
    return f"{_ISOLATE}{''.join(kept)}{_END * opened}{_END}"


def cut(text: str, longest: int = LONGEST) -> str:
    """The start of a long text with an ellipsis; a short text unchanged."""
    return text if len(text) <= longest else f"{text[: longest - 3].rstrip()}..."


_TO_MINUS = re.compile(r"(?<![\w.)\]])-(?=\d)")
_GLUED = re.compile(
    r"(?<=\d) (?=%|points?\b|seeds?\b)| (?=[=+\u2212\u00b1] )|(?<= [=\u00b1]) |(?<=\bby) (?=\d)|(?<=\bp) (?=\d)"
    r"|(?<=\d of) (?=\d)"
)


def typeset(text: str) -> str:
    """A sentence with minus signs, and without line ends between a number and its unit or around its sign."""
    return _GLUED.sub("\u00a0", _TO_MINUS.sub("\u2212", text))


def named(text: str) -> str:
    """A name or a label for use in a sentence: shortened, then isolated."""
    return isolated(cut(text))


_LATEX = {
    "\\": r"\textbackslash{}", "{": r"\{", "}": r"\}", "$": r"\$", "&": r"\&", "#": r"\#", "_": r"\_", "%": r"\%",
    "^": r"\textasciicircum{}", "~": r"\textasciitilde{}", "<": r"\textless{}", ">": r"\textgreater{}",
    "|": r"\textbar{}", '"': r"\textquotedbl{}", "`": r"\textasciigrave{}",
    "[": "{[}", "]": "{]}", "*": "{*}",
    "\u2013": "--", "\u2014": "---", "\u2018": "`", "\u2019": "'", "\u201c": "``", "\u201d": "''",
    "\u2026": r"\ldots{}", "\u00a0": "~", "\u2212": "$-$", "\u00b1": r"$\pm$", "\u00d7": r"$\times$",
    "\u00b7": r"$\cdot$", "\u00b0": r"$^\circ$", "\u00b5": r"$\mu$", "\u2264": r"$\leq$", "\u2265": r"$\geq$",
    "\u2260": r"$\neq$", "\u2248": r"$\approx$", "\u2192": r"$\rightarrow$", "\u221e": r"$\infty$",
    "\u03b1": r"$\alpha$", "\u03b2": r"$\beta$", "\u03bb": r"$\lambda$", "\u03bc": r"$\mu$", "\u03c1": r"$\rho$",
    "\u03c3": r"$\sigma$", "\u03c4": r"$\tau$", "\u2713": r"$\checkmark$",
}  # fmt: skip
_JOINED = "-',"
"""LaTeX would typeset two of these in a row as one character."""
_MARKDOWN = re.compile(r"([\\`*_{}\[\]<>|~&$@]|:(?=//)|(?<=www)\.)")
_LETTERS = re.compile(r"[\u00c0-\u00d6\u00d8-\u00f6\u00f8-\u017f]")
"""Western and central European letters, which LaTeX supports in UTF-8 without further packages."""


def latex(text: str) -> str:
    """Escaped for LaTeX with any engine; unsupported characters become `[U+1F600]`.

    `[` and `*` are put in braces: at the start of a row they would be an argument of the preceding line break.
    """
    line = _one_line(text)
    return "".join(_in_latex(each, following) for each, following in zip(line, [*line[1:], ""], strict=False))


def latex_name(text: str) -> str:
    """A part of a LaTeX name, as in a label or a macro: characters that could end it or start a command become `-`."""
    return re.sub(r"[^A-Za-z0-9_.=,+/:'-]", "-", text)


def markdown(text: str) -> str:
    """Escaped for Markdown in a table cell or within a line.

    Characters that are special only at the start of a line are kept, so that numbers stay readable.
    """
    return _MARKDOWN.sub(r"\\\1", _one_line(text))


def _in_latex(character: str, following: str) -> str:
    if character == following and character in _JOINED:
        return character + "{}"
    if character in _LATEX:
        return _LATEX[character]
    if character.isascii() or _LETTERS.match(character):
        return character
    return f"{{[}}U+{ord(character):04X}{{]}}"


def _one_line(text: str) -> str:
    """Without line ends, which would end the cell, and without characters that control a terminal or text direction."""
    spaced = re.sub(r"\s+", " ", unicodedata.normalize("NFC", text))
    return "".join(each for each in spaced if unicodedata.category(each) not in ("Cc", "Cf", "Cs", "Co"))
