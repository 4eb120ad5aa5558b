"""How one reply arrives: events, the assembler that alone makes them, and the stream that carries them."""
