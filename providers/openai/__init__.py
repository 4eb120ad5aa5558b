"""OpenAI's APIs, and what speaks them."""

from .handle import chat_completions, embeddings, from_env, images, responses
from .image_options import OpenAIImagesOptions
from .options import OpenAICompletionsOptions
from .responses_options import OpenAIResponsesOptions

__all__ = [
    "OpenAICompletionsOptions",
    "OpenAIImagesOptions",
    "OpenAIResponsesOptions",
    "chat_completions",
    "embeddings",
    "from_env",
    "images",
    "responses",
]
