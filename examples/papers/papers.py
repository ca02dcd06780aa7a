"""Fetches papers with the session at an institution."""

import argparse
import sys

from doorward.errors import DoorwardError
from doorward.institution import Institution
from doorward.papers import Library, Outcome


def tell(outcome: Outcome) -> None:
    """Say what became of one paper."""
    if outcome.is_saved:
        print(f"{outcome.path} ({outcome.bytes} bytes)")
    else:
        print(f"{outcome.url}: {outcome.outcome} ({outcome.reason})")


def main() -> int:
    """Read the command line; return 0 if all papers were saved."""
    parser = argparse.ArgumentParser(description="Fetch papers.")
    parser.add_argument("institution", help="the name it was signed in under")
    parser.add_argument("url", nargs="+", help="of a PDF, or of an article's page")
    parser.add_argument("--to", default="papers", metavar="FOLDER")
    parser.add_argument("--year", type=int)
    arguments = parser.parse_args()
    try:
        session = Institution.named(arguments.institution).open_session()
        if not session.is_authenticated():
            print(f"Sign in again: doorward institution login {arguments.institution}", file=sys.stderr)
            return 1
        outcomes = Library(arguments.to, session).fetch(*arguments.url, year=arguments.year)
    except DoorwardError as error:
        print(error.message, file=sys.stderr)
        return 1
    for outcome in outcomes:
        tell(outcome)
    return 0 if all(outcome.is_saved for outcome in outcomes) else 1


if __name__ == "__main__":
    sys.exit(main())
