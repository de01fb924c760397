"""Errors as JSON: `{"error": sentence, "fields": {name: [sentences]}}`, fields only where some are wrong."""

from django.http import JsonResponse
from django.views import csrf


def json_error(message, status, fields=None):
    body = {"error": message}
    if fields:
        body["fields"] = fields
    return JsonResponse(body, status=status)


def form_error(message, form):
    """A 400 that lists what is wrong with each field of a Django form."""
    return json_error(message, 400, {name: list(errors) for name, errors in form.errors.items()})


def csrf_failure(request, reason=""):
    """Clients of the API get JSON; people in the admin keep Django's own page."""
    if request.path.startswith("/api/"):
        return json_error(f"{reason.rstrip('.')}. Load /api/session again and repeat.", 403)
    return csrf.csrf_failure(request, reason)
