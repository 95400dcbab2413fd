"""`python -m agio.cli`: the same as `agio`."""

from agio.cli.main import app

if __name__ == "__main__":
    app()
