"""The document that the UI's types are generated from is what the API says today."""

import json

from scripts.ui_openapi import FILE, ui_document


def test_the_uis_types_are_generated_from_todays_api():
    assert json.loads(FILE.read_text(encoding="utf-8")) == ui_document(), "run `make types` and commit the result"


def test_the_uis_document_holds_shapes_and_no_texts():
    document = ui_document()
    schemas = document["components"]["schemas"]
    assert "title" in schemas["SessionView"]["properties"]
    assert "description" not in schemas["SessionView"]
    assert "__" not in "".join(schemas)
    assert document["paths"]["/api/runs"]["post"]["requestBody"]
