"""A run's text for those who only listen."""

from dataclasses import dataclass, field

from agio.domain.events import ContentReset, Deltas
from agio.domain.journal import Entry, unfold

BETWEEN = "\n\n"
"""Between two messages of one run."""


@dataclass(slots=True)
class Speech:
    """The text of a run as a client hears it that cannot take anything back.

    When a step is done again (its worker died, the provider failed in mid-answer), what the client has heard already is
    not said twice. If the model says something else this time, that is said whole, as another message.
    """

    _message_id: str | None = None
    _said: list[str] = field(default_factory=list)
    """Of the present message."""
    _heard: str | None = None
    """What the client has of a message that is being said again."""
    _begun: bool = False

    def take(self, entry: Entry) -> list[str]:
        """Return what an entry adds."""
        added: list[str] = []
        for _, event in unfold(entry):
            match event:
                case Deltas(of="content"):
                    added += [self.say(event.message_id, text) for text in event.contents]
                case ContentReset():
                    self.reset(event.message_id)
        return [text for text in added if text]

    def reset(self, message_id: str) -> None:
        """Note that a message will be said again."""
        if message_id == self._message_id:
            self._heard = max(self._heard or "", "".join(self._said), key=len)
            self._message_id = None

    def say(self, message_id: str, text: str) -> str:
        """Return what a piece of a message adds; nothing where the client has it already."""
        gap = ""
        if message_id != self._message_id:
            gap = BETWEEN if self._begun and self._heard is None else ""
            self._message_id, self._said = message_id, []
        self._begun = True
        self._said.append(text)
        if self._heard is None:
            return gap + text
        return self._compare(self._heard, "".join(self._said))

    def _compare(self, heard: str, said: str) -> str:
        """Return what is new of a message that is said again."""
        if heard.startswith(said):
            return ""
        self._heard = None
        return said[len(heard) :] if said.startswith(heard) else BETWEEN + said
