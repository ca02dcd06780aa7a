"""One process of the refresh race: opens a profile, waits for "go", asks for a token from many threads or tasks.

Arguments: profile, how many, "threads" or "tasks". Prints READY, then a line for each answer: a digest of the token, or
the name and reason of the error.
"""

from __future__ import annotations

import asyncio
import hashlib
import sys
from concurrent.futures import ThreadPoolExecutor

import doorward
import doorward.http.wire
from doorward.errors import DoorwardError


def shown(token: str) -> str:
    return "token " + hashlib.sha256(token.encode()).hexdigest()


def ask(session: doorward.Session) -> str:
    try:
        return shown(session.token())
    except DoorwardError as error:
        return f"{type(error).__name__} {error.reason}"


async def ask_in_tasks(session: doorward.Session, many: int) -> list[str]:
    answers = await asyncio.gather(*(session.atoken() for _ in range(many)), return_exceptions=True)
    return [answer.__class__.__name__ if isinstance(answer, BaseException) else shown(answer) for answer in answers]


profile, many, how = sys.argv[1], int(sys.argv[2]), sys.argv[3]
session = doorward.open_session(profile)
sys.stdout.write("READY\n")
sys.stdout.flush()
sys.stdin.readline()
if how == "tasks":
    answers = asyncio.run(ask_in_tasks(session, many))
else:
    with ThreadPoolExecutor(many) as pool:
        answers = list(pool.map(lambda _: ask(session), range(many)))
sys.stdout.write("\n".join(answers) + "\n")
