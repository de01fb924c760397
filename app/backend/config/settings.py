"""Settings of the running backend; every value of the environment is read here."""

from config.environment import read_flag, read_list, read_secret, read_text
from config.logs import logging_config
from config.static_settings import BASE_DIR, INSTALLED_APPS, STATIC_ROOT, STATIC_URL  # noqa: F401 - settings too

DEBUG = read_flag("DJANGO_DEBUG")
SECRET_KEY = read_secret("DJANGO_SECRET_KEY_FILE", "/run/secrets/django_secret_key")

# The container's own healthcheck asks 127.0.0.1, whatever names the proxy is reached by.
ALLOWED_HOSTS = [*read_list("DJANGO_ALLOWED_HOSTS", "localhost"), "127.0.0.1"]

ROOT_URLCONF = "config.urls"
WSGI_APPLICATION = "config.wsgi.application"
TEST_RUNNER = "config.test_runner.IsolatedTestRunner"

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    },
]

DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.postgresql",
        "HOST": read_text("DATABASE_HOST", "db"),
        "PORT": read_text("DATABASE_PORT", "5432"),
        "NAME": read_text("DATABASE_NAME", "backend_db"),
        "USER": read_text("DATABASE_USER", "postgres"),
        "PASSWORD": read_secret("DATABASE_PASSWORD_FILE", "/run/secrets/database_password"),
        "OPTIONS": {"connect_timeout": 3},
        "CONN_MAX_AGE": 60,
        # A restore ends every session; the next request then connects anew instead of failing.
        "CONN_HEALTH_CHECKS": True,
    },
}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

REDIS_ADDRESS = f"redis://{read_text('REDIS_HOST', 'redis')}:{read_text('REDIS_PORT', '6379')}"
CACHES = {
    "default": {
        "BACKEND": "django.core.cache.backends.redis.RedisCache",
        "LOCATION": f"{REDIS_ADDRESS}/0",
        "OPTIONS": {
            # Apart from the address: a password in a URL would need escaping, and be logged with it.
            "password": read_secret("REDIS_PASSWORD_FILE", "/run/secrets/redis_password"),
            "socket_connect_timeout": 3,
            "socket_timeout": 5,
        },
    },
}

SESSION_ENGINE = "django.contrib.sessions.backends.cache"

# nginx sets this header on every request, so a client cannot forge it.
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = read_flag("DJANGO_SECURE_COOKIES")
CSRF_FAILURE_VIEW = "config.errors.csrf_failure"

AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}"}
    for name in (
        "UserAttributeSimilarityValidator",
        "MinimumLengthValidator",
        "CommonPasswordValidator",
        "NumericPasswordValidator",
    )
]

LANGUAGE_CODE = "en-us"
TIME_ZONE = "UTC"
USE_TZ = True

MEDIA_URL = "/media/"
MEDIA_ROOT = BASE_DIR / "media"
MAX_UPLOAD_BYTES = 20 * 1024 * 1024

LOGGING = logging_config(read_text("DJANGO_LOG_DIR", str(BASE_DIR / "logs")), debug=DEBUG)
