"""Who calls: any one credential that is right suffices."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from agio.domain.errors import NotFound, TooManyFailures
from agio.security.access_keys import AccessKeys
from agio.security.clock import Clock, utc_now
from agio.security.credentials import Credential
from agio.security.issued import KEY_PREFIX, STREAM_PREFIX
from agio.security.no_store import NoStore
from agio.security.passwords import Passwords
from agio.security.people import People
from agio.security.principal import ANYONE, Principal
from agio.security.proxy import find_proxied
from agio.security.settings import AccessSettings
from agio.security.static_keys import StaticKey, StaticKeys
from agio.security.stream_tokens import StreamTokens
from agio.security.tokens import WebToken, WebTokens
from agio.security.windows import Windows
from agio.storage.port import Catalog


class Access:
    """The access layer of one process: recognises callers, and holds what issues and changes their credentials."""

    def __init__(self, settings: AccessSettings, store: Catalog | None, *, clock: Clock = utc_now) -> None:
        """Args: store: None: there are no users, issued keys and the like, and failures are counted per process."""
        self.settings = settings
        self.windows = Windows(store, clock)
        catalog: Catalog = store if store is not None else NoStore()
        passwords = Passwords()
        self.people = People(catalog, settings.users, passwords=passwords, clock=clock)
        self.access_keys = AccessKeys(catalog, clock)
        self.stream_tokens = StreamTokens(catalog, valid_s=settings.stream_token_s, clock=clock)
        self.web_tokens: WebTokens | None = None
        if settings.jwt_secret is not None:
            self.web_tokens = WebTokens(
                catalog, self.people, secret=settings.jwt_secret, valid_s=settings.login_s, clock=clock
            )
        self._by_key = StaticKeys(settings.api_keys)
        self._by_bearer = StaticKeys(settings.bearer_tokens)

    @property
    def checks(self) -> bool:
        """Callers are checked; False: everyone is `anonymous`."""
        return self.settings.checks

    def accept(
        self,
        *,
        api_keys: Iterable[StaticKey] = (),
        bearer_tokens: Iterable[StaticKey] = (),
        open_paths: Iterable[str] = (),
    ) -> None:
        """Accept further keys and tokens, and check callers from now on; leave these paths open too."""
        self.settings = replace(
            self.settings,
            checks=True,
            api_keys=(*self.settings.api_keys, *api_keys),
            bearer_tokens=(*self.settings.bearer_tokens, *bearer_tokens),
            open_paths=self.settings.open_paths | frozenset(open_paths),
        )
        self._by_key = StaticKeys(self.settings.api_keys)
        self._by_bearer = StaticKeys(self.settings.bearer_tokens)

    async def identify(
        self, credentials: Sequence[Credential], headers: Mapping[str, str], *, from_proxy: bool
    ) -> Principal | None:
        """Return who calls; None: nobody who is known.

        Args:
            credentials: what the request brought.
            headers: its headers, names in lower case.
            from_proxy: it came through a trusted proxy, whose word counts where the settings say so.

        Raises:
            StoreUnavailable: only the store could tell, and it is away.
        """
        if not self.checks:
            return ANYONE
        for credential in credentials:  # those that need no store first
            if (principal := self._static(credential)) is not None:
                return principal
        for credential in credentials:
            if (principal := await self._stored(credential)) is not None:
                return principal
        if self.settings.proxy_auth and from_proxy:
            return await find_proxied(self.people, headers)
        return None

    async def log_in(self, name: str, password: str, *, address: str, group_id: str | None = None) -> WebToken | None:
        """Return a token; None: name or password is wrong.

        Raises:
            NotFound: nobody can log in here.
            TooManyFailures: too many wrong ones came from the address, or on that name.
            Denied: the user is not in that group.
        """
        if self.web_tokens is None:
            raise NotFound("nobody can log in here: AGIO_JWT_SECRET, which signs tokens, is not set")
        for key in (_from(address), _on(name)):
            if wait_s := await self._locked_s(key):
                raise TooManyFailures(retry_after_s=wait_s)
        user = await self.people.check_password(name, password)
        if user is None:
            for key in (_from(address), _on(name)):
                await self.windows.admit(key, self.settings.failures)
            return None
        return self.web_tokens.issue(user, group_id=group_id)

    async def note_failure(self, address: str) -> float:
        """Count a credential that was wrong; return the seconds to wait if there were too many of them, else 0."""
        admission = await self.windows.admit(_from(address), self.settings.failures)
        return 0.0 if admission.granted else admission.retry_after_s

    async def locked_s(self, address: str) -> float:
        """Return for how many seconds an address may not try any more; 0: it may."""
        return await self._locked_s(_from(address))

    async def _locked_s(self, key: str) -> float:
        return (await self.windows.look(key, self.settings.failures)).retry_after_s

    def _static(self, credential: Credential) -> Principal | None:
        match credential.place:
            case "api_key":
                return self._by_key.find(credential.text)
            case "bearer":
                return self._by_bearer.find(credential.text) or self._by_key.find(credential.text)
        return None

    async def _stored(self, credential: Credential) -> Principal | None:
        text = credential.text
        if text.startswith(STREAM_PREFIX):
            return await self.stream_tokens.find(text) if credential.place in ("bearer", "query") else None
        if text.startswith(KEY_PREFIX):
            return await self.access_keys.find(text) if credential.place in ("bearer", "api_key") else None
        if credential.place in ("bearer", "cookie") and self.web_tokens is not None:
            return await self.web_tokens.find(text)
        return None


def _from(address: str) -> str:
    return f"failures from {address}"


def _on(name: str) -> str:
    return f"failures on {name}"
