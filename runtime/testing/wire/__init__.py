"""What servers of the three chat APIs send: a reply as the bytes of its server-sent events."""
