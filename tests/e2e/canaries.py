"""Secrets in the environment of the portal that all end-to-end tests use; test_canaries.py looks where they got."""

from __future__ import annotations

import secrets

CANARIES = {
    name: f"canary-{name.lower()}-{secrets.token_hex(8)}"
    for name in (
        "PORTAL_SECRET_KEY", "PORTAL_METRICS_TOKEN", "PGPASSWORD", "REDISCLI_AUTH", "GIT_TOKEN",
        "AWS_SECRET_ACCESS_KEY", "DOCKER_AUTH_CONFIG", "SSH_KEY_PASSPHRASE",
    )
}  # fmt: skip
