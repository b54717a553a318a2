"""A text of any length leaves a page readable: it is cut, and whole in the records and exports."""

from pathlib import Path

from ablate.records.files import Results
from ablate.report.formats import write_formats
from ablate.report.reading import read_study
from tests.records.by_hand import key_of, write_plan, write_trial

LONG = "longtext" * 2_000


def test_no_long_text_goes_whole_into_a_page_or_a_table(tmp_path: Path) -> None:
    results, (done, failed) = Results(tmp_path), map(key_of, (1, 2))
    environment = {"host": LONG, "code": LONG, "packages": {LONG: LONG}, "device": LONG}
    config = {"seed": 0, "text": LONG, "part": {LONG: LONG}}
    write_trial(results, done, numbers={"top1": 1.0, "note": LONG, LONG: 2.0}, config=config, environment=environment)
    write_trial(results, failed, "failed", "exception", LONG, config=config)
    write_plan(results, {done: {"text": f"{LONG}1"}, failed: {"text": f"{LONG}2"}})
    reading = read_study(results, "mine", None)
    written = write_formats(results, reading, tmp_path, ["html", "md", "latex"], with_pictures=False)
    texts = [(path.name, path.read_text()) for path in written]
    assert [(name, text[text.index(LONG) - 200 :][:200]) for name, text in texts if LONG in text] == []
