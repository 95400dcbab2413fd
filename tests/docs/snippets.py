"""Find the code blocks of the documentation that promise to work.

A block is tested when the word `test` follows its language: "```python test" or "```bash test".
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_FENCE = re.compile(r"^(?P<indent> *)```(?P<language>python|bash) test *\n(?P<code>.*?)^(?P=indent)``` *$", re.M | re.S)


@dataclass(frozen=True, slots=True, kw_only=True)
class Snippet:
    """One block; `place` is "docs/page.md:12", the line of its first fence."""

    place: str
    language: str
    code: str


def read_snippets(path: Path, root: Path) -> Iterator[Snippet]:
    """Yield the tested blocks of a page, without the indentation of their fences."""
    text = path.read_text(encoding="utf-8")
    for block in _FENCE.finditer(text):
        line = text.count("\n", 0, block.start()) + 1
        code = re.sub(f"^{block['indent']}", "", block["code"], flags=re.MULTILINE)
        yield Snippet(place=f"{path.relative_to(root)}:{line}", language=block["language"], code=code)
