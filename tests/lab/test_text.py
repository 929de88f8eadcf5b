"""What an analysis found, in a few lines."""

from lab import files, text


def test_text_has_a_row_for_each_method(make_records):
    result, _, _ = files.read(make_records())
    lines = text.describe(result).splitlines()
    assert [line.split()[0] for line in lines[1:4]] == ["dreamerv3", "harmony", "(mean"]
    assert "recall" in lines[0] and "R² of state, predicted" in lines[0]
    assert "reward -1.50" in lines[-1]
