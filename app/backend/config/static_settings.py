"""The settings that static files depend on.

They stand alone so that `collectstatic` runs with no database, no Redis and no secret.
"""

from pathlib import Path

BASE_DIR = Path(__file__).resolve().parent.parent

INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "documents",
]

STATIC_URL = "/static/"
STATIC_ROOT = BASE_DIR / "staticfiles"
