from __future__ import annotations

from support.django_project.project import configure

configure()
