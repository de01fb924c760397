"""Logging to the console, and to a file where one can be written."""

import sys
from logging.handlers import WatchedFileHandler
from pathlib import Path

LOG_FILE = "backend.log"


class ForgivingFileHandler(WatchedFileHandler):
    """Follows a log file that is moved or deleted, and never fails the request that logs.

    WatchedFileHandler raises when the file cannot be opened again, for instance
    because the directory was removed while the server runs.
    """

    def emit(self, record):
        try:
            super().emit(record)
        except OSError:
            self.handleError(record)


def is_writable(path):
    """Whether the file can be appended to; the reason goes to stderr when it cannot."""
    try:
        path.open("a").close()
    except OSError as error:
        print(
            f"WARNING: {path} cannot be written ({error.strerror}); logging to the console only.",
            file=sys.stderr,
        )
        return False
    return True


def logging_config(directory, debug):
    """Django's LOGGING setting: INFO and up (DEBUG in debug mode for the project's own loggers)."""
    log_file = Path(directory) / LOG_FILE
    handlers = {"console": {"class": "logging.StreamHandler", "formatter": "line"}}
    if is_writable(log_file):
        handlers["file"] = {
            "class": "config.logs.ForgivingFileHandler",
            "filename": log_file,
            "formatter": "line",
        }
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {
            "line": {"format": "{asctime} {levelname} {name}: {message}", "style": "{"},
        },
        "handlers": handlers,
        "root": {"handlers": list(handlers), "level": "INFO"},
        "loggers": {
            # Django's own handlers would repeat every line on the console.
            "django": {"handlers": [], "level": "INFO", "propagate": True},
            "documents": {"level": "DEBUG" if debug else "INFO"},
        },
    }
