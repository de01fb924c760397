import json

from django.contrib.auth import login, logout
from django.contrib.auth.forms import AuthenticationForm
from django.core.exceptions import NON_FIELD_ERRORS
from django.http import JsonResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import ensure_csrf_cookie
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_POST, require_safe

from config.errors import form_error, json_error


def session_response(request):
    user = request.user
    return JsonResponse({"user": {"username": user.username} if user.is_authenticated else None})


@never_cache
@ensure_csrf_cookie
@require_safe
def show_session(request):
    """Who is signed in; also sets the CSRF cookie that every POST has to repeat as X-CSRFToken."""
    return session_response(request)


@never_cache
@sensitive_post_parameters()
@require_POST
def log_in(request):
    """Expects `{"username": …, "password": …}`."""
    try:
        credentials = json.loads(request.body)
    except ValueError:
        credentials = None
    if not isinstance(credentials, dict):
        return json_error("Send a JSON object with username and password.", 400)
    form = AuthenticationForm(request, data=credentials)
    if form.is_valid():
        login(request, form.get_user())
        return session_response(request)
    if NON_FIELD_ERRORS in form.errors:
        return json_error(" ".join(form.errors[NON_FIELD_ERRORS]), 401)
    return form_error("Username and password are both needed.", form)


@require_POST
def log_out(request):
    logout(request)
    return session_response(request)
