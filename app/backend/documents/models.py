from pathlib import Path
from uuid import uuid4

from django.conf import settings
from django.db import models


def upload_path(_document, filename):
    """A folder of its own for every upload.

    nginx serves media without asking who is there, so the address must not be guessable.
    Names that begin with a dot are hidden by nginx; uploads have none.
    """
    return f"documents/{uuid4()}/{filename.lstrip('.')}"


class Document(models.Model):
    owner = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="documents")
    title = models.CharField(max_length=200)
    file = models.FileField(upload_to=upload_path, max_length=255)
    uploaded_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["-uploaded_at", "-id"]

    def __str__(self):
        return self.title

    @property
    def filename(self):
        return Path(self.file.name).name
