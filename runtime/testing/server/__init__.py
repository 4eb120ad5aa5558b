"""A server on loopback that plays a provider: the engine that speaks HTTP, its steps, and the fake server itself."""
