from agio.tools.docstring import parse_docstring


def test_description_ends_at_the_first_section():
    parsed = parse_docstring("""Find a city.

        It looks twice.

        Args:
            name: What it is called.

        Returns:
            args: not an argument.
        """)
    assert parsed.description == "Find a city.\n\nIt looks twice."
    assert parsed.arguments == {"name": "What it is called."}


def test_types_continuation_lines_and_colons_are_read():
    parsed = parse_docstring("""Go.

    Arguments:
        where (str, optional): A place: any
            place on earth.

            Really.
        **options: The rest.
    """)
    assert parsed.arguments == {"where": "A place: any place on earth. Really.", "options": "The rest."}


def test_no_docstring_and_free_text_are_no_errors():
    assert parse_docstring(None).description == ""
    assert parse_docstring("Args:\n  just some words\n").arguments == {}
    assert parse_docstring("Only this").description == "Only this"
