"""The way, to be seen: a small invented shop whose orders become notifications, and a page that tells what happened."""

from clarion.demo.app import DemoApp, create_demo_app
from clarion.demo.banner import Links, banner
from clarion.demo.data import prepare
from clarion.demo.founding import demo_project
from clarion.demo.services import Services

__all__ = [
    "DemoApp",
    "Links",
    "Services",
    "banner",
    "create_demo_app",
    "demo_project",
    "prepare",
]
