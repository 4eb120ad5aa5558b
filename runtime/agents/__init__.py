"""Who acts: agents, their tools, and the loop between them and a model."""
