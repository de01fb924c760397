from pathlib import Path
from unittest.mock import patch

from django.conf import settings
from django.contrib.auth.models import User
from django.core.files.storage import default_storage
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import TestCase, override_settings

from documents.models import Document


class DocumentTests(TestCase):
    @classmethod
    def setUpTestData(cls):
        cls.user = User.objects.create_user("ada", password="correct horse")
        cls.stranger = User.objects.create_user("eve", password="battery staple")

    def setUp(self):
        self.client.force_login(self.user)

    def upload(self, name="notes.txt", content=b"hello", title="Notes"):
        file = SimpleUploadedFile(name, content)
        return self.client.post("/api/documents", {"title": title, "file": file})

    def assert_refused(self, response, field, text):
        self.assertEqual(response.status_code, 400)
        self.assertIn(text, response.json()["fields"][field][0])
        self.assertFalse(Document.objects.exists())

    def test_an_upload_is_listed_and_its_bytes_are_stored(self):
        document = self.upload().json()["document"]
        self.assertEqual(self.client.get("/api/documents").json(), {"documents": [document]})
        self.assertEqual((document["title"], document["filename"]), ("Notes", "notes.txt"))
        stored = Path(settings.MEDIA_ROOT) / document["url"].removeprefix(settings.MEDIA_URL)
        self.assertEqual(stored.read_bytes(), b"hello")

    def test_the_newest_document_comes_first(self):
        for title in ("first", "second"):
            self.upload(title=title)
        titles = [one["title"] for one in self.client.get("/api/documents").json()["documents"]]
        self.assertEqual(titles, ["second", "first"])

    def test_the_same_name_twice_gives_two_files(self):
        urls = {self.upload().json()["document"]["url"] for _ in range(2)}
        self.assertEqual(len(urls), 2)

    def test_documents_of_others_are_not_listed(self):
        self.upload()
        self.client.force_login(self.stranger)
        self.assertEqual(self.client.get("/api/documents").json(), {"documents": []})

    def test_visitors_are_asked_to_sign_in(self):
        self.client.logout()
        self.assertEqual(self.client.get("/api/documents").status_code, 401)
        self.assertEqual(self.upload().status_code, 401)

    def test_missing_fields_are_named(self):
        response = self.client.post("/api/documents", {})
        self.assertEqual(response.status_code, 400)
        self.assertEqual(set(response.json()["fields"]), {"title", "file"})

    def test_files_a_browser_would_execute_are_refused(self):
        for name in ("page.html", "drawing.svg", "script.js"):
            with self.subTest(name=name):
                self.assert_refused(self.upload(name), "file", "not accepted")

    def test_an_empty_file_is_refused(self):
        self.assert_refused(self.upload(content=b""), "file", "empty")

    def test_a_file_over_the_limit_is_refused_with_the_limit(self):
        with override_settings(MAX_UPLOAD_BYTES=4):
            self.assert_refused(self.upload(), "file", "4\xa0bytes")

    def test_a_file_name_that_does_not_fit_is_refused(self):
        self.assert_refused(self.upload(f"{'n' * 250}.txt"), "file", "200 characters")

    def test_a_name_with_a_path_stays_inside_the_media_folder(self):
        document = self.upload("../../escape.txt").json()["document"]
        self.assertEqual(document["filename"], "escape.txt")
        self.assertTrue(document["url"].startswith("/media/documents/"))

    def test_a_hidden_name_is_made_visible(self):
        self.assertEqual(self.upload(".notes.txt").json()["document"]["filename"], "notes.txt")

    def test_a_full_disk_is_an_error_in_json_and_leaves_no_record(self):
        with patch.object(default_storage, "save", side_effect=OSError(28, "No space left")):
            with self.assertLogs("documents", "ERROR"):
                response = self.upload()
        self.assertEqual(response.status_code, 507)
        self.assertIn("could not store", response.json()["error"])
        self.assertFalse(Document.objects.exists())
