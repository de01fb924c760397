from django.contrib import admin

from documents.forms import DocumentForm
from documents.models import Document


@admin.register(Document)
class DocumentAdmin(admin.ModelAdmin):
    form = DocumentForm
    fields = ["owner", "title", "file"]
    list_display = ["title", "owner", "file", "uploaded_at"]
    list_filter = ["uploaded_at"]
    search_fields = ["title", "owner__username"]
    autocomplete_fields = ["owner"]
