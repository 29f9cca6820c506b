"""The windows: REST, server-sent events, health and metrics. The console's pages lie in `console/`.

`create_app` makes the application, `console_path` a one-time sign-in address for the console.
"""

from yizhan.web.api import create_app
from yizhan.web.sessions import console_path

__all__ = ["console_path", "create_app"]
