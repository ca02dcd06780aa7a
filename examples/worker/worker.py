"""A program that runs without a person, and calls an API with a token of its own."""

import argparse
import logging
import os
import time

import httpx2

from doorward import ClientCredentials
from doorward.errors import UnavailableError
from doorward.integrations.httpx import BearerAuth

log = logging.getLogger("worker")


def write_note(api: httpx2.Client) -> None:
    """Write one note. An outage is told and no reason to stop; everything else is."""
    try:
        answer = api.post("/notes", json={"text": time.strftime("It is %H:%M.")})
    except UnavailableError as error:
        log.warning("No token for now: %s", error.message)
        return
    except httpx2.TransportError as error:
        log.warning("The service is out of reach: %s", error)
        return
    if answer.is_server_error:
        log.warning("The service can't answer now: %s", answer.status_code)
        return
    answer.raise_for_status()
    log.info("Wrote a note.")


def main() -> None:
    """Write notes until somebody stops it."""
    parser = argparse.ArgumentParser(description="Write a note now and then.")
    parser.add_argument("--every", type=float, default=60, metavar="S", help="seconds between two notes")
    parser.add_argument("--once", action="store_true", help="write one note, and end")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    logging.getLogger("httpx2").setLevel(logging.WARNING)  # else it tells each request

    url = os.environ["NOTES_API"]
    insecure = os.environ.get("DOORWARD_INSECURE_LOOPBACK_HTTP") == "1"
    auth = BearerAuth(ClientCredentials.from_env(), origins=[url], insecure_loopback_http=insecure)
    with httpx2.Client(base_url=url, auth=auth) as api:
        write_note(api)
        while not arguments.once:
            time.sleep(arguments.every)
            write_note(api)


if __name__ == "__main__":
    main()
