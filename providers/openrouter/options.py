"""What OpenRouter's images take beside the options that all calls have."""

from dataclasses import dataclass

from runtime.values.checks import check_type
from runtime.values.options import StreamOptions


@dataclass(frozen=True, kw_only=True, repr=False)
class OpenRouterImagesOptions(StreamOptions):
    """Options of an OpenRouter image call; None leaves one to the model, and not every model knows them.

    ``aspect_ratio``: such as ``16:9``. ``image_size``: ``1K``, ``2K``, ``4K``.
    """

    aspect_ratio: str | None = None
    image_size: str | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        check_type("aspect_ratio", self.aspect_ratio, str | None)
        check_type("image_size", self.image_size, str | None)
