"""Issuers that sign for anybody: whoever has an account there gets a token with any audience, or their user's.

With one of them a signature and an audience keep nobody out. Which of its claims say whose a token is stands here, so
that a guard can tell when none of them is required. An issuer of one organization alone (Bitbucket's and CircleCI's, by
their URL; GitHub's of one enterprise) is none of these.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from doorward.guard.issuers.tenants import TENANT

if TYPE_CHECKING:
    from doorward.guard.issuers.issuer import Issuer

__all__ = ["warning_for"]


class _Open(msgspec.Struct, frozen=True):
    """Who is let in by such an issuer, and what keeps strangers out."""

    who: str
    claims: frozenset[str]
    example: str
    common: str = ""
    """How everybody's ``sub`` begins."""


def _open(who: str, claims: str, example: str, common: str = "") -> _Open:
    return _Open(who, frozenset(claims.split()), example, common)


_OPEN: Final = {
    "https://token.actions.githubusercontent.com": _open(
        "every workflow on GitHub",
        "sub repository repository_id repository_owner repository_owner_id enterprise enterprise_id workflow_ref "
        "job_workflow_ref actor actor_id",
        '{"repository_owner": "acme"}',
        "repo:",
    ),
    "https://gitlab.com": _open(
        "everybody on GitLab.com",
        "sub namespace_id namespace_path project_id project_path user_id user_login groups groups_direct",
        '{"namespace_path": "acme"}',
        "project_path:",
    ),
    "https://accounts.google.com": _open(
        "every Google account, and every service account with any audience",
        "sub hd email azp",
        '{"hd": "example.org"}',
    ),
    "https://app.terraform.io": _open(
        "every workspace of HCP Terraform",
        "sub terraform_organization_id terraform_organization_name terraform_project_id terraform_workspace_id",
        '{"terraform_organization_name": "acme"}',
        "organization:",
    ),
    "https://agent.buildkite.com": _open(
        "every pipeline on Buildkite",
        "sub organization_id organization_slug",
        '{"organization_slug": "acme"}',
        "organization:",
    ),
    "https://oidc.codefresh.io": _open(
        "every pipeline on Codefresh", "sub account_id account_name", '{"account_id": "…"}', "account:"
    ),
    "https://oauth2.sigstore.dev/auth": _open(
        "everybody with an account at GitHub, Google or Microsoft", "sub email", '{"email": ["…"]}'
    ),
    "https://login.microsoftonline.com/9188040d-6c67-4c5b-b112-36a304b66dad/v2.0": _open(
        "every personal Microsoft account", "sub oid email", '{"oid": ["…"]}'
    ),
}
_OPEN["accounts.google.com"] = _OPEN["https://accounts.google.com"]
_TENANTS: Final = _open("every tenant, whoever made it", "tid sub oid", '{"tid": ["…"]}')


def warning_for(issuer: Issuer) -> str | None:
    """Say in words that this issuer lets anybody in, unless its settings keep strangers out."""
    is_template = TENANT in issuer.url
    found = _TENANTS if is_template and issuer.tenants is None else _OPEN.get(issuer.url)
    if found is None or any(
        each.name in found.claims and each.tells_some_from_others(found.common) for each in issuer.required_claims
    ):
        return None
    remedy = "tenants" if is_template else f"required_claims, such as {found.example}"
    return f"{issuer.url} signs for anybody: {found.who} can be let in here. Give this issuer {remedy}."
