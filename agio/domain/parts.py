"""Parts: what messages and artifacts of agents written in Python are made of. Pure."""

import base64
import binascii
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from agio.domain.errors import Invalid
from agio.domain.messages import Content, Message

KINDS = ("text", "data", "raw", "url")


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """A text, data, or a file as bytes or by its address; exactly one of the four."""

    text: str | None = None
    data: Any = None
    """Anything that JSON can say, but not null."""
    raw: bytes | None = None
    """A file's bytes."""
    url: str | None = None
    """Where a file is."""
    filename: str = ""
    media_type: str = ""
    metadata: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Raises `Invalid`: it is none of the four, or several."""
        if sum(getattr(self, kind) is not None for kind in KINDS) != 1:
            raise Invalid(f"a part is exactly one of {', '.join(KINDS)}")

    def stored(self) -> dict[str, Any]:
        """Return it as JSON has it: bytes in base64, nothing that says nothing."""
        found = {name: value for name in self.__slots__ if (value := getattr(self, name)) not in (None, "", {})}
        if self.text is not None:
            found["text"] = self.text
        if self.data is not None:
            found["data"] = self.data
        if self.raw is not None:
            found["raw"] = base64.b64encode(self.raw).decode()
        return found


def load_part(stored: Mapping[str, Any]) -> Part:
    """Return the part that `Part.stored` gave."""
    raw = stored.get("raw")
    return Part(**{**stored, "raw": base64.b64decode(raw)} if raw is not None else stored)


def to_parts(given: "str | Part | Iterable[str | Part]") -> tuple[Part, ...]:
    """Return what a program gave as parts; a string is a text."""
    if isinstance(given, str | Part):
        given = (given,)
    return tuple(Part(text=one) if isinstance(one, str) else one for one in given)


def content_of(parts: Iterable[Part]) -> Content:
    """Return parts as models are shown them; a text where there is nothing else."""
    found = [_content(part) for part in parts]
    if len(found) == 1 and found[0]["type"] == "text":
        return str(found[0]["text"])
    return found


def _content(part: Part) -> dict[str, Any]:
    if part.text is not None:
        return {"type": "text", "text": part.text}
    if part.data is not None:
        return {"type": "text", "text": json.dumps(part.data, ensure_ascii=False)}
    media_type = part.media_type or "application/octet-stream"
    url = part.url or f"data:{media_type};base64,{base64.b64encode(part.raw or b'').decode()}"
    if media_type.startswith("image/"):
        return {"type": "image_url", "image_url": {"url": url}}
    if part.url is not None:
        return {"type": "text", "text": f"[file {part.filename} {media_type}] {part.url}"}
    return {"type": "file", "file": {"filename": part.filename or "file", "file_data": url}}


def parts_of(message: Message) -> list[Part]:
    """Return a message's parts: those that it came with, else what its content holds."""
    if came_with := message.metadata.get("parts"):
        return [load_part(one) for one in came_with]
    if isinstance(message.content, str):
        return [Part(text=message.content)]
    return [_part(one) for one in message.content]


def _part(one: dict[str, Any]) -> Part:
    match one:
        case {"type": "text", "text": str(text)}:
            return Part(text=text)
        case {"type": "image_url", "image_url": {"url": str(url)}}:
            return _file(url, "")
        case {"type": "file", "file": {"file_data": str(url), **about}}:
            return _file(url, str(about.get("filename", "")))
    return Part(data=one)


def _file(url: str, name: str) -> Part:
    head, _, encoded = url.partition(";base64,")
    if url.startswith("data:") and encoded:
        try:
            raw = base64.b64decode(encoded, validate=True)
        except binascii.Error:  # a client's content is kept as it came
            return Part(url=url, filename=name)
        return Part(raw=raw, media_type=head.removeprefix("data:"), filename=name)
    return Part(url=url, filename=name)
