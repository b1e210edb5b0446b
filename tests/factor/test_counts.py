import numpy as np
import pytest

from gaugebias.factor import CountTable, load_counts


@pytest.fixture
def write(tmp_path):
    def write(text):
        path = tmp_path / "time.csv"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    return write


def test_names_and_counts_are_read(write):
    table = load_counts(write(b'\xef\xbb\xbfgroup,"a, b",c\r\n x ,1, 2\r\n\r\ny,3.5,0\r\n'))
    assert (table.name, table.rows, table.columns) == ("time", ("x", "y"), ("a, b", "c"))
    np.testing.assert_array_equal(table.values, [[1.0, 2.0], [3.5, 0.0]])
    np.testing.assert_allclose(table.profiles.sum(axis=1), 1.0)
    assert table.total == 6.5 and table.rank == 2


def test_an_empty_heading_makes_numbers_names(write):
    assert load_counts(write(",a,b\n12,1,2\n25,3,1\n")).rows == ("12", "25")
    plain = load_counts(write("a,b\n1,2\n3,1\n"), row_names=False)
    assert plain.rows == ("row 1", "row 2") and plain.columns == ("a", "b")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "is empty"),
        ("g,a,b\n", "a header and no rows"),
        ("age,a,b\n12,1,2\n25,3,1\n", "'age' holds only numbers, which may be names or counts"),
        ("g,a,b\nx,1,2\ny,3\n", "line 3, has 2 cells where the header has 3"),
        ("g,a,b\nx,1,2\ny,3,4,5\n", "line 3, has 4 cells"),
        ("g,a,b\nx,1,\ny,NA,4\n", r"2 missing values \(the first in line 2, column 'b'\)"),
        ("g,a,b\nx,1,many\ny,3,4\n", r"column 'b' holds text \('many' in line 2\)"),
        ("g,a,b\nx,1,inf\ny,3,4\n", "not finite"),
        ("g,a,b\nx,1,-2\ny,3,4\n", "negative count, -2 in row 'x', column 'b'"),
        ("g,a,b\nx,0,0\ny,3,4\n", "the row 'x' holds only zeros: drop it"),
        ("g,a,b\nx,1,0\ny,3,0\n", "the column 'b' holds only zeros"),
        ("g,a,a\nx,1,2\ny,3,4\n", "several columns called 'a'"),
        ("g,a,\nx,1,2\ny,3,4\n", "no name for column 3"),
        ("g,a,b\nx,1,2\nx,3,4\n", "several rows called 'x'"),
        ("g,a,b\n,1,2\nx,3,4\n", "line 2, has no row name"),
        ("g,a\nx,1\ny,3\n", "fewer than two columns"),
        ("g,a,b\nx,1,2\n", "fewer than two rows"),
        ("g;a;b\nx;1;2\n", "separated by ';'"),
        ("g,a,b\nx,1e308,1e308\ny,3,4\n", "too large to be added up"),
        (b"g,a,b\nx,1,\xff\n", "not comma-separated text in UTF-8"),
    ],
)
def test_what_is_wrong_with_a_file_is_one_sentence(write, content, message):
    with pytest.raises(ValueError, match=message) as caught:
        load_counts(write(content))
    text = str(caught.value)
    assert "\n" not in text and "time.csv" in text and text.startswith("`file`")


def test_no_file_and_a_folder(tmp_path):
    with pytest.raises(ValueError, match="`file`: .* does not exist"):
        load_counts(tmp_path / "no.csv")
    with pytest.raises(ValueError, match="is a folder"):
        load_counts(tmp_path)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([[1, 2]],), "shape"),
        (([["a", "b"], ["c", "d"]],), "must hold numbers"),
        (([[1, 2], [3, np.nan]],), "`values` is not finite in row 'row 2', column 'column 2'"),
        (([[1, 2], [3, 4]], ("x",)), "`rows` has 1 names for 2"),
        (([[1, 2], [3, 4]], (), ("x", "x")), "`columns` has 'x' twice"),
    ],
)
def test_arrays_are_checked_too(arguments, message):
    with pytest.raises(ValueError, match=message):
        CountTable(*arguments)
