"""Which models a Copilot account may use: what the API lists, and the policies to be accepted before it does."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import trio

from providers.copilot_endpoints import COPILOT_BASE_URL, versioned_base_url
from providers.copilot_headers import CLIENT_HEADERS, COPILOT
from runtime.errors import AgentrioError, OAuthError
from runtime.values.model import Model

from .web import Answer, WebRequest, fetch

if TYPE_CHECKING:
    import httpx

TIMEOUT = 5.0
_POLICIES_TIMEOUT = 60.0
_LONGEST_WAIT = 10
_API_VERSION = "2026-06-01"
_POLICY_HEADERS = {"openai-intent": "chat-policy", "x-interaction-type": "chat-policy"}
_NEEDS_VERSION = "anthropic-messages"


@dataclass(frozen=True, repr=False)
class CopilotModels:
    """The models of one account: where they are, and the Copilot token that opens the door."""

    base_url: str
    token: str
    http_client: "httpx.AsyncClient | None" = None

    async def available_ids(self) -> tuple[str, ...]:
        """The ids of the models that the account may use with tools, as the API orders them.

        Asked too often, the API is asked once more after as long as it says, at most ten seconds. Raises OAuthError, or an
        error of ``web``.
        """
        answer = await self._list()
        if answer.status == 429:
            await trio.sleep(retry_after(answer.headers))
            answer = await self._list()
        listing = answer.raise_for_status().json()
        return tuple(read_available_ids(listing, policies_count=self.base_url == COPILOT_BASE_URL))

    async def accept_policies(self) -> None:
        """Accept the terms of the models that wait for that, one after the other; what fails is left as it is.

        It ends after a minute at the latest, whatever the API lists.
        """
        with trio.move_on_after(_POLICIES_TIMEOUT):
            try:
                listing = (await self._list()).json()
            except AgentrioError:
                return
            for model_id in read_pending_ids(listing):
                await self.accept_policy(model_id)

    async def accept_policy(self, model_id: str) -> bool:
        """Accept the terms of one model; whether the API agreed."""
        url, headers = f"{self.base_url}/models/{model_id}/policy", {**self._headers(), **_POLICY_HEADERS}
        try:
            request = WebRequest.json(url, {"state": "enabled"}, headers)
            return (await fetch(request, within=TIMEOUT, http_client=self.http_client)).ok
        except AgentrioError:
            return False

    async def _list(self) -> Answer:
        headers = {**self._headers(), "X-GitHub-Api-Version": _API_VERSION}
        request = WebRequest.get(f"{self.base_url}/models", headers)
        return await fetch(request, within=TIMEOUT, http_client=self.http_client)

    def _headers(self) -> dict[str, str]:
        return {"Accept": "application/json", **CLIENT_HEADERS, "Authorization": f"Bearer {self.token}"}

    def __repr__(self) -> str:
        return f"<CopilotModels at {self.base_url}>"


def retry_after(headers: Mapping[str, str]) -> int:
    """Seconds to wait after a 429: whole numbers are believed, up to ten; otherwise one."""
    said = re.fullmatch(r"[0-9]{1,9}", headers.get("retry-after", ""))
    return min(int(said[0]), _LONGEST_WAIT) or 1 if said else 1


# What the API lists


def read_available_ids(listing: Any, *, policies_count: bool) -> list[str]:
    """The models that take tools and stand in the picker, unless their terms were refused.

    With ``policies_count``, where no model stands in the picker, those whose terms were accepted: some accounts of
    individuals have no picker.
    """
    data = listing.get("data") if isinstance(listing, dict) else None
    if not isinstance(data, list):
        raise OAuthError("Invalid Copilot models response")
    usable = [(model_id, item) for model_id, item in _models(data) if _takes_tools(item)]
    picked = [
        model_id
        for model_id, item in usable
        if item.get("model_picker_enabled") is True and _policy(item) != "disabled"
    ]
    if picked or not policies_count:
        return picked
    return [model_id for model_id, item in usable if _policy(item) == "enabled"]


def read_pending_ids(listing: Any) -> list[str]:
    """The models whose terms are not accepted yet; none in a listing that cannot be read."""
    data = listing.get("data") if isinstance(listing, dict) else None
    return [
        model_id
        for model_id, item in _models(data if isinstance(data, list) else [])
        if _policy(item) not in (None, "enabled")
    ]


def _models(data: Sequence[Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for item in data:
        match item:
            case {"id": str(model_id)}:
                yield model_id, item


def _takes_tools(item: Mapping[str, Any]) -> bool:
    match item:
        case {"capabilities": {"supports": {"tool_calls": False}}}:
            return False
    return True


def _policy(item: Mapping[str, Any]) -> str | None:
    match item:
        case {"policy": {"state": str(state)}}:
            return state
    return None


# What that means for models


def usable_models(models: Sequence[Model], base_url: str, available_ids: Sequence[str] | None) -> list[Model]:
    """The models as an account may use them: Copilot's at ``base_url``, and only those available, where that is known."""
    return [
        _placed(model, base_url) if model.provider == COPILOT else model
        for model in models
        if model.provider != COPILOT or available_ids is None or model.id in available_ids
    ]


def _placed(model: Model, base_url: str) -> Model:
    place = versioned_base_url(base_url) if model.api == _NEEDS_VERSION else base_url
    return model.model_copy(update={"base_url": place})
