"""Pages for people who run a project: what was sent and why not, composing, persons."""

from clarion.dashboard.app import DashboardApp
from clarion.dashboard.services import Services
from clarion.dashboard.session import PREFIX

__all__ = ["PREFIX", "DashboardApp", "Services"]
