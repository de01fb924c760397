import logging

from django.db import transaction
from django.http import JsonResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods

from config.errors import form_error, json_error
from documents.forms import DocumentForm

logger = logging.getLogger(__name__)


def document_json(document):
    return {
        "id": document.id,
        "title": document.title,
        "filename": document.filename,
        "url": document.file.url,
        "uploadedAt": document.uploaded_at.isoformat(),
    }


@never_cache
@require_http_methods(["GET", "POST"])
def documents(request):
    """The signed-in user's documents; POST (multipart: title, file) adds one."""
    if not request.user.is_authenticated:
        return json_error("Sign in first.", 401)
    if request.method == "POST":
        return upload(request)
    return JsonResponse({"documents": [document_json(one) for one in request.user.documents.all()]})


def upload(request):
    form = DocumentForm(request.POST, request.FILES)
    if not form.is_valid():
        return form_error("The document was not uploaded.", form)
    form.instance.owner = request.user
    try:
        with transaction.atomic():
            document = form.save()
    except OSError:
        logger.exception("An upload of user %d could not be stored", request.user.id)
        return json_error("The server could not store the file. Nothing was changed.", 507)
    logger.info("Document %d uploaded by user %d", document.id, request.user.id)
    return JsonResponse({"document": document_json(document)}, status=201)
