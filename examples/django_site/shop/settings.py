"""The site's settings. Where Redis is comes from RQ_SES_REDIS_URL."""

from __future__ import annotations

import os

# An example's: a site of yours has its own, from its environment.
SECRET_KEY = os.environ.get("SECRET_KEY", "not a secret")
ALLOWED_HOSTS = ["127.0.0.1", "localhost"]
ROOT_URLCONF = "shop.urls"
WSGI_APPLICATION = "shop.wsgi.application"
INSTALLED_APPS = ["rq_ses.django"]
MIDDLEWARE = [
    "django.middleware.common.BrokenLinkEmailsMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
]
TEMPLATES = [{"BACKEND": "django.template.backends.django.DjangoTemplates"}]
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}}

EMAIL_BACKEND = "rq_ses.django.EmailBackend"
# Somebody looks at a browser and waits, so not for long.
RQ_SES = {"enqueue_timeout": 1}
DEFAULT_FROM_EMAIL = "Shop <shop@example.com>"
SERVER_EMAIL = "Shop's server <server@example.com>"
ADMINS = MANAGERS = [("Ops", "ops@example.com")]
