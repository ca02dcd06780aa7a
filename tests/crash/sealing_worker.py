"""The processes of the crash tests of sealing, as a program of its own: it may fork and kill without harm.

``chance FOLDER SOURCE COUNT`` kills seals, rotations and unseals at random moments, beside a session that refreshes.
``steps FOLDER SOURCE`` kills them at each single step: at the first file that is made, renamed or removed, or the
first call of the keyring, at the second, and so on, until one comes through. Both look after each kill whether
everything is there, and report as JSON.
"""

from __future__ import annotations

import json
import os
import random
import signal
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from doorward.errors import DoorwardError
from doorward.model import Secret
from doorward.vault.entries import ProfileEntry
from doorward.vault.institution_entries import InstitutionEntry, KeptCookie
from doorward.vault.sealing import secret_service
from doorward.vault.sealing.changing import Sealing
from doorward.vault.vault import Vault

if TYPE_CHECKING:
    from collections.abc import Callable

    from doorward.vault.sealing.seal import Source

CHANGES = ("seal", "rotate", "unseal")
PROFILES = ("home", "work", "lab")
ASIDE = "profile-work.json.corrupt-20261121T222640Z-01234567"
assert secret_service  # so that no child has to import it


def entry(profile: str, number: int) -> ProfileEntry:
    text = Secret(f"planted-{number}." * (1 + number % 5 * 100))
    return ProfileEntry(
        profile=profile,
        issuer="https://id.example.org",
        client_id="cli",
        client_authentication="none",
        created_at=0,
        access_token=text,
        refresh_token=text,
        failures=number,
    )


def institution() -> InstitutionEntry:
    cookie = KeptCookie(name="session", value=Secret("planted-cookie"), domain="jcu.example", expires=-1.0)
    return InstitutionEntry(
        name="jcu",
        where="jcu.example",
        institution_url="https://jcu.example/",
        target="https://jcu.example/paper",
        user_agent="Browser",
        signed_in_at=0,
        created_at=0,
        proven_at=0,
        cookies=(cookie,),
    )


def fill(vault: Vault) -> None:
    for profile in PROFILES:
        vault.put(entry(profile, 0))
    vault.institutions.put(institution())
    aside = Path(vault.folder) / ASIDE
    aside.write_bytes(b"planted-aside")
    aside.chmod(0o600)


def child(act: Callable[[], None]) -> int:
    """Do it in a child that knows no key yet, and return its number."""
    number = os.fork()
    if number == 0:
        try:
            act()
        except DoorwardError as error:
            os.write(2, f"{error.code} {error.reason}: {error.message}\n".encode())
            os._exit(1)
        except BaseException as error:  # noqa: BLE001 - the report shows it
            os.write(2, f"{error!r}\n".encode())
            os._exit(2)
        os._exit(0)
    return number


def ended(number: int) -> int:
    return os.waitstatus_to_exitcode(os.waitpid(number, 0)[1])


def sealing(vault: Vault) -> Sealing:
    return Sealing(vault.folder, (vault.profiles, vault.institutions))


def change(vault: Vault, kind: str, source: Source) -> None:
    if kind == "seal":
        sealing(vault).seal(source)
    elif kind == "rotate":
        sealing(vault).rotate()
    else:
        sealing(vault).unseal()


def found(vault: Vault) -> dict[str, object]:
    """Say, as a process that starts now, how far each entry is; None for one that is lost. And how the vault stands."""
    reader, writer = os.pipe()

    def look() -> None:
        told: dict[str, object] = {}
        for profile in PROFILES:
            held = vault.get(profile)
            told[profile] = held.failures if held is not None and held == entry(profile, held.failures) else None
        told["jcu"] = 0 if vault.institutions.get("jcu") == institution() else None
        told["aside"] = 0 if (Path(vault.folder) / ASIDE).exists() else None
        standing = sealing(vault).standing()
        told["state"], told["plain"] = standing.state, [*standing.plain]
        os.write(writer, json.dumps(told).encode())

    failed = ended(child(look))
    os.close(writer)
    with open(reader, "rb") as answer:
        text = answer.read()
    return {} if failed else json.loads(text)


def check(vault: Vault, least: dict[str, int], report: dict[str, int]) -> str:
    """Count what is unreadable or lost, and return how the vault stands."""
    told = found(vault)
    if not told:
        report["unreadable"] += 1
        return "?"
    for name, at_least in least.items():
        held = told[name]
        if not isinstance(held, int) or not at_least <= held <= at_least + 1:
            report["lost"] += 1
        else:
            least[name] = held
    state = str(told["state"])
    report["in_plain_though_sealed"] += state in {"sealed", "rotating"} and told["plain"] != []
    report[state] = report.get(state, 0) + 1
    return state


def new_report() -> dict[str, int]:
    return dict.fromkeys(("kills", "unreadable", "lost", "in_plain_though_sealed", "not_completed"), 0)


def settle(vault: Vault, state: str, source: Source, report: dict[str, int]) -> None:
    """Run what was cut off once more: it has to come through."""
    for kind, begun in (("seal", "sealing"), ("rotate", "rotating"), ("unseal", "unsealing")):
        if state == begun:
            report["not_completed"] += ended(child(lambda kind=kind: change(vault, kind, source))) != 0


def steps(folder: str, source: Source) -> dict[str, int]:
    report = new_report()
    for kind in CHANGES:
        step, killed = 0, True
        while killed:
            step += 1
            vault = Vault(f"{folder}-{kind}-{step}")
            fill(vault)
            least = dict.fromkeys((*PROFILES, "jcu", "aside"), 0)
            if kind != "seal":
                ended(child(lambda vault=vault: change(vault, "seal", source)))

            def act(kind: str = kind, step: int = step, vault: Vault = vault) -> None:
                passed = 0

                def count(event: str, arguments: tuple[object, ...]) -> None:
                    nonlocal passed
                    if is_step(event, arguments, source):
                        passed += 1
                        if passed == step:
                            os.kill(os.getpid(), signal.SIGKILL)

                sys.addaudithook(count)
                change(vault, kind, source)

            killed = ended(child(act)) == -signal.SIGKILL
            report["kills"] += killed
            state = check(vault, least, report)
            settle(vault, state, source, report)
            check(vault, least, report)
        report[f"steps of {kind}"] = step
    return report


def is_step(event: str, arguments: tuple[object, ...], source: Source) -> bool:
    if source == "keyring":  # the others are the same as with a key file
        return event == "socket.connect" or (event in {"os.rename", "os.remove"} and "seal.json" in str(arguments))
    makes = event == "open" and int(str(arguments[2])) & os.O_EXCL
    return bool(makes) or event in {"os.rename", "os.remove"}


def chance(folder: str, source: Source, count: str) -> dict[str, int]:
    vault, report = Vault(folder), new_report()
    fill(vault)
    least = dict.fromkeys((*PROFILES, "jcu", "aside"), 0)
    state, longest_s = "plain", 0.05
    for turn in range(int(count)):
        profile = PROFILES[turn % len(PROFILES)]
        reader, writer = os.pipe()

        def refresh(profile: str = profile, writer: int = writer) -> None:
            while True:
                with vault.lock(profile) as lock:
                    while not lock.try_acquire():
                        time.sleep(0.001)
                    held = vault.get(profile)
                    vault.put(entry(profile, held.failures + 1))
                    os.write(writer, (held.failures + 1).to_bytes(8, "big"))
                time.sleep(0.002)

        kind = random.choice([each for each in CHANGES if (each == "seal") == (state == "plain")])  # noqa: S311 - chance
        session = child(refresh)
        os.close(writer)
        begins, begun = os.pipe()

        def changes(kind: str = kind, begun: int = begun) -> None:
            os.write(begun, b".")
            change(vault, kind, source)

        changing = child(changes)
        os.read(begins, 1)  # a busy machine may take long to start it
        os.close(begins)
        os.close(begun)
        began_at = time.monotonic()
        time.sleep(random.uniform(0, longest_s))  # noqa: S311 - chance is enough
        os.kill(changing, signal.SIGKILL)
        killed = ended(changing) == -signal.SIGKILL
        report["kills"] += killed
        took_s = time.monotonic() - began_at
        os.kill(session, signal.SIGKILL)
        ended(session)
        with open(reader, "rb") as told:
            acknowledged = told.read()[-8:]
        if acknowledged:
            least[profile] = int.from_bytes(acknowledged, "big")
        before, state = state, check(vault, least, report)
        if not killed:  # it was done before: the kills shall fall within it
            longest_s = 0.9 * longest_s + 0.1 * took_s
        elif state == before:  # nothing had been changed yet
            longest_s = min(1.3 * longest_s, 5.0)
        if random.random() < 0.5:  # noqa: S311 - else the next one comes upon what was left
            settle(vault, state, source, report)
            state = check(vault, least, report)
    return report


if __name__ == "__main__":
    print("ready", flush=True)  # noqa: T201 - the tests listen
    print(json.dumps({"chance": chance, "steps": steps}[sys.argv[1]](*sys.argv[2:])))  # noqa: T201 - the same
