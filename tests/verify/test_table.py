import numpy as np
import pytest

from gaugebias.verify import load_table


@pytest.fixture
def write(tmp_path):
    def write(text, name="houses.csv"):
        path = tmp_path / name
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    return write


def rows(n=12, p=2, seed=0):
    return np.random.default_rng(seed).normal(size=(n, p + 1))


def text(values, header="a,b,price"):
    return "\n".join([header, *(",".join(f"{cell!r}" for cell in map(float, r)) for r in values)])


def test_columns_are_standardised_and_the_units_kept(write):
    values = 3.0 + 2.0 * rows(30)
    table = load_table(write(text(values, "a,price,b")), "price")
    assert (table.name, table.columns, table.target) == ("houses", ("a", "b"), "price")
    np.testing.assert_allclose(table.x.mean(0), 0.0, atol=1e-14)
    np.testing.assert_allclose(table.x.std(0), 1.0, rtol=1e-14)
    np.testing.assert_allclose(table.y * table.y_scale + table.y_mean, values[:, 1], rtol=1e-12)
    np.testing.assert_allclose(
        table.x * table.x_scale + table.x_mean, values[:, [0, 2]], rtol=1e-12, atol=1e-14
    )


def test_mark_spaces_quotes_and_empty_lines_are_read(write):
    body = "".join(f' {i} ,"{i * i % 7}",{i % 3}\r\n\r\n' for i in range(8))
    table = load_table(write(b"\xef\xbb\xbf" + ('a, "b" ,price\r\n' + body).encode()), "price")
    assert table.columns[0] == "a" and table.x.shape == (8, 2)


GOOD = text(rows())


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "is empty"),
        ("a,b,price\n", "a header and no rows"),
        ("a,b,a,price\n1,2,3,4\n", "several columns called 'a'"),
        ("a,,price\n1,2,3\n", "no name for column 2"),
        ("price\n1\n2\n", "no other column"),
        ("a;b;price\n1;2;3\n", "separated by ';'"),
        (GOOD + "\n1,2\n", "line 14, has 2 cells where the header has 3"),
        (GOOD + "\n1,,3\n1,NA,\n", r"3 missing values \(the first in line 14, column 'b'\)"),
        (GOOD + "\n1,?,3\n", r"1 missing value \(the"),
        (GOOD + "\n1,red,3\n", r"column 'b' holds text \('red' in line 14\)"),
        (GOOD + f"\n1,{'x' * 99},3\n", r"\('x{21}\.\.\.' in line 14\)"),
        (GOOD + "\n1,inf,3\n", "'inf' in line 14, which is not finite"),
        (text(np.c_[rows(12, 1), np.ones(12)], "a,price,b"), r"column 'b' is constant \(1\)"),
        (text(np.c_[rows(12, 1), np.ones(12)]), r"target 'price' is constant \(1\)"),
        (text(rows(3)), "3 rows for 2 features: .* at least 4"),
        (b"a,b,price\n1,2,\xff\xfe\n", "not comma-separated text in UTF-8"),
    ],
)
def test_what_is_wrong_is_said_in_one_sentence(write, content, message):
    with pytest.raises(ValueError, match=message) as caught:
        load_table(write(content), "price")
    assert "\n" not in str(caught.value) and "houses.csv" in str(caught.value)


def test_collinear_columns_are_named(write):
    values = rows(20, 3)
    values[:, 2] = 2.0 * values[:, 0] + 1.0
    with pytest.raises(ValueError, match="columns 'a', 'c' are collinear"):
        load_table(write(text(values, "a,b,c,price")), "price")


def test_nearly_collinear_columns_are_accepted(write):
    values = rows(20, 2)
    values[:, 1] = values[:, 0] + 1e-4 * values[:, 1]
    assert load_table(write(text(values)), "price").x.shape == (20, 2)


def test_the_nearest_names_are_suggested(write):
    path = write(GOOD)
    with pytest.raises(ValueError, match="no column is called 'Prices': did you mean 'price'"):
        load_table(path, "Prices")
    with pytest.raises(ValueError, match="the columns are 'a', 'b', 'price'"):
        load_table(path, "zzz")
    many = ",".join(f"column{i}" for i in range(12))
    with pytest.raises(ValueError, match="and 4 more"):
        load_table(write(f"{many}\n{many}"), "zzz")


def test_files_that_cannot_be_read(tmp_path):
    with pytest.raises(ValueError, match="`csv`: .* does not exist"):
        load_table(tmp_path / "no.csv", "price")
    with pytest.raises(ValueError, match="is a folder"):
        load_table(tmp_path, "price")
    (tmp_path / "file").write_text("")
    with pytest.raises(ValueError, match="cannot be read"):
        load_table(tmp_path / "file" / "no.csv", "price")
