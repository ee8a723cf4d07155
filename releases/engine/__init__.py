"""The container engine in our words: the only room that knows Docker."""

from .docker_engine import INSTANCE_LABEL, DockerEngine, connect

__all__ = ["INSTANCE_LABEL", "DockerEngine", "connect"]
