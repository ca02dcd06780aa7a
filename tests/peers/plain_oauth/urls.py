"""What the server answers, and who is signed in there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.contrib.auth import get_user_model
from django.http import HttpResponse, JsonResponse
from django.urls import include, path
from oauth2_provider.decorators import protected_resource

if TYPE_CHECKING:
    from collections.abc import Callable

    from django.http import HttpRequest


def alice_is_here(respond: Callable[[HttpRequest], HttpResponse]) -> Callable[[HttpRequest], HttpResponse]:
    def middleware(request: Any) -> HttpResponse:
        request.user = get_user_model().objects.get(username="alice")
        return respond(request)

    return middleware


@protected_resource(scopes=["read"])
def things(request: Any) -> JsonResponse:
    return JsonResponse({"owner": request.resource_owner.username})


urlpatterns = [path("", include("oauth2_provider.urls", namespace="oauth2_provider")), path("things", things)]
