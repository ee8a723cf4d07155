"""The records in Django's admin: what is history can be read and searched, never changed.

An application is changed through the same actions as on the pages, so that the same checks and Events hold here.
"""

from releases.admin.application import ApplicationAdmin, MoveAdmin, RefAdmin
from releases.admin.build import ArtifactAdmin, BuildAdmin, EnvironmentAdmin, ImageAdmin, PackageAdmin, StepAdmin
from releases.admin.people import AccountAdmin, RightsAdmin
from releases.admin.record import (
    ComparisonAdmin,
    CredentialAdmin,
    EventAdmin,
    LinkAdmin,
    PreparationAdmin,
    PreviewAdmin,
    WorkshopAdmin,
)

__all__ = [
    "AccountAdmin",
    "ApplicationAdmin",
    "ArtifactAdmin",
    "BuildAdmin",
    "ComparisonAdmin",
    "CredentialAdmin",
    "EnvironmentAdmin",
    "EventAdmin",
    "ImageAdmin",
    "LinkAdmin",
    "MoveAdmin",
    "PackageAdmin",
    "PreparationAdmin",
    "PreviewAdmin",
    "RefAdmin",
    "RightsAdmin",
    "StepAdmin",
    "WorkshopAdmin",
]
