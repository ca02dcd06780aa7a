"""An API with FastAPI, behind a guard."""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated

from fastapi import FastAPI, Security
from pydantic import BaseModel

from doorward import Principal
from doorward.guard import Guard
from doorward.integrations.asgi import GuardMiddleware
from doorward.integrations.fastapi import Authenticate

guard = Guard.from_file(os.environ.get("NOTES_GUARD", Path(__file__).with_name("guard.toml")))
caller = Authenticate(guard)
Reader = Annotated[Principal, Security(caller, scopes=["notes:read"])]
Writer = Annotated[Principal, Security(caller, scopes=["notes:write"])]


@asynccontextmanager
async def lifespan(_: FastAPI) -> AsyncIterator[None]:
    """Close the guard when the server stops: its audit log is then complete."""
    yield
    guard.close()


class Note(BaseModel):
    """What a caller writes."""

    text: str


api = FastAPI(title="Notes", lifespan=lifespan)
notes: list[dict[str, str]] = []


@api.get("/health")
def health() -> str:
    """Answer anybody."""
    return "well"


@api.get("/notes")
def read(_: Reader) -> list[dict[str, str]]:
    """Return all notes."""
    return notes


@api.post("/notes", status_code=201)
def write(note: Note, principal: Writer) -> None:
    """Keep a note, with the name of who wrote it."""
    notes.append({"by": principal.subject, "text": note.text})


app = GuardMiddleware(api, guard, public_paths=["/health"])
