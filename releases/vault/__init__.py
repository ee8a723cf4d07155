"""Secrets at rest: sealed with a key of the portal's own, which lies outside the database.

`sealing` is for whoever takes a secret in, which is the web; `opening` is for the worker that runs git, and for the
command that changes the key. pyproject.toml keeps the web from importing it.
"""
