import logging
from uuid import uuid4

from django.core.cache import cache
from django.db import connection
from django.http import JsonResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

logger = logging.getLogger(__name__)


def check_database():
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
        cursor.fetchone()


def check_cache():
    key, value = f"healthz:{uuid4()}", "ok"
    cache.set(key, value, timeout=10)
    if cache.get(key) != value:
        raise RuntimeError("the cache did not return what was stored")


CHECKS = {"database": check_database, "cache": check_cache}


@never_cache
@require_safe
def healthz(_request):
    """200 when every part answers, 503 otherwise. Reasons go to the log: they can name hosts and users."""
    report = {}
    for part, check in CHECKS.items():
        try:
            check()
            report[part] = "ok"
        # Whatever a driver raises means: not healthy.
        except Exception as error:
            logger.warning("%s is not healthy: %s", part, error)
            report[part] = "error"
    healthy = all(state == "ok" for state in report.values())
    return JsonResponse({"status": "ok" if healthy else "error", **report}, status=200 if healthy else 503)
