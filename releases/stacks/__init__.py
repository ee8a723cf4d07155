"""Stacks: pairs of folders that build and run applications, and `stack.py`, which reads them."""
