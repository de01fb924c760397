from django.urls import path

from documents.views import documents, health, session

urlpatterns = [
    path("healthz", health.healthz),
    path("session", session.show_session),
    path("login", session.log_in),
    path("logout", session.log_out),
    path("documents", documents.documents),
]
