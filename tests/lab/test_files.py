"""Records of an analysis."""

import json

import pytest

from embodied.core.errors import UserError
from lab import figures, files


def test_what_is_no_analysis_is_refused(tmp_path, make_records):
    with pytest.raises(UserError, match="no finished analysis"):
        figures.draw(tmp_path)
    folder = make_records()
    (folder / files.RESULT).write_text(json.dumps({"format": 99}))
    with pytest.raises(UserError, match="expected format"):
        figures.draw(folder)
    (folder / files.RESULT).write_text("{")
    with pytest.raises(UserError, match="cannot be read"):
        figures.draw(folder)
