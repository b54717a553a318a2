import re

import pytest

from ablate.report.render.text import latex, markdown, typeset

SPECIAL = r"\{}$&#_%^~<>|" + '"`'


@pytest.mark.parametrize("character", SPECIAL)
def test_no_character_that_commands_latex_stands_alone(character: str) -> None:
    written = latex(f"a{character}b")
    assert written != f"a{character}b"
    bare = re.sub(r"\\[a-zA-Z]+\{\}|\\[{}$&#_%]", "", written)
    assert not set(bare) & set(SPECIAL), written


def test_braces_of_latex_are_balanced_whatever_is_written() -> None:
    text = "".join(map(chr, (*range(32, 127), *range(0xA0, 0x180), 0x2013, 0x202E, 0x1F600)))
    unescaped = re.sub(r"\\[{}]", "", latex(text))
    depth = 0
    for character in unescaped:
        depth += {"{": 1, "}": -1}.get(character, 0)
        assert depth >= 0
    assert depth == 0


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("50 % of a_b", r"50 \% of a\_b"),
        ("[1.2, 5.0]", "{[}1.2, 5.0{]}"),  # after \\ it would be a length
        ("*", "{*}"),  # after \\ it would forbid a page break
        ("a--b", "a-{}-b"),
        ("1 \u2013 2", "1 -- 2"),
        ("''", "'{}'"),
        ("1.0 \u00b1 0.2", r"1.0 $\pm$ 0.2"),
        ("caf\u00e9", "caf\u00e9"),
        ("cafe\u0301", "caf\u00e9"),
        ("\U0001f600", "{[}U+1F600{]}"),
        ("\u4e2d", "{[}U+4E2D{]}"),
        ("right\u202eleft\u200f", "rightleft"),
        ("two\nlines\r\n\there", "two lines here"),
        (r"\input{x}", r"\textbackslash{}input\{x\}"),
        ("a % b \\end{table}", r"a \% b \textbackslash{}end\{table\}"),
        ("bell\x07 null\x00", "bell null"),
    ],
)
def test_text_shows_in_latex_as_it_is(text: str, written: str) -> None:
    assert latex(text) == written


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("a|b", r"a\|b"),
        ("<script>", r"\<script\>"),
        ("*x* _y_ `z`", r"\*x\* \_y\_ \`z\`"),
        ("[t](u)", r"\[t\](u)"),
        ("![t](u)", r"!\[t\](u)"),
        ("http://x.y", r"http\://x.y"),
        ("www.x.y", r"www\.x.y"),
        ("&lt; ~~x~~ $y$ @z", r"\&lt; \~\~x\~\~ \$y\$ \@z"),
        ("a\\|b", r"a\\\|b"),
        ("two\nlines", "two lines"),
        ("33.4 \u00b1 0.5", "33.4 \u00b1 0.5"),
    ],
)
def test_text_shows_in_markdown_as_it_is(text: str, written: str) -> None:
    assert markdown(text) == written


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("beats b by 3.2 points", "beats b by~3.2~points"),
        ("k = 12, m = -5", "k~=~12, m~=~\u22125"),
        ("65.4 % (5 seeds), rank 2 of 6", "65.4~% (5~seeds), rank 2 of~6"),
        ("crop + color \u2212 crop, adjusted p 0.03", "crop~+ color~\u2212 crop, adjusted p~0.03"),
        ("top-1 of resnet-50 at 1e-5, 9-10", "top-1 of resnet-50 at 1e-5, 9-10"),
        ("[-1.5, -0.2]", "[\u22121.5, \u22120.2]"),
        ("One seed per cell", "One seed per cell"),
    ],
)
def test_no_line_ends_between_a_number_and_its_unit_or_sign(text: str, written: str) -> None:
    assert typeset(text) == written.replace("~", "\u00a0")
