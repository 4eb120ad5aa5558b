"""Calls whose answer comes whole: the kernel's own, here beside the handles that make their models."""

from runtime.streams.embeddings import embed, embed_many
from runtime.streams.images import generate_images

__all__ = ["embed", "embed_many", "generate_images"]
