"""The form in which notebooks are committed."""

import json
from pathlib import Path

from rmapmodel.report.strip import dumps, main, strip

NOTEBOOK = Path(__file__).parent / "notebooks" / "01-figure.ipynb"


def cell(text="x", **more):
    return {"cell_type": "code", "source": text, "metadata": {}, **more}


def test_ids_stay_where_they_are_good_and_are_made_from_the_text_where_not():
    cells = [cell(id="kept"), cell(id="kept"), cell(), cell(id="no good"), cell()]
    ids = [each["id"] for each in strip({"cells": cells})["cells"]]
    assert ids[0] == "kept" and len(set(ids)) == 5
    assert ids == [each["id"] for each in strip({"cells": cells})["cells"]]


def test_only_tags_and_folding_stay_of_a_cells_metadata():
    metadata = {"tags": ["parameters"], "execution": {}, "jupyter": {"source_hidden": True}, "scrolled": True}
    (stripped,) = strip({"cells": [cell(metadata=metadata)]})["cells"]
    assert stripped["metadata"] == {"tags": ["parameters"], "jupyter": {"source_hidden": True}}


def test_pictures_attached_to_prose_stay():
    prose = {"cell_type": "markdown", "source": "![a](attachment:a.png)",
             "attachments": {"a.png": {"image/png": "iVBO"}}}
    assert strip({"cells": [prose]})["cells"][0]["attachments"] == prose["attachments"]


def test_empty_cells_go():
    assert strip({"cells": [cell(" \n"), cell("x\n\n")]})["cells"][0]["source"] == ["x"]


def test_stripping_twice_changes_nothing_more():
    once = strip(json.loads(NOTEBOOK.read_text()))
    assert strip(once) == once


def test_the_command_writes_the_committed_form_and_leaves_what_has_it(tmp_path, capsys):
    path = tmp_path / "a.ipynb"
    path.write_text(json.dumps({"nbformat": 4, "cells": [cell(outputs=[{}], execution_count=2)]}))
    main([path])
    assert path.read_text() == dumps(strip(json.loads(path.read_text())))
    main([path])
    assert capsys.readouterr().out == f"stripped {path}\n"
