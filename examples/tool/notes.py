"""A command-line tool that signs a person in and calls an API with their token."""

import argparse
import os
import sys

import httpx2

import doorward
from doorward.errors import DoorwardError, SignInRequired
from doorward.integrations.httpx import BearerAuth

ISSUER = os.environ.get("NOTES_ISSUER", "https://id.example.org")
CLIENT_ID = os.environ.get("NOTES_CLIENT_ID", "notes-tool")
API = os.environ.get("NOTES_API", "https://notes.example.org")
INSECURE = os.environ.get("NOTES_INSECURE_LOOPBACK_HTTP") == "1"  # http to this computer, for development
SCOPES = ["openid", "email", "offline_access", "notes:read", "notes:write"]


def signed_in() -> doorward.Session:
    """Return the session of the last time; if there is none, or it has ended, ask the person to sign in."""
    try:
        session = doorward.open_session("notes")
        session.token()
    except SignInRequired:
        session = doorward.sign_in(ISSUER, CLIENT_ID, profile="notes", scopes=SCOPES, insecure_loopback_http=INSECURE)
    return session


def run(arguments: argparse.Namespace) -> None:
    """Do what was asked for."""
    if arguments.command == "sign-out":
        doorward.open_session("notes").sign_out()
        return
    auth = BearerAuth(signed_in(), origins=[API], insecure_loopback_http=INSECURE)
    with httpx2.Client(base_url=API, auth=auth) as api:
        if arguments.command == "add":
            api.post("/notes", json={"text": arguments.text}).raise_for_status()
        for note in api.get("/notes").raise_for_status().json():
            print(f"{note['by']}: {note['text']}")


def main() -> int:
    """Read the command line."""
    parser = argparse.ArgumentParser(description="Keep notes.")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("list", help="show all notes")
    commands.add_parser("add", help="add a note").add_argument("text")
    commands.add_parser("sign-out", help="sign out")
    try:
        run(parser.parse_args())
    except DoorwardError as error:
        print(error.message, file=sys.stderr)  # it says what to do, and holds no secret
        return 1
    except httpx2.HTTPError as error:
        print(f"The API did not answer as it should: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
