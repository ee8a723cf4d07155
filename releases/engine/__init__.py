"""The container engine in our words: the only room that knows Docker."""

from .cage import Cage, reached_by_builds
from .docker_engine import INSTANCE_LABEL, DockerEngine, connect
from .firewall import Firewall

__all__ = ["INSTANCE_LABEL", "Cage", "DockerEngine", "Firewall", "connect", "reached_by_builds"]
