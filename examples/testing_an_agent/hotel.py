"""A hotel whose desk is an agent: a small application, to be tested in ``test_hotel.py``."""

from contextlib import AbstractAsyncContextManager

import trio

from runtime import Agent, Model, open_agent
from tools import tool


class Hotel:
    """A number of rooms. One is held while it is being paid for; then it is booked, or free again."""

    def __init__(self, rooms: int) -> None:
        self.free = rooms
        self.guests: list[str] = []

    @tool
    async def book_room(self, guest: str) -> str:
        """Book a room."""
        if not self.free:
            raise LookupError("no room is free")
        self.free -= 1
        try:
            await trio.sleep(2)  # the bank
        except trio.Cancelled:
            self.free += 1
            raise
        self.guests.append(guest)
        return f"A room is booked for {guest}."

    @tool
    async def count_free_rooms(self) -> str:
        """Count the rooms that are free."""
        return f"{self.free} rooms are free."


def open_desk(hotel: Hotel, model: Model) -> AbstractAsyncContextManager[Agent]:
    """The desk of a hotel: it answers guests, and books rooms."""
    return open_agent(
        model,
        system_prompt="You work at the desk of a small hotel. Be brief.",
        tools=[hotel.book_room, hotel.count_free_rooms],
    )
