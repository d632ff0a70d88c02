"""Tables of text as programs write them: each is read with the right numbers, or named."""

import numpy as np
import pytest
import torch

from denoising_diffusion.config import NONE
from denoising_diffusion.data import load_dataset, read_points, whole
from denoising_diffusion.data import rows as rows_module
from denoising_diffusion.data.classes import classes_of
from denoising_diffusion.data.split import split_classes, split_validation
from denoising_diffusion.data.table import read_table

VALUES = np.random.default_rng(0).normal([3, -20], [1, 9], (12, 2)).round(3)


def text(values=VALUES, delimiter=",", comma=False, end="\n"):
    rows = [delimiter.join(repr(float(v)) for v in row) for row in values]
    body = "".join(row + end for row in rows)
    return body.replace(".", ",") if comma else body


def stored(tmp_path, content, name="a.csv"):
    file = tmp_path / name
    file.write_bytes(content if isinstance(content, bytes) else content.encode())
    return file


def read(tmp_path, content, **options):
    return read_table(stored(tmp_path, content), **options)


@pytest.mark.parametrize("header", [True, False])
@pytest.mark.parametrize("comma", [False, True])
@pytest.mark.parametrize(
    ("delimiter", "told"),
    [(",", "','"), (";", "';'"), ("\t", "tab"), ("|", "'|'"), (" ", "white space"), (" ; ", "';'")],
)
def test_delimiter_and_decimal_sign_are_told(tmp_path, delimiter, told, comma, header):
    if comma and delimiter == ",":
        body = text(VALUES, '","', comma).replace("\n", '"\n"')
        body = '"' + body[:-1]
    else:
        body = text(VALUES, delimiter, comma)
    names = f"width{delimiter}height\n" if header else ""
    table = read(tmp_path, names + body)
    np.testing.assert_array_equal(table.values, VALUES)
    assert table.columns == (("width", "height") if header else ("x", "y"))
    told = f"delimiter {told}" + (", decimal comma" if comma else "")
    assert table.notes == (() if delimiter == "," and not comma else (told,))


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|", " "])
def test_whole_numbers_have_a_delimiter_too(tmp_path, delimiter):
    values = np.arange(36).reshape(12, 3) % 7
    body = "".join(delimiter.join(map(str, row)) + "\n" for row in values)
    np.testing.assert_array_equal(read(tmp_path, body).values, values)


@pytest.mark.parametrize(
    ("encoding", "mark", "note"),
    [
        ("utf-8", b"", ()),
        ("utf-8-sig", b"", ()),
        ("latin-1", b"", ("encoding latin-1 (Windows-1252), as it is no UTF-8",)),
        ("utf-16", b"", ("encoding utf-16",)),
        ("utf-16-be", b"\xfe\xff", ("encoding utf-16",)),
        ("utf-32", b"", ("encoding utf-32",)),
    ],
)
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r", "\n\n"])
def test_encodings_and_ends_of_lines(tmp_path, encoding, mark, note, end):
    content = mark + (f"Länge,Höhe{end}" + text(end=end)).encode(encoding)
    table = read(tmp_path, content)
    np.testing.assert_array_equal(table.values, VALUES)
    assert table.columns == ("Länge", "Höhe")
    assert table.notes == note


def numbered(begin=0, order=None, name="", delimiter=","):
    order = range(begin, begin + 12) if order is None else order
    lines = text(delimiter=delimiter).splitlines()
    rows = [f"{i}{delimiter}{line}\n" for i, line in zip(order, lines, strict=True)]
    return f"{name}{delimiter}x{delimiter}y\n" + "".join(rows)


@pytest.mark.parametrize(
    "content",
    [
        numbered(),
        numbered(1),
        numbered(delimiter=";"),
        numbered(order=[5, 3, 17, 0, 1, 2, 4, 99, 6, 7, 8, 9]),  # rows mixed or left out since
        numbered(name="Unnamed: 0"),
        numbered(name="index"),
        numbered(1, name="id"),
        numbered(name='""'),
        numbered().replace(",x,y", ",0,1", 1),  # pandas, where the columns have no names
    ],
)
def test_row_numbers_are_dropped_and_said(tmp_path, content):
    table = read(tmp_path, content)
    np.testing.assert_array_equal(table.values, VALUES)
    assert table.columns in (("x", "y"), ("0", "1"))
    assert any(note.startswith("column 1") and "row numbers" in note for note in table.notes)


@pytest.mark.parametrize("name", ["id", "index", "t"])
def test_a_named_column_that_does_not_count_rows_is_kept(tmp_path, name):
    order = list(range(12)) if name == "t" else [0, 0, *range(2, 12)]
    table = read(tmp_path, numbered(order=order, name=name))
    assert table.columns == (name, "x", "y")
    np.testing.assert_array_equal(table.values, np.c_[order, VALUES])


def test_without_a_header_nothing_is_dropped(tmp_path):
    table = read(tmp_path, numbered().partition("\n")[2])
    assert table.values.shape == (12, 3)
    assert table.columns == ("x", "y", "z")
    assert read(tmp_path, text(np.ones((12, 4)))).columns == ("x1", "x2", "x3", "x4")


@pytest.mark.parametrize(
    ("content", "columns"),
    [
        ('"a b","c, ""d"""\n' + text(), ("a b", 'c, "d"')),
        ("a,b,\n" + text(end=",\n"), ("a", "b")),  # a delimiter at the end of every line
        (text(end=",\n"), ("x", "y")),
        ("a, b\n" + text(delimiter=", "), ("a", "b")),
        ("  a  b \n" + text(delimiter="   "), ("a", "b")),
        ("a,b\n\n , \n" + text(), ("a", "b")),
        ("# made today\na,b\n" + text(), ("a", "b")),
        ("# a,b\n" + text(), ("a", "b")),  # numpy.savetxt(header="a,b")
        ("# one, two, three\n" + text(), ("x", "y")),
        ("a,b\n" + text() + "# the end\n", ("a", "b")),
        ("a,b\n" + text() + "\x1a", ("a", "b")),
        ("sep=;\r\na;b\r\n" + text(delimiter=";", end="\r\n"), ("a", "b")),  # for Excel
        ('"SEP=\t"\n' + text(delimiter="\t"), ("x", "y")),
    ],
)
def test_headers_quotes_comments_and_blanks(tmp_path, content, columns):
    table = read(tmp_path, content)
    np.testing.assert_array_equal(table.values, VALUES)
    assert table.columns == columns
    assert any("#" in note for note in table.notes) == ("#" in content)


def test_one_column(tmp_path):
    column = VALUES[:, :1]
    for content in (text(column), "a\n" + text(column), "a\r\n" + text(column, end="\r\n")):
        np.testing.assert_array_equal(read(tmp_path, content).values, column)


def test_a_first_row_of_whole_numbers_is_said_to_be_data(tmp_path):
    table = read(tmp_path, "2019,2020\n" + text())
    assert len(table.values) == 13
    assert table.notes == (
        "line 1, 2019, 2020, is read as numbers, not as names of columns",
    )  # fmt: skip


LINES = text().splitlines()


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("x,y,z\n" + text(), "ragged, the header in line 1 names 3 columns, but line 2 has 2"),
        ("x\n" + text(), "ragged, the header in line 1 names 1 columns, but line 2 has 2"),
        ("x\n1,5\n2,5\n", "ragged, the header in line 1 names 1 columns, but line 2 has 2"),
        ("x,y\n\n" + text() + "1\n", "ragged, line 15 has 1 columns, not 2"),
        (text() + "1,2,3\n", "ragged, line 13 has 3 columns, not 2"),
        ("x,y\n" + text() + "1,\n", "line 14 holds '' in column 2 ('y'): a value is missing"),
        ("x,y\n" + text() + "NA,1\n", "line 14 holds 'NA' in column 1 ('x'): a value is missing"),
        ("x,y\n" + text() + "1,inf\n", "'inf' in column 2 ('y'): a number that is not finite"),
        ("x,y\n" + text() + "1," + "9" * 400, "in column 2 ('y'): a number that is not finite"),
        ("x,y\n" + text() + "1,2_000\n", "holds '2_000' in column 2 ('y'): no number"),
        ("x,y\n" + text() + "1,0x10\n", "holds '0x10' in column 2 ('y'): no number"),
        ("x,y\n" + text() + "2020-01-01,1\n", "holds '2020-01-01' in column 1 ('x'): no number"),
        (
            "x;y\n" + text(VALUES, ";", True) + "1.5;2\n",
            "'1.5' in column 1 ('x'): no number with a",
        ),
        ("x;y\n" + text(VALUES, ";") + "1,5;2\n", "'1,5' in column 1 ('x'): no number with a"),
        ("a\nb\n", "line 2 holds 'b' in column 1 ('a'): no number"),
        ("x,x\n" + text(), "columns 1 and 2 are both named 'x'"),
        ("x," + "y" * 81 + "\n" + text(), "the name of column 2, 'yyyyy"),
        (",x\n" + text(), "the header has no name for column 1, which begins with '3."),
        ("x,\n" + text(), "the header has no name for column 2, which begins with '-"),
        (text(np.full((12, 2), 1234), "\t").replace("1234.0", "1,234"), "a fraction or thousands"),
        ("x,y\n" + '"1,2\n' + text(), "names 2 columns, but line 2 has 1"),
        ("x,y\n" + text() + "1,\x001\n", "no text: line 14 holds a control character"),
        (b"PK\x03\x04" + bytes(99), "a zip archive, such as .xlsx"),
        (b"\x1f\x8b" + bytes(99), "no text: line 1 holds a control character"),
        (text().encode("utf-16-le"), "no text: line 1 holds a control character"),
        (bytes(range(128, 256)), "no text"),
        ("0," * 20_000 + "0\n", "line 1 has 20,001 columns, at most 10,000 are read"),
        ('"' + "1" * 200_000, "no text in separated values: field larger"),
        ("<html>\n<body>1, 2</body>\n" * 9, "ragged|no number"),
    ],
)
def test_what_cannot_be_read_is_named(tmp_path, content, reason):
    with pytest.raises(ValueError) as error:
        read(tmp_path, content)
    message = str(error.value)
    assert message.startswith(f"{tmp_path / 'a.csv'}: ")
    assert any(part in message for part in reason.split("|")), message
    assert "\n" not in message
    assert len(message) < len(str(tmp_path)) + 250


@pytest.mark.parametrize("content", ["", "\n\n", "x,y\n", "# nothing\n", "x,y\n1,2\n", "1,2\n"])
def test_too_few_rows_are_named(tmp_path, content):
    count = content.count("1,2")
    with pytest.raises(ValueError, match=f"expected at least 10 rows, got {count}"):
        read_points(stored(tmp_path, content))


# Classes


def classed(cells, name="kind", header="x,{},y"):
    rows = [
        f"{x!r},{k},{y!r}\n" for k, (x, y) in zip(cells, VALUES[: len(cells)].tolist(), strict=True)
    ]
    return header.format(name) + "\n" + "".join(rows)


@pytest.mark.parametrize(
    ("cells", "names", "classes"),
    [
        (["b", "a", "c"] * 4, ("a", "b", "c"), [1, 0, 2]),
        (["10", "9", "100"] * 4, ("9", "10", "100"), [1, 0, 2]),
        (["3.0", "0.0", "7.0"] * 4, ("0", "3", "7"), [1, 0, 2]),
        (["-1", "1", "0"] * 4, ("-1", "0", "1"), [0, 2, 1]),
        (["run 10", "run 9", "Run 2"] * 4, ("Run 2", "run 9", "run 10"), [2, 1, 0]),
        (['"a, b"', "é", '"say ""no"""'] * 4, ("a, b", 'say "no"', "é"), [0, 2, 1]),
        (["NA", "yes", "no"] * 4, ("NA", "no", "yes"), [0, 2, 1]),
    ],
)
def test_a_column_of_classes_becomes_labels(tmp_path, cells, names, classes):
    file = stored(tmp_path, classed(cells))
    data = load_dataset("points", path=file, label_column="kind", seed=3)
    assert data.class_names == names
    assert data.columns == ("x", "y")
    assert data.labelled
    expected = torch.tensor(classes * 4) + 1
    train, held_out = split_validation(12, 0.1, 3)
    assert torch.equal(whole(data.train)[1], expected[train])
    assert torch.equal(whole(data.validation)[1], expected[held_out])
    back = data.to_data(whole(data.train)[0]).numpy()
    np.testing.assert_allclose(back, VALUES[train.numpy()], rtol=1e-6, atol=1e-5)
    assert data.notes == (
        "classes of fewer than 10 rows: " + ", ".join(f"{name!r} 4" for name in names),
    )


@pytest.mark.parametrize(
    ("cells", "column", "reason"),
    [
        (["a", "b"] * 6, "knd", "label_column must be one of x, kind, y, got 'knd'; did you mean"),
        (["a", "b"] * 6, "", "label_column must be one of x, kind, y, got ''"),
        (["a", "b" * 81] * 6, "kind", r"line 3 holds 'bbb.*which has 81 characters"),
        (["a", ""] * 6, "kind", r"line 3 has no class in column 2 \('kind'\)"),
        (["a"] * 12, "kind", "column 'kind' holds 1 classes, expected 2..1000"),
        (["1", "0.5"] * 6, "kind", "holds '0.5'; classes are names or whole numbers"),
        (["a", NONE] * 6, "kind", "column 'kind' holds 'none', the name of the absent label"),
        (["a", "b"] * 6, None, r"holds 'a' in column 2 \('kind'\): no number .* label_column"),
    ],
)
def test_classes_that_are_none_are_named(tmp_path, cells, column, reason):
    with pytest.raises(ValueError, match=reason) as error:
        load_dataset("points", path=stored(tmp_path, classed(cells)), label_column=column)
    assert str(tmp_path / "a.csv") in str(error.value)


def test_a_label_column_needs_a_header_and_a_table(tmp_path):
    with pytest.raises(ValueError, match="label_column is 'x', but the file has no header"):
        load_dataset("points", path=stored(tmp_path, text()), label_column="x")
    np.save(tmp_path / "a.npy", VALUES)
    with pytest.raises(ValueError, match=r"label_column is 'x', but \.npy names no columns"):
        load_dataset("points", path=tmp_path / "a.npy", label_column="x")
    one = "kind\n" + "a\nb\n" * 6
    with pytest.raises(ValueError, match=r"a\.csv: the rows are empty"):
        load_dataset("points", path=stored(tmp_path, one), label_column="kind")
    with pytest.raises(ValueError, match=r"data\.label_column must be str, got 3"):
        load_dataset("points", path=tmp_path / "a.csv", label_column=3)


def test_row_numbers_may_be_asked_for_as_classes(tmp_path):
    data = load_dataset(
        "points", path=stored(tmp_path, numbered(name="id")), label_column="id", seed=0
    )
    assert data.class_names == tuple(map(str, range(12)))
    assert data.columns == ("x", "y")
    # Of a class with one row, this row is trained on.
    assert sorted(whole(data.train)[1].tolist()) == list(range(1, 13))


def test_there_are_at_most_1000_classes():
    assert len(classes_of([str(i) for i in range(1000)], "it")[0]) == 1000
    with pytest.raises(ValueError, match=r"it holds 10,000 classes, expected 2\.\.1000"):
        classes_of([str(i) for i in range(10_000)], "it")


def test_no_class_is_held_out_whole():
    classes = torch.zeros(1000, dtype=torch.int64)
    train, held_out = split_validation(1000, 0.1, 0)
    assert all(map(torch.equal, split_classes(classes, 0.1, 0), (train, held_out)))
    classes[held_out[:2]], classes[held_out[2]], classes[train[0]] = 1, 2, 2
    again, others = split_classes(classes, 0.1, 0)
    assert torch.equal(again, torch.cat([train, held_out[:2]]))
    assert torch.equal(others, held_out[2:])


def test_the_absent_label_has_one_name():
    assert rows_module.NONE == NONE


def test_of_many_columns_the_first_are_named(tmp_path):
    names = [f"c{i}" for i in range(9000)]
    content = ",".join(names) + "\n" + (",".join(["1.5"] * 9000) + "\n") * 12
    with pytest.raises(
        ValueError, match=r"one of c0, .*, c19, \.\.\., got 'c9000'; did you"
    ) as error:
        read(tmp_path, content, label_column="c9000")
    assert len(str(error.value)) < 400
