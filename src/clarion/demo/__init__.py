"""The way, to be seen: a small invented shop whose orders become notifications, and a page that tells what happened."""

from clarion.demo.app import DemoApp, create_demo_app
from clarion.demo.banner import Links, banner
from clarion.demo.data import PROJECT_ID, PROJECT_NAME, SETTINGS, prepare
from clarion.demo.services import Services

__all__ = [
    "PROJECT_ID",
    "PROJECT_NAME",
    "SETTINGS",
    "DemoApp",
    "Links",
    "Services",
    "banner",
    "create_demo_app",
    "prepare",
]
