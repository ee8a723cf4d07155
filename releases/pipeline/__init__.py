"""How a release is made: each step takes values and adapters and hands back values. No models, no queue, no states."""
