"""What is said: frozen values that can be written to JSON and read back. No trio, no I/O."""
