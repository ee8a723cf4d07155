"""The records, one noun a file. Who reads `build.py` and `releases/specs.py` knows the product."""

from releases.models.application import Application, ProbePolicyChoices
from releases.models.artifact import Artifact
from releases.models.budget import BudgetPolicyChoices
from releases.models.build import Build
from releases.models.comparison import Comparison, builds_to_compare, last_good
from releases.models.credential import Credential, CredentialKind
from releases.models.environment import Environment
from releases.models.event import Actor, Event
from releases.models.image import Image
from releases.models.link import Link
from releases.models.move import Move
from releases.models.package import Package
from releases.models.preparation import AnewChoices, Preparation, PreparationState
from releases.models.preview import Preview, PreviewState
from releases.models.queue import Pause, in_line, measures, move_to_front, next_build, priority_of, turn_of
from releases.models.rebase import rebasable
from releases.models.ref import Ref, RefKindChoices, SignatureChoices
from releases.models.states import LEASED, TURNS, WORKING, Outcome, State
from releases.models.step import Step, StepName, StepResult
from releases.models.tally import BOUNDS, NO_TIME, Tally
from releases.models.wanted import Wanted
from releases.models.workshop import Workshop

__all__ = [
    "BOUNDS",
    "LEASED",
    "NO_TIME",
    "TURNS",
    "WORKING",
    "Actor",
    "AnewChoices",
    "Application",
    "Artifact",
    "BudgetPolicyChoices",
    "Build",
    "Comparison",
    "Credential",
    "CredentialKind",
    "Environment",
    "Event",
    "Image",
    "Link",
    "Move",
    "Outcome",
    "Package",
    "Pause",
    "Preparation",
    "PreparationState",
    "Preview",
    "PreviewState",
    "ProbePolicyChoices",
    "Ref",
    "RefKindChoices",
    "SignatureChoices",
    "State",
    "Step",
    "StepName",
    "StepResult",
    "Tally",
    "Wanted",
    "Workshop",
    "builds_to_compare",
    "in_line",
    "last_good",
    "measures",
    "move_to_front",
    "next_build",
    "priority_of",
    "rebasable",
    "turn_of",
]
