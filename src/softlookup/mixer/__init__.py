"""Mix the positions of one stream: self-attention, and what can stand in its place."""
