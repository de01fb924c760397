from django import forms
from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.validators import FileExtensionValidator
from django.template.defaultfilters import filesizeformat

from documents.models import Document

# Uploads are served from the application's own origin: nothing a browser would execute
# (HTML, SVG, XML, scripts) may be among them.
ALLOWED_EXTENSIONS = [
    *("pdf", "txt", "md", "csv", "json", "log"),
    *("doc", "docx", "odt", "xls", "xlsx", "ods", "ppt", "pptx", "odp"),
    *("avif", "gif", "jpeg", "jpg", "png", "webp"),
    *("mp3", "mp4", "webm", "ogg", "wav"),
    *("7z", "bin", "gz", "tar", "zip"),
]


def validate_size(file):
    if file.size > settings.MAX_UPLOAD_BYTES:
        raise ValidationError(
            f"The file is {filesizeformat(file.size)}; "
            f"{filesizeformat(settings.MAX_UPLOAD_BYTES)} is the most that can be uploaded."
        )


class DocumentForm(forms.ModelForm):
    file = forms.FileField(
        # The model's 255 characters less the folder that upload_path puts in front.
        max_length=200,
        validators=[
            FileExtensionValidator(ALLOWED_EXTENSIONS, "“%(extension)s” files are not accepted."),
            validate_size,
        ],
    )

    class Meta:
        model = Document
        fields = ["title", "file"]
