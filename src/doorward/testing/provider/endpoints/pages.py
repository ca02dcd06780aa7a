"""The pages a person sees: sign-in, device, signed out, error. Text in, HTML out; no script, nothing unescaped."""

from __future__ import annotations

import base64
import hashlib
from html import escape
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from doorward.testing.provider.web import Reply

if TYPE_CHECKING:
    from doorward.testing.provider.core import Core
    from doorward.testing.provider.store import Authorization, Device

__all__ = ["device_page", "error_page", "message_page", "sign_in_page"]

_STYLE = """
:root { color-scheme: light dark; --ground: #f4f5f7; --card: #fff; --ink: #1b1f24; --soft: #55606e;
  --line: #8a94a0; --act: #0b57d0; --on-act: #fff; --warn: #7a4100; --warn-ground: #fff1dc; }
@media (prefers-color-scheme: dark) { :root { --ground: #14171b; --card: #1e2329; --ink: #eceff2; --soft: #a9b3be;
  --line: #76818d; --act: #9cc2ff; --on-act: #08264f; --warn: #ffd9a0; --warn-ground: #402a08; } }
* { box-sizing: border-box; }
body { margin: 0; min-height: 100vh; display: grid; place-items: center; padding: 1.5rem; background: var(--ground);
  color: var(--ink); font: 1rem/1.55 system-ui, sans-serif; }
main { width: 100%; max-width: 30rem; background: var(--card); border-radius: 1rem; overflow: hidden;
  box-shadow: 0 .1rem .3rem #0003, 0 .75rem 2.5rem #0002; }
.notice { margin: 0; padding: .6rem 2rem; background: var(--warn-ground); color: var(--warn); font-size: .9rem;
  font-weight: 600; }
.content { padding: 1.5rem 2rem 2rem; }
h1 { margin: 0 0 .5rem; font-size: 1.5rem; line-height: 1.25; }
p { margin: 0 0 1rem; } form + p { margin: 1.25rem 0 0; }
.soft { color: var(--soft); font-size: .9rem; } strong { overflow-wrap: anywhere; }
fieldset { border: 0; margin: 0 0 1.25rem; padding: 0; } legend { padding: 0; margin-bottom: .5rem; font-weight: 600; }
.choice { display: flex; gap: .75rem; align-items: center; padding: .7rem .9rem; margin-bottom: .5rem;
  border: 1px solid var(--line); border-radius: .6rem; cursor: pointer; }
.choice:has(:checked) { border-color: var(--act); outline: 1px solid var(--act); }
.choice input { width: 1.15rem; height: 1.15rem; margin: 0; accent-color: var(--act); }
.choice small { display: block; color: var(--soft); font-size: .875rem; }
ul { margin: 0 0 1.25rem; padding-left: 1.2rem; }
.code { font: 600 1.5rem/1.4 ui-monospace, monospace; letter-spacing: .12em; }
input[type=text] { width: 100%; padding: .7rem .9rem; border: 1px solid var(--line); border-radius: .6rem;
  font: 1.1rem ui-monospace, monospace; letter-spacing: .1em; background: var(--card); color: var(--ink); }
label.above { display: block; margin-bottom: .4rem; font-weight: 600; }
.buttons { display: flex; gap: .75rem; flex-wrap: wrap; margin-top: 1.25rem; }
button { flex: 1 1 8rem; min-height: 2.9rem; padding: .6rem 1.2rem; border-radius: .6rem; font: inherit;
  font-weight: 600; border: 1px solid var(--act); background: transparent; color: var(--act); cursor: pointer; }
button.main { background: var(--act); color: var(--on-act); }
:focus-visible { outline: 3px solid var(--act); outline-offset: 2px; }
"""
_STYLE_HASH = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()

_SCOPE_WORDS = {
    "openid": "know who you are",
    "email": "see your e-mail address",
    "profile": "see your name and groups",
    "groups": "see your groups",
    "offline_access": "stay signed in when you are away",
}


def sign_in_page(core: Core, interaction_id: str, asked: Authorization, *, current: str | None = None) -> Reply:
    """Ask who signs in, and whether the client may. ``current`` is the subject that the browser's session is for."""
    target = _origin(asked.redirect_uri)
    body = f"""
<h1>Sign in</h1>
<p><strong>{escape(asked.client_id)}</strong> asks you to sign in. It would like to:</p>
{_scope_list(asked.scopes)}
<form method="post" action="{escape(core.endpoint("authorize"))}/decide">
{_decision(core, interaction_id, current)}
</form>
<p class="soft">You go back to <strong>{escape(target)}</strong> afterwards.</p>"""
    return _page("Sign in", body, form_target=target)


def device_page(core: Core, *, interaction_id: str = "", device: Device | None = None, problem: str = "") -> Reply:
    """Ask for the code that a device shows, or, once it is known, whether the device may sign in."""
    action = escape(core.endpoint("device"))
    if device is None:
        body = f"""
<h1>Connect a device</h1>
<p>{escape(problem) or "Type the code that your device or terminal shows."}</p>
<form method="get" action="{action}">
<label class="above" for="user_code">Code</label>
<input type="text" id="user_code" name="user_code" required maxlength="20" autocomplete="off" spellcheck="false"
 autocapitalize="characters">
<div class="buttons"><button class="main" type="submit">Continue</button></div>
</form>"""
        return _page("Connect a device", body, status=400 if problem else 200)
    body = f"""
<h1>Connect a device</h1>
<p>Does your device or terminal show this code? If not, or if somebody else sent it to you, deny.</p>
<p class="code">{escape(device.user_code)}</p>
<p><strong>{escape(device.client_id)}</strong> would like to:</p>
{_scope_list(device.scopes)}
<form method="post" action="{action}/decide">
{_decision(core, interaction_id, None)}
</form>"""
    return _page("Connect a device", body)


def message_page(title: str, text: str, *, status: int = 200) -> Reply:
    """Tell the person how something ended."""
    return _page(title, f"<h1>{escape(title)}</h1><p>{escape(text)}</p>", status=status)


def error_page(text: str, *, status: int = 400) -> Reply:
    """Tell the person what is wrong, where the browser can't be sent back to the client."""
    return message_page("This request can't go on", text, status=status)


def _scope_list(scopes: tuple[str, ...]) -> str:
    items = "".join(f"<li>{escape(_SCOPE_WORDS.get(scope, f'use the scope {scope}'))}</li>" for scope in scopes)
    return f"<ul>{items or '<li>nothing in particular</li>'}</ul>"


def _decision(core: Core, interaction_id: str, current: str | None) -> str:
    chosen = next((name for name, user in core.users.items() if user.subject == current), next(iter(core.users), ""))
    choices = "".join(
        f'<label class="choice"><input type="radio" name="user" value="{escape(name)}" required'
        f"{' checked' if name == chosen else ''}><span>{escape(user.full_name or name)}"
        f"<small>{escape(user.email or user.subject)}</small></span></label>"
        for name, user in core.users.items()
    )
    people = f"<fieldset><legend>Continue as</legend>{choices}</fieldset>"
    nobody = "<p>This issuer has no users yet. Add one with <code>add_user</code>.</p>"
    allow = '<button class="main" name="decision" value="allow">Allow</button>' if core.users else ""
    return f"""<input type="hidden" name="interaction" value="{escape(interaction_id)}">
{people if core.users else nobody}
<div class="buttons">{allow}<button name="decision" value="deny" formnovalidate>Deny</button></div>"""


def _origin(uri: str) -> str:
    parts = urlsplit(uri)
    return f"{parts.scheme}://{parts.netloc}" if parts.netloc else ""


def _page(title: str, body: str, *, status: int = 200, form_target: str = "") -> Reply:
    policy = (
        f"default-src 'none'; style-src 'sha256-{_STYLE_HASH}'; base-uri 'none'; frame-ancestors 'none'; "
        f"form-action 'self' {form_target}".rstrip()
    )
    html = f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{escape(title)} · Development issuer</title>
<style>{_STYLE}</style>
</head>
<body>
<main>
<p class="notice">Development issuer. Do not use in production.</p>
<div class="content">{body}
</div>
</main>
</body>
</html>
"""
    headers = (
        ("Content-Security-Policy", policy),
        ("X-Content-Type-Options", "nosniff"),
        ("X-Frame-Options", "DENY"),
        # same-origin and not no-referrer: with the latter, browsers send `Origin: null` with our own form
        ("Referrer-Policy", "same-origin"),
        ("Cache-Control", "no-store"),
    )
    return Reply(status=status, body=html.encode(), content_type="text/html; charset=utf-8", headers=headers)
