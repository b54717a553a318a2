"""Any text in a table of LaTeX or Markdown: it shows as it is, and commands nothing."""

import re
import unicodedata

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
"""Two of these in a row would be set as one other character."""
_MARKDOWN = re.compile(r"([\\`*_{}\[\]<>|~&$@]|:(?=//)|(?<=www)\.)")
_LETTERS = re.compile(r"[\u00c0-\u00d6\u00d8-\u00f6\u00f8-\u017f]")
"""Those of western and central Europe, which LaTeX knows in UTF-8 without a package for a script."""


def latex(text: str) -> str:
    """As LaTeX sets it, with any engine: what it has no letter for stands as `[U+1F600]`.

    `[` and `*` are in braces, since at the start of a row they would be an argument of the row's end before it.
    """
    line = _one_line(text)
    return "".join(_in_latex(each, following) for each, following in zip(line, [*line[1:], ""], strict=False))


def markdown(text: str) -> str:
    """As Markdown shows it in a cell of a table, or within a line: what could mean something has a backslash.

    What means something at the start of a line only stays, so that numbers can be read.
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
    """Without line ends, which would end the cell, and without what steers a terminal or the direction of text."""
    spaced = re.sub(r"\s+", " ", unicodedata.normalize("NFC", text))
    return "".join(each for each in spaced if unicodedata.category(each) not in ("Cc", "Cf", "Cs", "Co"))
