"""Shapes of logins, users, access keys and stream tokens."""

from typing import Annotated, Literal

from pydantic import ConfigDict, Field, SecretStr

from agio.api.native.schemas.common import Body, Instant, View, When
from agio.domain.access import AccessKey, Permission, Role, User

Name = Annotated[str, Field(min_length=1, max_length=100, pattern=r"^[ -~]*\S[ -~]*$", examples=["ci"])]
UserName = Annotated[str, Field(max_length=128, pattern=r"^[A-Za-z0-9][A-Za-z0-9._@+-]*$", examples=["ann"])]
Group = Annotated[str, Field(max_length=128, pattern=r"^[A-Za-z0-9][A-Za-z0-9._@:+-]*$", examples=["default"])]
GroupsUser = Annotated[str, Field(min_length=1, max_length=200, pattern=r"^[ -~]*\S[ -~]*$", examples=["ann"])]
OneRole = Annotated[Role, Field(strict=False)]
Scope = Annotated[Permission, Field(strict=False)]
NewPassword = Annotated[str, Field(min_length=8, max_length=1024)]


class LoginBody(Body):
    """Name and password."""

    # What clients of other systems send beside these is no concern of ours.
    model_config = ConfigDict(extra="ignore", strict=True)

    username: Annotated[str, Field(min_length=1, max_length=128, examples=["ann"])]
    password: Annotated[str, Field(min_length=1, max_length=1024, examples=["correct horse battery staple"])]
    group: Group | None = Field(default=None, description="Which of the user's groups; left out: the first one.")
    cookie: bool = Field(default=False, description="Also set the cookie that the UI's pages use.")


class LoginAnswer(View):
    """A token, to be sent as `Authorization: Bearer <token>`."""

    access_token: str
    token: str = Field(description="The same again.")
    token_type: Literal["bearer"] = "bearer"  # noqa: S105 - the name of a scheme
    expires_in: int = Field(description="Seconds.")
    expires_at: Instant
    group_id: str


class MeView(View):
    """Who calls, and what it may do."""

    name: str
    kind: Literal["anonymous", "user", "service", "key", "stream"]
    group_id: str
    groups: list[str]
    permissions: list[Permission]


class AccessKeyBody(Body):
    """A key to issue."""

    name: Name
    scopes: Annotated[list[Scope], Field(min_length=1, max_length=4)] = Field(
        default_factory=lambda: [Permission.READ, Permission.RUN],
        description="What the key may do: no more than whoever issues it.",
    )
    expires_at: Annotated[When, Field(strict=False)] | None = None


class AccessKeyView(View):
    """A key that was issued; its text is not among it."""

    id: str
    name: str
    hint: str = Field(description="Its beginning and its last characters.", examples=["agio_…x7Qk"])
    scopes: list[Permission]
    created_by: str
    created_at: Instant
    expires_at: Instant | None
    revoked_at: Instant | None
    revoked_by: str | None
    last_used_at: Instant | None = Field(description="To the hour.")
    group_id: str


class IssuedKeyView(AccessKeyView):
    """A key that was just issued."""

    key: str | None = Field(description="The key, told this once; null where the same request is repeated.")


class LlmKeyBody(Body):
    """A model provider's key to keep."""

    user_id: GroupsUser | None = Field(default=None, description="Whose runs it is for; null: the group's.")
    provider: Annotated[str, Field(min_length=1, max_length=100, examples=["openai"])]
    api_key: Annotated[SecretStr, Field(min_length=1, max_length=1000, examples=["sk-0123456789abcdef"])]
    name: Name = "default"


class LlmKeyView(View):
    """A kept key; of its text no more than the last characters."""

    id: str
    provider: str
    name: str
    user_id: str | None
    masked: str = Field(examples=["…cdef"])
    kept: Literal["encrypted", "memory"] = Field(
        description="`memory`: in the process that was asked, until it ends; set AGIO_SECRET_KEY to keep keys."
    )
    usable: bool = Field(description="False: AGIO_SECRET_KEY lacks what it was encrypted with.")
    created_by: str
    created_at: Instant
    updated_at: Instant


class StreamTokenBody(Body):
    """What a stream token shall read; neither: every stream of the group."""

    run_id: Annotated[str, Field(min_length=1, max_length=64)] | None = None
    session_id: Annotated[str, Field(min_length=1, max_length=64)] | None = None


class StreamTokenView(View):
    """A token for `?token=` of an EventSource or WebSocket."""

    token: str
    expires_at: Instant


class UserBody(Body):
    """A user to make in the caller's group."""

    name: UserName
    password: NewPassword
    roles: Annotated[list[OneRole], Field(min_length=1, max_length=3)] = Field(default_factory=lambda: [Role.OPERATOR])


class UserChanges(Body):
    """What shall change of a user; whoever is logged in under that name has to do so again."""

    password: NewPassword | None = None
    roles: Annotated[list[OneRole], Field(min_length=1, max_length=3)] | None = None
    enabled: bool | None = None


class UserView(View):
    """A user."""

    name: str
    groups: list[str]
    roles: list[Role]
    enabled: bool
    created_by: str
    created_at: Instant
    updated_at: Instant


def view_key(record: AccessKey) -> AccessKeyView:
    """Return the wire form of a key's record."""
    return AccessKeyView.model_validate(record)


def view_user(user: User) -> UserView:
    """Return the wire form of a user."""
    return UserView(
        name=user.id,
        groups=list(user.groups),
        roles=list(user.roles),
        enabled=user.enabled,
        created_by=user.created_by,
        created_at=user.created_at,
        updated_at=user.updated_at,
    )
