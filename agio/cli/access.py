"""`agio user` and `agio key`: people who may log in, and keys to call with, in the store of this installation."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Annotated, TypeVar

import typer
from rich.table import Table

from agio.bootstrap import make_access, make_store
from agio.cli.output import fail, out, settings_or_fail
from agio.domain.access import DEFAULT_GROUP, Permission, Role, check_group
from agio.domain.errors import AgioError
from agio.security import Access, Principal, hash_password

T = TypeVar("T")

users = typer.Typer(no_args_is_help=True, help="Manage people who may log in.")
keys = typer.Typer(no_args_is_help=True, help="Manage access keys.")

Name = Annotated[str, typer.Argument(help="The user's name.")]
Password = Annotated[
    str, typer.Option(prompt=True, hide_input=True, confirmation_prompt=True, help="Asked for when left out.")
]
Group = Annotated[str, typer.Option(help="The group.")]
BY = "command line"


def _with_access(work: Callable[[Access], Awaitable[T]]) -> T:
    settings = settings_or_fail()

    async def run() -> T:
        store = make_store(settings)
        await store.open()
        try:
            return await work(make_access(settings, store))
        finally:
            await store.close()

    try:
        return asyncio.run(run())
    except AgioError as error:
        fail(error)


@users.command("add")
def add_user(
    name: Name,
    password: Password,
    group: Annotated[list[str] | None, typer.Option(help="May be given several times; none: one of their own.")] = None,
    role: Annotated[list[Role] | None, typer.Option(help="May be given several times.")] = None,
) -> None:
    """Make a user."""
    roles = role or [Role.OPERATOR]
    _with_access(lambda access: access.people.add(name, password, groups=group or (), roles=roles, by=BY))
    out.print(f"made {name}", markup=False)


@users.command("list")
def list_users(group: Group = DEFAULT_GROUP) -> None:
    """List the users of a group."""
    page = _with_access(lambda access: access.people.list(group, limit=1000, offset=0))
    table = Table("name", "groups", "roles", "enabled", box=None, pad_edge=False)
    for user in page.items:
        table.add_row(user.id, ", ".join(user.groups), ", ".join(user.roles), "yes" if user.enabled else "no")
    out.print(table, markup=False)


@users.command("passwd")
def change_password(name: Name, password: Password) -> None:
    """Give a user another password; tokens from before are not accepted any more."""
    _with_access(lambda access: access.people.change(name, password=password))


@users.command("enable")
def enable_user(name: Name) -> None:
    """Let a user log in again."""
    _with_access(lambda access: access.people.change(name, enabled=True))


@users.command("disable")
def disable_user(name: Name) -> None:
    """Keep a user out, tokens included."""
    _with_access(lambda access: access.people.change(name, enabled=False))


@users.command("remove")
def remove_user(name: Name) -> None:
    """Delete a user."""
    _with_access(lambda access: access.people.remove(name))


@users.command("hash")
def print_hash(password: Password) -> None:
    """Print a password's hash, for AGIO_USERS."""
    typer.echo(hash_password(password))


@keys.command("issue")
def issue_key(
    name: Annotated[str, typer.Argument(help="What the key is for.")],
    group: Group = DEFAULT_GROUP,
    scope: Annotated[list[Permission] | None, typer.Option(help="May be given several times.")] = None,
    days: Annotated[float | None, typer.Option(min=0.001, help="Days until it expires; left out: never.")] = None,
) -> None:
    """Issue a key; it is printed this once."""
    scopes = scope or [Permission.READ, Permission.RUN]
    expires_at = datetime.now(UTC) + timedelta(days=days) if days else None

    async def issue(access: Access) -> str:
        by = _admin_of(group)
        return (await access.access_keys.issue(by, name=name, scopes=scopes, expires_at=expires_at)).text

    typer.echo(_with_access(issue))


@keys.command("list")
def list_keys(group: Group = DEFAULT_GROUP) -> None:
    """List a group's keys, newest first."""
    page = _with_access(lambda access: access.access_keys.list(group, limit=1000, offset=0))
    table = Table("id", "name", "key", "scopes", "state", box=None, pad_edge=False)
    now = datetime.now(UTC)
    for key in page.items:
        state = "active" if key.is_active(now) else "revoked" if key.revoked_at else "expired"
        table.add_row(key.id, key.name, key.hint, ", ".join(key.scopes), state)
    out.print(table, markup=False)


@keys.command("revoke")
def revoke_key(
    key_id: Annotated[str, typer.Argument(help="The key's id, as `agio key list` shows it.")],
    group: Group = DEFAULT_GROUP,
) -> None:
    """Accept a key no more."""
    _with_access(lambda access: access.access_keys.revoke(group, key_id, by=BY))


def _admin_of(group: str) -> Principal:
    check_group(group)
    return Principal(name=BY, kind="service", group_id=group, groups=(group,), permissions=frozenset(Permission))
