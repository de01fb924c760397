import logging
from copy import deepcopy
from tempfile import TemporaryDirectory

from django.conf import settings
from django.core.cache import cache
from django.test.runner import DiscoverRunner
from django.test.utils import override_settings


class IsolatedTestRunner(DiscoverRunner):
    """Tests against the stack's own PostgreSQL and Redis without touching what is in them.

    Django already creates a database of its own for tests. Uploads go to a temporary
    directory, the cache and the sessions to a Redis database that is emptied afterwards,
    and nothing is logged, since the log file is the live one.
    """

    def setup_test_environment(self, **kwargs):
        super().setup_test_environment(**kwargs)
        logging.getLogger().handlers = [logging.NullHandler()]
        caches = deepcopy(settings.CACHES)
        caches["default"]["LOCATION"] = f"{settings.REDIS_ADDRESS}/1"
        self.media = TemporaryDirectory()
        self.isolation = override_settings(CACHES=caches, MEDIA_ROOT=self.media.name)
        self.isolation.enable()

    def teardown_test_environment(self, **kwargs):
        cache.clear()
        self.isolation.disable()
        self.media.cleanup()
        super().teardown_test_environment(**kwargs)
