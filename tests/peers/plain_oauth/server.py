"""An OAuth 2.1 server without OpenID Connect, django-oauth-toolkit, on loopback, for the tests.

    python server.py FOLDER

Prints its issuer when it listens, and ends when its standard input does, so that it can't outlive the tests. Alice is
signed in already; she only has to agree. ``native`` is a public client, ``service`` has the secret ``service-secret``.
"""

from __future__ import annotations

import os
import sys
import threading
from pathlib import Path
from wsgiref.simple_server import WSGIRequestHandler, make_server

import django
from django.conf import settings

FOLDER = Path(sys.argv[1])

settings.configure(
    SECRET_KEY="loopback tests only",
    ALLOWED_HOSTS=["127.0.0.1"],
    ROOT_URLCONF="urls",
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": FOLDER / "db.sqlite3"}},
    INSTALLED_APPS=["django.contrib.auth", "django.contrib.contenttypes", "django.contrib.sessions", "oauth2_provider"],
    MIDDLEWARE=[
        "django.contrib.sessions.middleware.SessionMiddleware",
        "django.middleware.csrf.CsrfViewMiddleware",
        "urls.alice_is_here",
    ],
    TEMPLATES=[{"BACKEND": "django.template.backends.django.DjangoTemplates", "APP_DIRS": True,
                "OPTIONS": {"context_processors": ["django.template.context_processors.request"]}}],
    USE_TZ=True,
    DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
    OAUTH2_PROVIDER={
        "SCOPES": {"read": "Read things", "write": "Write things"},
        "PKCE_REQUIRED": True,
        "ACCESS_TOKEN_EXPIRE_SECONDS": 300,
        "ROTATE_REFRESH_TOKEN": True,
        "DCR_ENABLED": True,
        "DCR_REGISTRATION_PERMISSION_CLASSES": ("oauth2_provider.dcr.AllowAllDCRPermission",),
    },
)  # fmt: skip
django.setup()

from django.contrib.auth import get_user_model  # noqa: E402 - Django wants its settings first
from django.core.management import call_command  # noqa: E402 - as above
from django.core.wsgi import get_wsgi_application  # noqa: E402 - as above
from oauth2_provider.models import Application  # noqa: E402 - as above


class Quiet(WSGIRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


def main() -> None:
    call_command("migrate", verbosity=0)
    get_user_model().objects.create_user("alice")
    code, credentials = Application.GRANT_AUTHORIZATION_CODE, Application.GRANT_CLIENT_CREDENTIALS
    Application.objects.create(
        client_id="native",
        client_type=Application.CLIENT_PUBLIC,
        authorization_grant_type=code,
        redirect_uris="http://127.0.0.1/callback",
    )
    Application.objects.create(
        client_id="service",
        client_secret="service-secret",
        client_type=Application.CLIENT_CONFIDENTIAL,
        authorization_grant_type=credentials,
    )
    with make_server("127.0.0.1", 0, get_wsgi_application(), handler_class=Quiet) as server:
        threading.Thread(target=_end_with_input, daemon=True).start()
        sys.stdout.write(f"http://127.0.0.1:{server.server_port}\n")
        sys.stdout.flush()
        server.serve_forever()


def _end_with_input() -> None:
    sys.stdin.read()
    os._exit(0)


if __name__ == "__main__":
    main()
