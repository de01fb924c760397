from django.contrib.auth.models import User
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import TestCase
from django.urls import reverse

from documents.models import Document


class AdminTests(TestCase):
    def test_a_document_added_in_the_admin_is_listed_there(self):
        admin = User.objects.create_superuser("root", password="correct horse")
        self.client.force_login(admin)
        file = SimpleUploadedFile("notes.txt", b"hello")
        self.client.post(
            reverse("admin:documents_document_add"),
            {"owner": admin.id, "title": "Notes", "file": file},
        )
        self.assertEqual(Document.objects.get().owner, admin)
        self.assertContains(self.client.get(reverse("admin:documents_document_changelist")), "notes.txt")
