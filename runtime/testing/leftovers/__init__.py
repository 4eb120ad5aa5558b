"""What a piece of a program leaves behind: each kind of thing has a watch, and one assertion asks them all."""
