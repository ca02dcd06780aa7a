"""An issuer to try the examples with: it stands in for your provider, on this computer alone."""

import argparse
import contextlib
import threading

from doorward.testing import DevIssuer

parser = argparse.ArgumentParser(description="An issuer to try the examples with.")
parser.add_argument("--port", type=int, default=8765, help="8765 if not given; 0 takes a free one")

with DevIssuer(port=parser.parse_args().port) as issuer:
    issuer.change(default_audience="notes")
    issuer.add_client("notes-tool")
    issuer.add_client("notes-worker", secret="for-development-only")
    issuer.add_user("alice", email="alice@example.org")
    print(f"The issuer is {issuer.url}. Ctrl-C ends it.", flush=True)
    with contextlib.suppress(KeyboardInterrupt):
        threading.Event().wait()
