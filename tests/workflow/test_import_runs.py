"""Runs that were trained elsewhere become records, traced to their source, or are refused by name."""

import json
import re
from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path

import polars as pl
import pytest

from ablate.commands import imports
from ablate.errors import UserError
from ablate.judge.study import judge_study
from ablate.records.files import Results
from ablate.records.garbage import find_garbage
from ablate.records.import_trace import untraced
from ablate.records.runs import Columns
from ablate.records.sources import read_source
from ablate.records.store import open_store
from ablate.report.formats import write_report
from ablate.report.verify import verify
from ablate.run.options import PlanOptions, RunOptions
from ablate.study.load import load_study
from ablate.workflow.import_runs import Imported, import_runs, watch_sources
from ablate.workflow.run import plan_study, run_study

AXES = {"lr": "lr", "model": "model"}
HEAD = "lr,model,seed,accuracy\n"


def noise(lr: float, model: str, seed: int) -> float:
    return 0.001 * ((3 * seed + 2 * (model == "b") + int(10 * lr)) % 5)


def rows_of(seeds: int) -> list[str]:
    return [
        f"{lr},{model},{seed},{0.4 + lr + 0.01 * seed + noise(lr, model, seed)!r}"
        for lr in (0.1, 0.3)
        for model in ("a", "b")
        for seed in range(seeds)
    ]


ROWS = rows_of(3)
Import = Callable[..., Imported]


@pytest.fixture
def importing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Import:
    """Writes a CSV of rows below a head, and imports it; `more` are further columns, `columns` replaces them."""
    monkeypatch.chdir(tmp_path)

    def run(
        rows: list[str], head: str = HEAD, columns: Columns | None = None, name: str = "runs.csv", **more: object
    ) -> Imported:
        Path(name).write_text(head + "\n".join(rows) + "\n", encoding="utf-8")
        update = bool(more.pop("update", False))
        chosen = columns or Columns(AXES, ["accuracy"], "seed", **more)  # type: ignore[arg-type]
        return import_runs([Path(name)], "lr_study", chosen, Results(Path("results")), update, ["ablate", "import"])

    return run


def values() -> dict[tuple[object, ...], float]:
    """(lr, model, seed) -> the value in the store."""
    with open_store(Results(Path("results"))) as store:
        return {
            tuple(row[:3]): row[3] for row in store.execute("SELECT lr, model, seed, value FROM lr_study").fetchall()
        }


def expected(rows: list[str]) -> dict[tuple[object, ...], float]:
    cells = [row.split(",") for row in rows]
    return {(float(lr), model, int(seed)): float(value) for lr, model, seed, value in cells}


def test_the_runs_of_a_csv_are_records_equal_to_the_digit_in_whatever_order_they_stand(importing: Import) -> None:
    done = importing(ROWS[::-1])
    assert (done.new, done.written) == (12, True)
    assert values() == expected(ROWS)
    done = importing(ROWS)
    assert (done.new, done.unchanged, done.written) == (0, 12, False)


def test_a_study_that_is_named_by_a_path_is_written_as_toml_and_found_again(importing: Import) -> None:
    importing(ROWS)
    for expected in (True, False):
        columns = Columns(AXES if expected else {}, ["accuracy"] if expected else [], "seed")
        done = import_runs([Path("runs.csv")], "of/mine/lr_study", columns, Results(Path("results")))
        assert (done.study, done.written) == (Path("of/mine/lr_study.toml"), expected)


def test_every_record_names_the_file_its_hash_and_the_row(importing: Import) -> None:
    importing(ROWS)
    with open_store(Results(Path("results"))) as store:
        rows = store.execute("SELECT environment FROM attempts JOIN lr_study USING (key) ORDER BY lr, model, seed")
        facts = [json.loads(text) for (text,) in rows.fetchall()]
    assert [each["source_place"] for each in facts] == [f"row {number}" for number in range(1, 13)]
    assert {each["imported_from"] for each in facts} == {str(Path("runs.csv").absolute())}
    assert len({each["source_sha256"] for each in facts}) == 1


def test_tsv_json_lines_and_parquet_give_the_same_records_as_csv(importing: Import) -> None:
    frame = pl.DataFrame([{"lr": lr, "model": model, "seed": seed, "accuracy": value}
                          for (lr, model, seed), value in expected(ROWS).items()])  # fmt: skip
    importing(ROWS)
    frame.write_csv("runs.tsv", separator="\t")
    frame.write_ndjson("runs.jsonl")
    frame.write_parquet("runs.parquet")
    columns, results = Columns({}, [], "seed"), Results(Path("results"))
    for name in ("runs.tsv", "runs.jsonl", "runs.parquet"):
        assert import_runs([Path(name)], "lr_study", columns, results).unchanged == 12, name


def test_epochs_in_json_lines_are_joined_to_the_runs_of_a_csv_and_become_curves(importing: Import) -> None:
    rows = [f"r{number},{row}" for number, row in enumerate(ROWS)]
    lines = [
        {"run": f"r{run}", "epoch": epoch, "loss": 1 / (1 + run + epoch)} for epoch in range(4) for run in range(12)
    ]
    Path("curves.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    Path("runs.csv").write_text("run," + HEAD + "\n".join(rows) + "\n")
    columns = Columns(AXES, ["accuracy"], "seed", run="run", step="epoch")
    import_runs([Path("runs.csv"), Path("curves.jsonl")], "lr_study", columns, Results(Path("results")))
    assert values() == expected(ROWS)
    with open_store(Results(Path("results"))) as store:
        curve = store.execute("""SELECT epoch, metrics.value FROM metrics JOIN lr_study USING (key)
            WHERE name = 'loss' AND lr = 0.1 AND model = 'a' AND seed = 2 ORDER BY epoch""").fetchall()  # fmt: skip
        assert curve == [(float(epoch), 1 / (3 + epoch)) for epoch in range(4)]
        assert store.execute("SELECT loss FROM lr_study WHERE lr = 0.1 AND model = 'a' AND seed = 2").fetchall() == [
            (1 / 6,)
        ]


@pytest.mark.parametrize(
    ("rows", "head", "more", "says", "help"),
    [
        ([*ROWS, "0.1,a,2,0.9"], HEAD, {}, "2 rows are of the same run (0.1, a, 2): row 3, row 13",
         "remove one"),
        ([*ROWS[:-1], "0.3,b,2,nan"], HEAD, {}, "a run has no finite 'accuracy': row 12", "--nan-failed"),
        ([*ROWS[:-1], "0.3,b,2,"], HEAD, {}, "a run has no finite 'accuracy': row 12", "--nan-failed"),
        ([*ROWS[:-1], "0.3,b,2,inf"], HEAD, {}, "a run has no finite 'accuracy': row 12", "--nan-failed"),
        ([*ROWS[:-1], "0.3,b,2,1e308"], HEAD, {}, "a run has no finite 'accuracy': row 12", "--nan-failed"),
        ([*ROWS[:-1], "0.3,b,2,71 %"], HEAD, {}, "accuracy: '71 %' is not a number (row 12)", "without units"),
        (["high,a,0,0.7", *ROWS[:-1], "0.30,b,2,0.7"], HEAD, {},
         "the axis 'lr' is text, and has one value twice: '0.3' and '0.30'", "spell it alike"),
        (["0.1,caf\u00e9,0,0.7", *ROWS[:-1], "0.3,cafe\u0301,2,0.7"], HEAD, {},
         r"the axis 'model' is text, and has one value twice: 'caf\xe9' and 'cafe\u0301'", "spell it alike in 'model'"),
        ([*ROWS, "0.5,c,0,0.7,9"], HEAD, {}, "line 14 has 5 values, and the first line 4", ""),
        ([*ROWS, '0.5,"c,0,0.7'], HEAD, {}, "line 14: unexpected end of data", ""),
        ([*ROWS[:-1], ",b,2,0.7"], HEAD, {}, "a run has no finite value of the axis 'lr': row 12", "'lr'"),
        ([*ROWS[:-1], "0.3,b,1.5,0.7"], HEAD, {}, "a run has no seed from 0 to 2,147,483,647 in the column", "row 12"),
        ([*ROWS[:-1], "0.3,b,-1,0.7"], HEAD, {}, "in the column 'seed': row 12", "seed"),
        ([*ROWS[:-1], "0.3,b,x,0.7"], HEAD, {}, "--seed seed: 'x' is not a number (row 12)", "whole numbers"),
        (["True,a,0,0.7", *ROWS[:-1], "true,b,2,0.7"], HEAD, {}, "has one value twice: 'True' and 'true'", ""),
        ([f"{row},{n % 2}" for n, row in enumerate(ROWS)], HEAD.replace("\n", ",amp\n"), {},
         "a column varies and is not an axis: 'amp' (2 values, such as 0, 1)", "--ignore 'amp'"),
        ([f"{row},{row[:3]}" for row in ROWS], HEAD.replace("\n", ",wd\n"), {},
         "'wd' (2 values, such as 0.1, 0.3, always together with the axis 'lr')", "--ignore 'wd'"),
        (ROWS, HEAD.replace("seed", "episode"), {"seed": "episode"},
         "--seed episode: episodes, steps and checkpoints", "--seeds-are-runs"),
        ([f"{row},r{n // 3}" for n, row in enumerate(ROWS)], HEAD.replace("\n", ",run_id\n"), {},
         "3 seeds share one 'run_id', 'r0': row 1, row 2, row 3", "--seeds-are-runs"),
        ([f"{row},{n}" for n, row in enumerate([*ROWS, *ROWS])], HEAD.replace("\n", ",epoch\n"), {},
         "2 rows are of the same run (0.1, a, 0): row 1, row 13", "--step 'epoch'"),
        (ROWS, HEAD.replace("seed", "sead"), {}, "there is no column 'seed'; did you mean 'sead'?", "columns are: lr"),
        (ROWS, HEAD.replace("seed", "sead"), {"seed": None}, "3 rows are of the same run (0.1, a)", "--seed"),
        (ROWS, HEAD.replace("model", "lr"), {}, "runs.csv has two columns 'lr'", "rename"),
    ],
)  # fmt: skip
def test_what_would_make_a_comparison_wrong_is_named_and_refused(
    importing: Import, rows: list[str], head: str, more: dict[str, object], says: str, help: str
) -> None:
    columns = Columns(AXES, ["accuracy"], more.get("seed", "seed"))  # type: ignore[arg-type]
    with pytest.raises(UserError) as error:
        importing(rows, head, columns)
    assert says in str(error.value)
    assert help in str(error.value)
    assert not Path("studies").exists()
    assert not Path("results").exists()


@pytest.mark.parametrize(
    "change",
    [
        lambda text: text.encode("utf-16"),  # "Unicode text" of Excel
        lambda text: text.encode("utf-8-sig").replace(b"\n", b"\r\n"),
        lambda text: text.encode().replace(b"\n", b"\r"),
        lambda text: text.replace(",", ";").encode() + b";;;\n;;;\n",  # empty rows of Excel
        lambda text: text.replace("model", '"model"').replace("b", '"b"').encode(),
    ],
)
def test_a_csv_in_any_form_that_spreadsheets_write_is_the_same_table(
    importing: Import, change: Callable[[str], bytes]
) -> None:
    importing(ROWS)
    Path("other.csv").write_bytes(change(HEAD + "\n".join(ROWS) + "\n"))
    columns = Columns({}, [], "seed")
    assert import_runs([Path("other.csv")], "lr_study", columns, Results(Path("results"))).unchanged == 12


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("runs.csv", "lr,modèl\n0.1,é\n".encode("latin-1"), "runs.csv cannot be read: line 1 is not UTF-8"),
        ("runs.parquet", b"PAR1 and no more", "runs.parquet cannot be read: parquet: File out of specification"),
        ("runs.json", b'[{}, {"a.lr": 1, "a": {"lr": 2}}]', "runs.json, row 2, has two values named 'a.lr'"),
        ("runs.jsonl", b'{"lr": 1}\n{"lr": 1, "lr": 2}', "runs.jsonl, line 2, has two values named 'lr'"),
        ("runs.json", b'[{"a": {"lr": 1, "lr": 2}}]', "runs.json has two values named 'lr'"),
        ("runs.jsonl", b'{"lr": ' + b"[" * 100_000, "runs.jsonl, line 1, is not valid JSON"),
        ("runs.jsonl", b'{"file": "\\ud800"}', "runs.jsonl, line 1, is not valid JSON"),
        ("runs.json", b'[{"\\udce9": 1}]', "runs.json is not valid JSON"),
        ("runs.json", b'{"a": ' * 900 + b"1" + b"}" * 900, "runs.json is not valid JSON"),
        ("runs.jsonl", b'{"a.lr": 1, "a": {"lr": 2}}', "runs.jsonl has two columns 'a.lr'"),
        ("runs.jsonl", b'{"a.lr": 1, "a": {"lr": 2}}\n{"a": NaN}', "runs.jsonl, line 1, has two values named 'a.lr'"),
    ],
)
def test_a_table_that_cannot_be_read_is_named(name: str, content: bytes, says: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UserError, match=re.escape(says)):
        read_source(tmp_path / name)


@pytest.mark.parametrize("values", [("001", "1"), ("1_000", "1000"), ("inf", "Infinity")])
def test_identifiers_that_look_alike_as_numbers_are_values_of_their_own(
    importing: Import, values: tuple[str, str]
) -> None:
    names = ("a", *values)
    assert importing([f"0.1,{name},{seed},0.7" for name in names for seed in range(3)]).new == 9


def test_a_run_that_ends_before_another_seed_of_its_cell_is_named(
    importing: Import, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [f"r{number},{row},{at}" for number, row in enumerate(ROWS) for at in range(9 if number == 7 else 10)]
    columns = Columns(AXES, ["accuracy"], "seed", run="run", step="epoch")
    done = importing(rows, "run," + HEAD.replace("\n", ",epoch\n"), columns)
    assert done.ends == (8, 9)
    imports._print(done)
    where = f"{Path('runs.csv')}, row 79, ends at step 8, and another seed of its cell at 9"
    assert f"warning: {where}; if it was cut short, leave it out" in capsys.readouterr().out
    assert importing(ROWS).ends == ()


def test_cells_whose_runs_are_longer_by_design_cause_no_warning(importing: Import) -> None:
    rows = [f"{most},{seed},0.{most}{seed},{at}" for most in (2, 4) for seed in (0, 1) for at in range(most)]
    done = importing(
        rows, "epochs,seed,accuracy,epoch\n", Columns({"epochs": "epochs"}, ["accuracy"], "seed", step="epoch")
    )
    assert (done.ends, done.shorter) == ((1, 3), None)


@pytest.mark.parametrize("step", ["2k", "nan"])
def test_a_step_that_is_not_a_number_does_not_make_its_row_the_end_of_the_run(importing: Import, step: str) -> None:
    rows = [f"r{number},{row},{at}" for number, row in enumerate(ROWS) for at in (1, step if number == 7 else 2, 3)]
    columns = Columns(AXES, ["accuracy"], "seed", run="run", step="epoch")
    with pytest.raises(UserError, match=f"runs.csv, row 23: the step epoch = '?{step}'? is not a finite number"):
        importing(rows, "run," + HEAD.replace("\n", ",epoch\n"), columns)


def test_whole_numbers_above_64_bits_are_values_of_their_own_and_results(importing: Import) -> None:
    large = (2**64, 2**64 + 1)
    rows = [f"{lr},{name},{seed},{10**20 * name}" for lr in (1, 2) for name in large for seed in range(3)]
    assert importing(rows).new == 12
    assert {(name, value) for (_, name, _), value in values().items()} == {
        (str(each), float(10**20 * each)) for each in large
    }


def test_a_number_of_32_bits_is_the_one_that_was_written_and_odd_columns_are_text(importing: Import) -> None:
    rows = [{"lr": lr, "seed": 0, "accuracy": 0.7, "blob": b"\xff", "took": timedelta(1), "days": [date(2026, 1, 1)]}
            for lr in (0.1, 0.003)]  # fmt: skip
    pl.DataFrame(rows, schema_overrides={"lr": pl.Float32}).write_parquet("odd.parquet")
    done = import_runs([Path("odd.parquet")], "odd", Columns({"lr": "lr"}, ["accuracy"], "seed"), Results(Path("r")))
    assert sorted(load_study("odd").study.all_axes["lr"].names) == [0.003, 0.1]  # type: ignore[type-var]
    assert done.new == 2


@pytest.mark.parametrize(
    ("models", "expected"),
    [
        (("3.9", "3.10", "3.11"), {"3.9", "3.10", "3.11"}),
        (("0.5", "0.25", "0.10"), {0.5, 0.25, 0.1}),
        (("1.50", "2.25"), {1.5, 2.25}),
        (("0.5", "1.25", "1.50"), {0.5, 1.25, 1.5}),
        (("76.5", "77.10"), {76.5, 77.1}),
    ],
)
def test_versions_are_texts_and_padded_numbers_are_numbers(
    importing: Import, models: tuple[str, ...], expected: set[object]
) -> None:
    """A result with such texts is a number all the same; 1.1 and 1.10 would be one cell as numbers."""
    with pytest.raises(UserError, match=r"one value twice: '1\.1' and '1\.10'"):
        importing(["1,1.1,0,5", "1,1.10,0,5", "2,1.1,1,5", "2,1.10,1,5"])
    rows = [f"{lr},{model},{seed},{accuracy}" for lr, accuracy in ((1, "7.10"), (2, "8.5"))
            for model in models for seed in range(2)]  # fmt: skip
    assert importing(rows).new == len(rows)
    assert set(load_study("lr_study").study.all_axes["model"].names) == expected
    assert {(lr, value) for (lr, _, _), value in values().items()} == {(1, 7.1), (2, 8.5)}


def test_studies_with_the_same_axes_have_runs_of_their_own(importing: Import) -> None:
    """Their records were one, and `--update`, which the message advised, replaced those of the first study."""
    importing(ROWS)
    Path("others.csv").write_text(HEAD.replace("accuracy", "loss") + "\n".join(ROWS) + "\n")
    columns, results = Columns(AXES, ["loss"], "seed"), Results(Path("results"))
    assert import_runs([Path("others.csv")], "others", columns, results).new == 12
    for name in ("lr_study", "others"):
        path = Path(f"studies/{name}.toml")
        path.write_text(re.sub("settings.ablate_study = .*", "", path.read_text()))
    assert import_runs([Path("runs.csv")], "lr_study", Columns({}, [], "seed"), results).new == 12
    with pytest.raises(UserError, match="is a run of the study 'lr_study' with another result"):
        import_runs([Path("others.csv")], "others", Columns({}, [], "seed"), results, update=True)
    assert values() == expected(ROWS)


def test_a_column_that_is_said_to_be_a_result_or_not_to_matter_does_not_stop_an_import(importing: Import) -> None:
    rows = [f"{row},{n},{n % 2}" for n, row in enumerate(ROWS)]
    head = HEAD.replace("\n", ",sys/time,amp\n")
    done = importing(rows, head, Columns(AXES, ["accuracy", "sys/*"], "seed", ignored=["am*"]))
    assert done.ignored == ("amp",)
    with open_store(Results(Path("results"))) as store:
        assert store.execute('SELECT "sys/time" FROM lr_study ORDER BY lr, model, seed').fetchall() == [
            (n,) for n in range(12)
        ]


def test_a_run_without_a_result_counts_as_failed_if_asked(importing: Import) -> None:
    assert importing([*ROWS[:-1], "0.3,b,2,nan"], nan_failed=True).failed == 1
    with open_store(Results(Path("results"))) as store:
        assert store.execute("SELECT state, cause FROM trials WHERE state <> 'done'").fetchall() == [
            ("failed", "diverged")
        ]


def test_later_runs_are_checked_against_the_study(importing: Import) -> None:
    importing([f"{row},90" for row in ROWS], HEAD.replace("\n", ",epochs\n"))
    with pytest.raises(UserError, match=r"epochs is 100 in these runs, but 90 in studies/lr_study.toml"):
        importing(["0.1,a,7,0.7,100"], HEAD.replace("\n", ",epochs\n"))
    with pytest.raises(UserError, match=r"row 1: lr = 0.5 is not a value of the axis"):
        importing(["0.5,a,7,0.7"])
    with pytest.raises(UserError, match=r"no column for the axis 'model'"):
        importing(["0.1,7,0.7"], "lr,seed,accuracy\n", Columns({}, [], "seed"))
    with pytest.raises(
        UserError, match=r"lr=0.1 model=a seed=0 has a record with accuracy 0.50[01]+, and runs.csv has 0"
    ):
        importing(["0.1,a,0,0.25"])
    assert values()[0.1, "a", 0] == expected(ROWS)[0.1, "a", 0]
    assert importing(["0.1,a,0,0.25", "0.1,a,7,0.6"], update=True).changed == 1
    assert values()[0.1, "a", 0] == 0.25
    assert values()[0.1, "a", 7] == 0.6


def test_an_imported_study_is_judged_but_never_trained_and_never_garbage(importing: Import) -> None:
    importing(rows_of(6))
    file, results = Path("studies/lr_study.toml"), Results(Path("results"))
    text = file.read_text()
    claims = text.partition("examples.\n")[2].replace("#\n", "").replace("# ", "")
    file.write_text(text + claims)
    assert importing(rows_of(6)).unchanged == 24
    verdicts = judge_study(results, "lr_study").verdicts
    assert [verdict.state for verdict in verdicts] == [
        "supported",
        "undecided",
    ]  # lr matters by 0.2, the model by noise
    with pytest.raises(UserError, match="'lr_study' has imported runs and no trainer, so nothing can be trained"):
        run_study("lr_study", PlanOptions(), RunOptions(), results)
    importing(["0.1,a,9,0.7"])
    file.write_text(text.replace("[0.1, 0.3]", "[0.1, 0.3, 0.5]"))
    importing(["0.5,a,9,0.7"])
    assert find_garbage(results, now=4e9, recent=True, abandoned=True) == []


def test_watching_imports_runs_as_they_arrive(importing: Import, capsys: pytest.CaptureFixture[str]) -> None:
    shown: list[Imported] = []
    Path("runs.csv").write_text(HEAD + ROWS[0] + "\n")
    polls = iter([ROWS[:2], [*ROWS[:2], "0.1,a"], ROWS[:5]])

    def sleep(seconds: float) -> None:
        if (rows := next(polls, None)) is None:
            raise KeyboardInterrupt
        Path("runs.csv").write_text(HEAD + "\n".join(rows) + "\n")

    columns = Columns(AXES, ["accuracy"], "seed")
    watch_sources([Path("runs.csv")], "lr_study", columns, Results(Path("results")), shown.append, sleep)
    assert [each.new for each in shown] == [1, 1]
    assert "row 3" in capsys.readouterr().err


def test_verify_traces_the_numbers_of_a_page_to_the_rows_of_the_source(importing: Import) -> None:
    importing(ROWS)
    results = Results(Path("results"))
    page = write_report(results, "lr_study", None, Path("reports"))
    text = " ".join(page.read_text().split())
    assert str(Path("runs.csv").absolute()) in text
    assert verify(page, None).same
    Path("runs.csv").write_text(HEAD + "\n".join([*ROWS, "0.1,c,0,0.5"]) + "\n")  # another file, with the same rows
    assert verify(page, None).same
    Path("runs.csv").write_text(HEAD + "\n".join(["0.1,a,0,0.25", *ROWS[1:-1]]) + "\n")
    news = verify(page, None).news
    assert [sentence.partition("runs.csv ")[2][:30] for sentence in news] == [
        "has accuracy 0.25 at row 1, an",
        "has no accuracy at row 12 any ",
    ]
    Path("runs.csv").unlink()
    assert "12 results cannot be traced to their source" in verify(page, None).news[0]


def test_rows_of_several_files_are_named_by_file_and_a_column_has_one_meaning(importing: Import) -> None:
    Path("A.CSV").write_text(HEAD + ROWS[0] + "\n")
    Path("b.json").write_text(json.dumps([{"lr": 0.1, "model": "a", "seed": 0, "accuracy": 0.5}]))
    columns, results = Columns(AXES, ["accuracy"], "seed"), Results(Path("results"))
    with pytest.raises(UserError, match=r"2 rows are of the same run \(0.1, a, 0\): A.CSV, row 1, b.json, row 1"):
        import_runs([Path("A.CSV"), Path("b.json")], "lr_study", columns, results)
    with pytest.raises(UserError, match="the column 'lr' is both --axis lr and --metric"):
        importing(ROWS, columns=Columns(AXES, ["lr"], "seed"))
    Path("b.json").write_text(json.dumps([{"lr": 0.3, "model": "a", "seed": 0, "accuracy": 0.5}]))
    assert import_runs([Path("A.CSV"), Path("b.json")], "lr_study", columns, results).new == 2
    with open_store(results) as store:
        keys = [key for (key,) in store.execute("SELECT key FROM lr_study").fetchall()]
    assert untraced(results, keys) == []


def test_runs_imported_into_a_study_with_a_trainer_are_trials_of_that_trainer(importing: Import) -> None:
    file = Path("studies/lr_study.toml")
    file.parent.mkdir()
    axis = 'lr = { setting = "loss.temperature", values = [0.1, 0.3, 0.5] }'
    file.write_text(f'name = "lr_study"\ntitle = "t"\nquestion = "q"\n[axes]\n{axis}\n')
    done = importing(["0.1,0,61.5", "0.3,0,62.5"], "lr,seed,top1\n", Columns({}, [], "seed"))
    assert (done.new, done.written) == (2, False)
    plan = plan_study("lr_study", PlanOptions(), Results(Path("results")))
    assert plan.counts == {"done": 2, "new": 1}


CONDITIONAL = """name = "lr_study"
title = "t"
question = "q"
trainer = "imported"
metric = "accuracy"
base.settings.lr = 0.2
[axes]
opt = { setting = "settings.opt", values = ["sgd", "adam"] }
beta = { setting = "settings.beta", values = [0.8, 0.9], when = "opt == 'adam'" }
lr = { setting = "settings.lr", values = [0.1, 0.3] }
[[cases]]
name = "untrained"
label = "untrained encoder"
set.settings.epochs = 0
"""
OF_CASES = "opt,beta,lr,case,seed,accuracy\n"
FROM_FILE = Columns({}, [], "seed")


def conditional_study(more: str = "") -> None:
    Path("studies").mkdir(exist_ok=True)
    Path("studies/lr_study.toml").write_text(CONDITIONAL + more)


def test_cases_and_axes_that_not_all_cells_have_are_matched_to_rows(importing: Import) -> None:
    conditional_study()
    rows = [
        "sgd,,0.1,,0,0.5",
        "adam,0.8,0.1,,0,0.6",
        "adam,0.9,0.3,,0,0.7",
        ",,,untrained,0,0.1",
        ",,0.2,untrained encoder,1,0.2",
    ]
    assert importing(rows, OF_CASES, FROM_FILE).new == 5
    with open_store(Results(Path("results"))) as store:
        found = store.execute('SELECT opt, beta, lr, "case", seed, value FROM lr_study ORDER BY value').fetchall()
    assert found == [
        (None, None, None, "untrained", 0, 0.1), (None, None, None, "untrained", 1, 0.2),
        ("sgd", None, 0.1, None, 0, 0.5), ("adam", 0.8, 0.1, None, 0, 0.6), ("adam", 0.9, 0.3, None, 0, 0.7),
    ]  # fmt: skip
    renamed = Columns({"case": "variant"}, [], "seed")
    assert importing(rows, OF_CASES.replace("case", "variant"), renamed).unchanged == 5
    assert verify(write_report(Results(Path("results")), "lr_study", None, Path("reports")), None).same


@pytest.mark.parametrize(
    ("rows", "says", "help"),
    [
        (["adam,,0.1,,0,0.5"], "runs.csv, row 1: opt=adam lr=0.1 is not a cell", "no value of 'beta', which the study"),
        (["sgd,0.8,0.1,,0,0.5"], "row 1: beta is 0.8, but opt=sgd lr=0.1 has no such setting", "leave the value empty"),
        ([",,0.1,untrained,0,0.5"], "row 1: lr is 0.1, but untrained has settings.lr = 0.2", "leave the value empty"),
        ([",,,untraned,0,0.5"], "'untraned' is not a case of studies/lr_study.toml; did you", "cases are: untrained"),
        ([",,,untrained,0,0.5", ",,,untrained encoder,0,0.6"],
         "cell and seed: runs.csv, row 1 and runs.csv, row 2", "keep one"),
        (["sgd,,,,0,0.5"], "a run has no finite value of the axis 'lr': row 1", "fill in"),
    ],
)  # fmt: skip
def test_a_row_that_is_no_cell_is_refused_with_the_reason(
    importing: Import, rows: list[str], says: str, help: str
) -> None:
    conditional_study()
    with pytest.raises(UserError) as error:
        importing(rows, OF_CASES, FROM_FILE)
    assert says in str(error.value)
    assert help in str(error.value)
    assert not Path("results").exists()


def test_a_case_with_another_setting_than_all_runs_is_refused(importing: Import) -> None:
    conditional_study()
    rows = ["sgd,,0.1,,0,0.5,100", ",,,untrained,0,0.1,100"]
    with pytest.raises(UserError, match="epochs is 100 in these runs, but 0 in"):
        importing(rows, OF_CASES.replace("accuracy", "accuracy,epochs"), FROM_FILE)


WITH_EPOCHS = CONDITIONAL.replace("base.settings.lr = 0.2", "base.settings = { lr = 0.2, epochs = 100 }")
OF_EPOCHS = OF_CASES.replace("accuracy", "accuracy,epochs")


def test_a_column_that_differs_because_a_case_sets_it_is_compared_run_by_run(importing: Import) -> None:
    Path("studies").mkdir(exist_ok=True)
    Path("studies/lr_study.toml").write_text(WITH_EPOCHS)
    good = ["sgd,,0.1,,0,0.5,100", "adam,0.8,0.3,,0,0.6,100", ",,,untrained,0,0.1,0"]
    for row, says in (
        ("sgd,,0.3,,0,0.5,50", "row 4: epochs is 50, but opt=sgd lr=0.3 has settings.epochs = 100"),
        (",,,untrained,1,0.1,100", "row 4: epochs is 100, but untrained has settings.epochs = 0"),
        (",,,untrained,1,0.1,", "row 4: epochs is missing, but untrained has settings.epochs = 0"),
    ):
        with pytest.raises(UserError, match=re.escape(says)) as error:
            importing([*good, row], OF_EPOCHS, FROM_FILE)
        assert "--ignore" in str(error.value)
    conditional_study()
    with pytest.raises(
        UserError, match=re.escape("row 1: epochs is 100, but opt=sgd lr=0.1 has no such setting")
    ) as error:
        importing(good, OF_EPOCHS, FROM_FILE)
    assert "if all cells share it, add it to [base] of studies/lr_study.toml" in str(error.value)
    Path("studies/lr_study.toml").write_text(WITH_EPOCHS)
    assert importing(good, OF_EPOCHS, FROM_FILE).new == 3
    with pytest.raises(UserError, match="a column varies and is not an axis: 'minutes'"):
        importing(["sgd,,0.1,,0,0.5,1", ",,,untrained,0,0.1,2"], OF_CASES.replace("y", "y,minutes", 1), FROM_FILE)


@pytest.mark.parametrize(
    "table", ["evaluate.linear]\nparts = []", 'tune]\nmetric = "m"\nsettings = { "settings.wd" = [0.1, 0.2] }']
)
def test_a_study_with_several_results_or_stages_of_a_run_is_refused(importing: Import, table: str) -> None:
    conditional_study(f"[{table}\n")
    with pytest.raises(UserError, match=rf"has \[{table.split(']')[0].split('.')[0]}\].*does not read"):
        importing(["sgd,,0.1,,0,0.5"], OF_CASES, FROM_FILE)
