from django.contrib.auth.models import User
from django.core.cache import cache
from django.test import Client, TestCase


class SessionTests(TestCase):
    @classmethod
    def setUpTestData(cls):
        cls.user = User.objects.create_user("ada", password="correct horse")

    def log_in(self, **credentials):
        return self.client.post("/api/login", credentials, content_type="application/json")

    def test_a_visitor_is_anonymous_and_gets_the_csrf_cookie(self):
        response = self.client.get("/api/session")
        self.assertEqual(response.json(), {"user": None})
        self.assertIn("csrftoken", response.cookies)

    def test_signing_in_and_out_changes_the_session(self):
        self.assertEqual(self.log_in(username="ada", password="correct horse").status_code, 200)
        self.assertEqual(self.client.get("/api/session").json(), {"user": {"username": "ada"}})
        self.client.post("/api/logout")
        self.assertEqual(self.client.get("/api/session").json(), {"user": None})

    def test_the_session_lives_in_the_cache(self):
        self.log_in(username="ada", password="correct horse")
        cache.clear()
        self.assertEqual(self.client.get("/api/session").json(), {"user": None})

    def test_wrong_credentials_are_refused(self):
        response = self.log_in(username="ada", password="wrong")
        self.assertEqual(response.status_code, 401)
        self.assertIn("username and password", response.json()["error"])

    def test_missing_fields_are_named(self):
        response = self.log_in(username="ada")
        self.assertEqual(response.status_code, 400)
        self.assertEqual(list(response.json()["fields"]), ["password"])

    def test_a_body_that_is_no_json_object_is_refused(self):
        for body in ("", "[]", "{", b"\xff"):
            with self.subTest(body=body):
                response = self.client.post("/api/login", body, content_type="application/json")
                self.assertEqual(response.status_code, 400)
                self.assertIn("JSON object", response.json()["error"])

    def test_a_post_without_the_csrf_token_is_refused_in_json(self):
        response = Client(enforce_csrf_checks=True).post("/api/logout")
        self.assertEqual(response.status_code, 403)
        self.assertIn("CSRF", response.json()["error"])
