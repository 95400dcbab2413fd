"""`python -m agio`: the same as `agio`."""

from agio.cli.main import app

if __name__ == "__main__":
    app()
