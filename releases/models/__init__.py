"""The records, one noun a file. Who reads `build.py` and `releases/specs.py` knows the product."""

from releases.models.application import Application, ProbePolicyChoices
from releases.models.artifact import Artifact
from releases.models.build import Build
from releases.models.environment import Environment
from releases.models.event import Actor, Event
from releases.models.image import Image
from releases.models.package import Package
from releases.models.preparation import AnewChoices, Preparation, PreparationState
from releases.models.preview import Preview, PreviewState
from releases.models.rebase import rebasable
from releases.models.ref import Ref, RefKindChoices
from releases.models.states import LEASED, WORKING, Outcome, State
from releases.models.step import Step, StepName, StepResult
from releases.models.wanted import Wanted
from releases.models.workshop import Workshop

__all__ = [
    "LEASED",
    "WORKING",
    "Actor",
    "AnewChoices",
    "Application",
    "Artifact",
    "Build",
    "Environment",
    "Event",
    "Image",
    "Outcome",
    "Package",
    "Preparation",
    "PreparationState",
    "Preview",
    "PreviewState",
    "ProbePolicyChoices",
    "Ref",
    "RefKindChoices",
    "State",
    "Step",
    "StepName",
    "StepResult",
    "Wanted",
    "Workshop",
    "rebasable",
]
