"""S26: what makes a sign-in stronger, used where it is offered, demanded where somebody asks for it (decision 18)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from people import Onlooker

if TYPE_CHECKING:
    from collections.abc import Callable

    import doorward
    from doorward.testing import DevIssuer


@pytest.mark.usefixtures("person")
def test_the_browser_carries_nothing_but_what_was_pushed(
    issuer: DevIssuer, sign_in: Callable[..., doorward.Session]
) -> None:
    issuer.change(pushed_requests="required")
    assert sign_in(prompt=Onlooker()).principal.subject == "alice"
    assert issuer.count("par") == 1


@pytest.mark.parametrize("method", ["client_secret_basic", "client_secret_post"])
@pytest.mark.usefixtures("person")
def test_a_confidential_client_pushes_too(
    issuer: DevIssuer, sign_in: Callable[..., doorward.Session], method: Any
) -> None:
    issuer.change(pushed_requests="required")
    issuer.add_client("web", secret="s3cret", methods=[method])
    session = sign_in("web", client_secret="s3cret", secret_method=method, prompt=Onlooker())
    assert session.principal.subject == "alice"
