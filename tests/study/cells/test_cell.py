from ablate.study.cells.cell import Cell, described, short_titles


def test_a_cell_of_a_plan_file_is_the_cell_of_the_study_whatever_the_order_of_its_axes() -> None:
    assert Cell({"size": 1, "head": "none"}) == Cell({"head": "none", "size": 1.0})
    assert len({Cell({"size": 0.1}), Cell({"size": 0.10}), Cell({"size": 0.2})}) == 2


def test_cells_that_python_or_their_texts_would_confuse_are_different() -> None:
    cells = [Cell({"on": True}), Cell({"on": 1}), Cell({"on": "1"}), Cell({"on": "true"}), Cell({}, "on"), Cell({})]
    assert len(set(cells)) == len({cell.key for cell in cells}) == len(cells)


def test_a_key_is_canonical_json() -> None:
    assert Cell({"b": 2.0, "a": "\u00e9"}, "x").key == '["x",{"a":"\u00e9","b":2}]'


def test_a_cell_is_named_for_commands_and_for_pages() -> None:
    cell = Cell({"first": "crop", "flip": True, "rate": 0.1})
    assert (cell.label, cell.title()) == ("first=crop flip=true rate=0.1", "crop, true, 0.1")
    case = Cell({"evaluation": "linear"}, "untrained")
    assert (case.label, case.title("no training")) == ("untrained evaluation=linear", "no training, linear")
    assert [described("flip", value) for value in (True, False, 0.1, "a")] == ["flip", "not flip", "flip 0.1", "a"]


def test_a_short_title_is_what_tells_a_cell_apart() -> None:
    places = [("simclr", "lars", True, 0.1), ("simclr", "lars", False, 0.1), ("supervised", "sgd", True, 0.1)]
    names = ("method", "optimizer", "normalize", "temperature")
    cells = [Cell(dict(zip(names, place, strict=True))) for place in places]
    titles = ["long", "long", "long", "untrained encoder"]
    assert short_titles([*cells, Cell({}, "untrained")], titles) == [
        "simclr, normalize",
        "simclr, not normalize",
        "supervised, normalize",
        "untrained encoder",
    ]
    assert short_titles(cells[:1], ["long"]) == ["long"]
