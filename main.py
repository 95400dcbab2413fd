"""`python main.py`: the development server, the same as `agio dev`."""

import sys

from agio.cli.main import app

if __name__ == "__main__":
    app(["dev", *sys.argv[1:]])
