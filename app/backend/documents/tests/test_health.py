from unittest.mock import patch

from django.core.cache import cache
from django.db import DatabaseError, connection
from django.test import TestCase


class HealthTests(TestCase):
    def test_every_part_is_ok_on_the_real_services(self):
        response = self.client.get("/api/healthz")
        self.assertEqual(response.status_code, 200)
        self.assertEqual(response.json(), {"status": "ok", "database": "ok", "cache": "ok"})

    def test_a_failing_database_is_named_and_its_message_is_kept_back(self):
        with patch.object(connection, "cursor", side_effect=DatabaseError("password=hunter2")):
            with self.assertLogs("documents", "WARNING"):
                response = self.client.get("/api/healthz")
        self.assertEqual(response.status_code, 503)
        self.assertEqual(response.json(), {"status": "error", "database": "error", "cache": "ok"})

    def test_a_cache_that_forgets_is_named(self):
        with patch.object(cache, "get", return_value=None):
            with self.assertLogs("documents", "WARNING"):
                response = self.client.get("/api/healthz")
        self.assertEqual(response.status_code, 503)
        self.assertEqual(response.json(), {"status": "error", "database": "ok", "cache": "error"})
