"""Mix the positions of one stream: self-attention and its alternatives."""
