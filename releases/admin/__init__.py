"""The records in Django's admin: what is history can be read and searched, never changed.

An application is changed through the same actions as on the pages, so that the same checks and Events hold here.
"""

from releases.admin.application import ApplicationAdmin, RefAdmin
from releases.admin.build import ArtifactAdmin, BuildAdmin, EnvironmentAdmin, ImageAdmin, PackageAdmin, StepAdmin
from releases.admin.record import ComparisonAdmin, EventAdmin, PreparationAdmin, PreviewAdmin, WorkshopAdmin

__all__ = [
    "ApplicationAdmin",
    "ArtifactAdmin",
    "BuildAdmin",
    "ComparisonAdmin",
    "EnvironmentAdmin",
    "EventAdmin",
    "ImageAdmin",
    "PackageAdmin",
    "PreparationAdmin",
    "PreviewAdmin",
    "RefAdmin",
    "StepAdmin",
    "WorkshopAdmin",
]
