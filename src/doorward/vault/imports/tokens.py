"""The token caches of micromegas, kubelogin and MSAL: what of each can go on here, with the same client. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from doorward.errors import ConfigurationError
from doorward.vault.entries import ProfileEntry
from doorward.vault.imports.reading import loaded

if TYPE_CHECKING:
    from doorward.secret import Secret
    from doorward.vault.imports.reading import Reader
    from doorward.vault.typed import ClientAuthenticationMethod

__all__ = ["Kept", "read_kubelogin", "read_micromegas", "read_msal"]

_ENTRA = ("login.microsoftonline.com", "login.microsoftonline.us")


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """A session as another program kept it. What its file does not say is None or empty.

    Attributes:
        account: Whose it is, as the file says; nobody has verified it.
        scopes: What was asked for.
        access_token: Only where it is told when it ends.
        has_id_token: The provider gave one.
    """

    issuer: str | None = None
    client_id: str | None = None
    account: str | None = None
    scopes: tuple[str, ...] = ()
    refresh_token: Secret
    access_token: Secret | None = None
    access_token_issued_at: float | None = None
    access_token_expires_at: float | None = None
    has_id_token: bool = False
    redirect_uri: str | None = None

    def entry(  # noqa: PLR0913 - keyword-only, what the file may lack
        self,
        *,
        profile: str,
        issuer: str,
        client_id: str,
        client_authentication: ClientAuthenticationMethod,
        scopes: tuple[str, ...],
        provider: str | None,
        insecure_loopback_http: bool,
        now: float,
    ) -> ProfileEntry:
        """Return the entry of a profile that goes on with this session."""
        return ProfileEntry(
            profile=profile,
            issuer=issuer,
            client_id=client_id,
            client_authentication=client_authentication,
            created_at=now,
            scopes=scopes,
            provider=provider,
            insecure_loopback_http=insecure_loopback_http,
            redirect_uri=self.redirect_uri,
            refresh_token=self.refresh_token,
            access_token=self.access_token,
            access_token_issued_at=self.access_token_issued_at,
            access_token_expires_at=self.access_token_expires_at,
            id_token_renewable=self.has_id_token or "openid" in scopes,
        )


def read_micromegas(data: bytes) -> Kept:
    """Read ``~/.micromegas/tokens.json``: issuer, client, and Authlib's token.

    Raises:
        ConfigurationError: It is none, or holds no refresh token.

    Source: madesroches/micromegas, ``python/micromegas/micromegas/auth/oidc.py``.
    """
    document = loaded(data, "micromegas")
    token = document.inner("token")
    _refuse_bound(token)
    until = token.instant("expires_at")
    life_s = token.instant("expires_in")
    return Kept(
        issuer=document.text("issuer"),
        client_id=document.text("client_id"),
        scopes=("openid", "email", "profile"),
        refresh_token=_refresh_token(token, "refresh_token"),
        access_token=token.secret("access_token") if until else None,
        access_token_issued_at=until - life_s if until and life_s else None,
        access_token_expires_at=until,
        has_id_token=token.secret("id_token") is not None,
        redirect_uri="http://localhost:48080/callback",  # its default; GitLab wants it again at each renewal
    )


def read_kubelogin(data: bytes) -> Kept:
    """Read a file of ``~/.kube/cache/oidc-login``: an ID token and a refresh token, and not whose they are.

    Raises:
        ConfigurationError: It is none, or holds no refresh token.

    Source: int128/kubelogin, ``pkg/tokencache/repository``.
    """
    document = loaded(data, "kubelogin")
    return Kept(
        scopes=("openid",),
        refresh_token=_refresh_token(document, "refresh_token"),
        has_id_token=document.secret("id_token") is not None,
    )


def read_msal(data: bytes) -> list[Kept]:
    """Read MSAL's serialized token cache, such as the one of the Azure CLI: one for each account and client.

    A refresh token of a family of clients is taken for the client that got it, and for no other.

    Raises:
        ConfigurationError: It is none, or holds no refresh token.

    Source: AzureAD/microsoft-authentication-library-for-python, ``msal/token_cache.py``.
    """
    document = loaded(data, "MSAL")
    accounts = {each.text("home_account_id"): each for each in document.inners("Account")}
    found = [_of_msal(each, document, accounts) for each in document.inners("RefreshToken")]
    if not found:
        raise _nothing_to_go_on_with()
    return found


def _of_msal(token: Reader, document: Reader, accounts: dict[str, Reader]) -> Kept:
    person, client_id = token.text_or_none("home_account_id"), token.text("client_id")
    environment = token.text("environment")

    def of_same(kind: str) -> list[Reader]:
        return [
            each
            for each in document.inners(kind)
            if (each.text_or_none("home_account_id"), each.text_or_none("client_id")) == (person, client_id)
        ]

    id_tokens = of_same("IdToken")
    realm = id_tokens[0].text_or_none("realm") if id_tokens else None
    bearers = [each for each in of_same("AccessToken") if (each.text_or_none("token_type") or "Bearer") == "Bearer"]
    last = max(bearers, key=lambda each: each.instant("expires_on") or 0, default=None)
    until = None if last is None else last.instant("expires_on")
    account = accounts.get(person or "")
    return Kept(
        issuer=f"https://{environment}/{realm}/v2.0" if realm and environment in _ENTRA else None,
        client_id=client_id,
        account=account.text_or_none("username") if account else None,
        scopes=tuple(dict.fromkeys((*(last.words("target") if last else ()), "openid", "profile", "offline_access"))),
        refresh_token=_refresh_token(token, "secret"),
        access_token=last.secret("secret") if last and until else None,
        access_token_issued_at=last.instant("cached_at") if last else None,
        access_token_expires_at=until,
        has_id_token=bool(id_tokens),
    )


def _refresh_token(token: Reader, name: str) -> Secret:
    found = token.secret(name)
    if found is None:
        raise _nothing_to_go_on_with()
    return found


def _nothing_to_go_on_with() -> ConfigurationError:
    message = "The file holds no refresh token, so there is nothing to go on with. Sign in: doorward login"
    return ConfigurationError(message, field="FILE", reason="import_no_refresh_token")


def _refuse_bound(token: Reader) -> None:
    """Refuse a token that needs a key which its file does not hold."""
    if (token.text_or_none("token_type") or "bearer").lower() != "bearer":
        message = "The token is bound to a key that the file does not hold. Sign in: doorward login"
        raise ConfigurationError(message, field="FILE", reason="import_bound_token")
