"""Readers for the values that the stack hands to the container."""

import os
from pathlib import Path

from django.core.exceptions import ImproperlyConfigured

TRUE_VALUES = {"1", "true", "yes", "on"}
FALSE_VALUES = {"", "0", "false", "no", "off"}


def read_text(variable, default):
    """The variable's value; an empty one counts as unset."""
    return os.environ.get(variable) or default


def read_flag(variable):
    """True or False; off when unset. Anything that is neither is an error, never a guess."""
    value = os.environ.get(variable, "").strip().lower()
    if value in TRUE_VALUES:
        return True
    if value in FALSE_VALUES:
        return False
    raise ImproperlyConfigured(f"{variable} is {value!r}; set it to 0 or 1.")


def read_list(variable, default):
    """The entries of a comma-separated variable, without the empty ones."""
    return [entry.strip() for entry in read_text(variable, default).split(",") if entry.strip()]


def read_secret(variable, default):
    """The content of the file that the variable names, without trailing newlines.

    Secrets come as files only: environment variables show up in `docker inspect`.
    """
    path = Path(read_text(variable, default))
    try:
        secret = path.read_text(encoding="utf-8").rstrip("\r\n")
    except OSError as error:
        raise ImproperlyConfigured(
            f"The secret file {path} cannot be read ({error.strerror}). "
            f"Mount it there, readable by user id {os.getuid()}, or name another file in {variable}."
        ) from None
    if not secret:
        raise ImproperlyConfigured(f"The secret file {path} ({variable}) is empty.")
    return secret
