"""What a way to log in must be able to do."""

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

from runtime.values.model import Model

from .callbacks import OAuthLoginCallbacks
from .credentials import OAuthCredentials


@runtime_checkable
class OAuthProvider(Protocol):
    """One account system: how to log in, how to keep the login fresh, and what it is good for.

    Implementations hold no credentials and may be shared; register one with ``register_oauth_provider``.
    """

    @property
    def id(self) -> str:
        """The id under which it is registered, and its credentials are kept: that of the models' provider."""
        ...

    @property
    def name(self) -> str:
        """The name to show to people."""
        ...

    @property
    def uses_callback_server(self) -> bool:
        """Whether a login waits for the browser on a loopback port."""
        ...

    async def login(self, callbacks: OAuthLoginCallbacks) -> OAuthCredentials:
        """Log in with the user's help. Raises OAuthError, ``Login cancelled`` when ``callbacks.abort`` is set.

        Cancelled, it leaves no listener and no task behind. Nothing is stored: that is the caller's part.
        """
        ...

    async def refresh_token(self, credentials: OAuthCredentials) -> OAuthCredentials:
        """Trade credentials for fresh ones; extras that it does not know stay. Raises an AgentrioError."""
        ...

    def get_api_key(self, credentials: OAuthCredentials) -> str:
        """What a model call takes as its API key."""
        ...

    def modify_models(self, models: Sequence[Model], credentials: OAuthCredentials) -> list[Model]:
        """The models as these credentials may use them; those of other providers as they are."""
        ...
