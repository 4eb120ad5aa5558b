"""OpenRouter's images."""

from .handle import from_env, images
from .options import OpenRouterImagesOptions

__all__ = ["OpenRouterImagesOptions", "from_env", "images"]
