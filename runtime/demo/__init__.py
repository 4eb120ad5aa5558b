"""``python -m runtime.demo``: the main job at work, on a scripted model or at a real endpoint."""
