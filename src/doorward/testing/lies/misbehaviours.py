"""All lies by name. Each changes one thing in what an otherwise honest issuer says."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING

from doorward.testing.lies.answers import ANSWER_LIES
from doorward.testing.lies.documents import DOCUMENT_LIES
from doorward.testing.lies.tokens import TOKEN_LIES

if TYPE_CHECKING:
    from collections.abc import Mapping

    from doorward.testing.provider.switches import Switch

__all__ = ["LIES", "MISBEHAVIOURS"]

LIES: Mapping[str, Switch] = MappingProxyType({lie.name: lie for lie in (*DOCUMENT_LIES, *ANSWER_LIES, *TOKEN_LIES)})

MISBEHAVIOURS: Mapping[str, str] = MappingProxyType({name: lie.description for name, lie in LIES.items()})
