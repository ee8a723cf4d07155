"""Every setting of the portal, read from the environment once; docs/settings.md lists the names and their meaning."""

from __future__ import annotations

import hashlib
import ipaddress
import logging
import os
import re
import secrets
import tempfile
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote

import psycopg
from django.core.exceptions import ImproperlyConfigured
from psycopg.conninfo import conninfo_to_dict

from releases.specs import Limits


def text(name: str, default: str = "") -> str:
    """The variable's value without outer blanks; an empty one counts as not set."""
    return os.environ.get(name, "").strip() or default


def wrong(name: str, wanted: str, value: str) -> ImproperlyConfigured:
    """The one sentence about a value that cannot be."""
    return ImproperlyConfigured(f"{name} must be {wanted}, but is “{value}”: correct or unset it.")


def number(name: str, default: float, *, least: float = 1, most: float = 1e15) -> float:
    """The variable as a number that is neither below `least` nor above `most`."""
    value = text(name, str(default))
    try:
        if least <= (found := float(value)) <= most:
            return found
    except ValueError:
        pass
    at_most = f" and at most {most:g}" if most < 1e15 else ""
    raise wrong(name, f"a number, at least {least:g}{at_most}", value)


def flag(name: str, default: str = "0") -> bool:
    """The variable as a switch."""
    if (value := text(name, default)) not in ("0", "1"):
        raise wrong(name, "0 or 1", value)
    return value == "1"


def place(name: str, default: Path) -> Path:
    """The variable as a path; a relative one starts beside manage.py, wherever the process was started."""
    return (BASE_DIR / Path(text(name, str(default))).expanduser()).resolve()


def names(name: str, default: str = "", *, separator: str = ",") -> tuple[str, ...]:
    """The variable as a list."""
    return tuple(part.strip() for part in text(name, default).split(separator) if part.strip())


def is_place(host: str) -> bool:
    """Whether it is a host, with or without a port, or a range of addresses."""
    if "/" not in host:
        return re.fullmatch(r"[a-zA-Z0-9.-]+(:\d{1,5})?", host) is not None
    with suppress(ValueError):
        return bool(ipaddress.IPv4Network(host, strict=False))
    return False


def kept(path: Path, make: Callable[[], str]) -> str:
    """What the file holds; made at the first look. The link makes sure that all processes see one whole value."""
    if not path.exists():
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        handle, draft = tempfile.mkstemp(dir=path.parent)  # 0600
        with os.fdopen(handle, "w") as file:
            file.write(make() + "\n")
        with suppress(FileExistsError):
            os.link(draft, path)
        Path(draft).unlink()
    return path.read_text().strip()


BASE_DIR = Path(__file__).resolve().parent.parent
# The web server of ./run is given what stands in .env, which it may not read: portal/setup/web.py.
IS_WEB = os.environ.get("RELEASE_PORTAL_PROCESS") == "web"
if not IS_WEB and (dotenv := BASE_DIR / ".env").is_file():
    for line in dotenv.read_text().splitlines():
        name, given, value = line.strip().removeprefix("export ").partition("=")
        if given and not name.startswith("#"):  # what the environment already says wins
            os.environ.setdefault(name.strip(), value.strip().strip("'\""))

# ---- places ------------------------------------------------------------------------------------------

PORTAL_HOME = place("PORTAL_HOME", BASE_DIR / "var")
BLOBS_DIR = PORTAL_HOME / "blobs"
LOGS_DIR = PORTAL_HOME / "logs"
MIRRORS_DIR = PORTAL_HOME / "mirrors"
TEMP_DIR = PORTAL_HOME / "tmp"
AUDIT_KEY = place("PORTAL_AUDIT_KEY", PORTAL_HOME / "audit_key")
AUDIT_CHECKPOINTS = place("PORTAL_AUDIT_CHECKPOINTS", PORTAL_HOME / "audit-checkpoints.jsonl")
SECRETS_KEY = place("PORTAL_SECRETS_KEY", PORTAL_HOME / "secrets_key")
LOCAL_REPOSITORIES = place("PORTAL_LOCAL_REPOSITORIES", PORTAL_HOME / "demo")
# The address of a unix socket holds 107 bytes: a data folder with a long name has its sockets elsewhere.
# Not tempfile.gettempdir(): a second terminal with another TMPDIR must find the same sockets.
RUN_DIR = PORTAL_HOME / "run"
if len(os.fsencode(RUN_DIR)) > 70:
    home_hash = hashlib.sha256(os.fsencode(PORTAL_HOME)).hexdigest()[:12]
    RUN_DIR = Path(f"/tmp/release-portal-{os.getuid()}-{home_hash}")  # noqa: S108 (made 0700 and its owner is checked before use)

try:
    PORTAL_INSTANCE = text("PORTAL_INSTANCE") or kept(PORTAL_HOME / "instance", lambda: secrets.token_hex(4))
    SECRET_KEY = text("PORTAL_SECRET_KEY") or kept(PORTAL_HOME / "secret_key", lambda: secrets.token_urlsafe(48))
except OSError as error:
    raise ImproperlyConfigured(
        f"The data folder {PORTAL_HOME} cannot be used ({error.strerror}): set PORTAL_HOME to one you may write to."
    ) from error
if not re.fullmatch(r"[a-z0-9]{1,32}", PORTAL_INSTANCE):  # it is part of image tags and of containers' names
    raise wrong(
        "PORTAL_INSTANCE" if text("PORTAL_INSTANCE") else f"What is kept in {PORTAL_HOME / 'instance'}",
        "1 to 32 lower-case letters and digits",
        PORTAL_INSTANCE,
    )

# ---- the database and the queue ----------------------------------------------------------------------

# Without addresses these are the private servers that ./run starts for this data folder.
GIVEN_DATABASE_URL = text("DATABASE_URL")
GIVEN_REDIS_URL = text("REDIS_URL")
PRIVATE_SERVER = f"/portal?host={quote(str(RUN_DIR))}/postgres"
DATABASE_URL = GIVEN_DATABASE_URL or f"postgresql://portal@{PRIVATE_SERVER}"
# Whose the tables are. The portal itself is another, who may add events and not change them.
DATABASE_OWNER_URL = (
    text("PORTAL_DATABASE_OWNER_URL") or GIVEN_DATABASE_URL or f"postgresql://postgres@{PRIVATE_SERVER}"
)
REDIS_URL = GIVEN_REDIS_URL or f"unix://{quote(str(RUN_DIR))}/redis.sock"


def database(name: str, url: str) -> dict[str, Any]:
    """The address in the variable as Django takes it."""
    try:
        parts = conninfo_to_dict(url)
    except psycopg.ProgrammingError as error:
        raise ImproperlyConfigured(
            f"{name} is not a PostgreSQL address: write it as postgresql://user:password@host:5432/name."
        ) from error
    return {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": str(parts.pop("dbname", "portal")),
        "USER": str(parts.pop("user", "")),
        "PASSWORD": str(parts.pop("password", "")),
        "HOST": str(parts.pop("host", "")),
        "PORT": str(parts.pop("port", "")),
        "CONN_MAX_AGE": 60,
        "CONN_HEALTH_CHECKS": True,
        "OPTIONS": {"connect_timeout": 5, **parts},
    }


DATABASES = {"default": database("DATABASE_URL", DATABASE_URL)}
DATABASE_OWNER = database("PORTAL_DATABASE_OWNER_URL", DATABASE_OWNER_URL)
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

# ---- builds ------------------------------------------------------------------------------------------

MIB = 1024 * 1024
DOCKER_HOST = text("DOCKER_HOST")
BUILD_WORKERS = int(number("PORTAL_BUILD_WORKERS", 1))
BUILD_LIMITS = Limits(
    memory=int(number("PORTAL_BUILD_MEMORY_MB", 1024, least=64)) * MIB,
    cpus=number("PORTAL_BUILD_CPUS", 2, least=0.1),
    pids=int(number("PORTAL_BUILD_PIDS", 256, least=16)),
    seconds=int(number("PORTAL_BUILD_SECONDS", 900)),
    artifact_bytes=int(number("PORTAL_ARTIFACT_MB", 1024)) * MIB,
    disk_bytes=int(number("PORTAL_BUILD_DISK_MB", 10240)) * MIB,
    files=int(number("PORTAL_BUILD_FILES", 500_000)),
)
BUILD_CA_BUNDLE = text("PORTAL_CA_BUNDLE") or next(
    (path for path in (text("SSL_CERT_FILE"), text("REQUESTS_CA_BUNDLE")) if path and Path(path).is_file()), ""
)
BUILD_INDEX_URL = text("PORTAL_INDEX_URL", text("PIP_INDEX_URL"))
BUILD_PROXY = {
    name: value
    for name in ("http_proxy", "https_proxy", "no_proxy")
    if (value := text(f"PORTAL_{name.upper()}") or text(name) or text(name.upper()))
}
BUILD_REACH = names("PORTAL_BUILD_REACH")
RUN_REACH = names("PORTAL_RUN_REACH")
for reached, hosts in (("PORTAL_BUILD_REACH", BUILD_REACH), ("PORTAL_RUN_REACH", RUN_REACH)):
    if not all(is_place(host) for host in hosts):
        raise wrong(reached, "a list of host, host:port or range (10.1.0.0/16)", ",".join(hosts))
RUNTIME = text("PORTAL_RUNTIME")
CAGE_REQUIRED = flag("PORTAL_CAGE_REQUIRED")
GIT_PROTOCOLS = names("PORTAL_GIT_PROTOCOLS", "https,ssh")
for protocol in GIT_PROTOCOLS:
    if protocol not in ("https", "ssh", "http", "git", "file"):
        raise wrong("PORTAL_GIT_PROTOCOLS", "a list of https, ssh, http, git and file", ",".join(GIT_PROTOCOLS))
GIT_NEAR = flag("PORTAL_GIT_NEAR")
REFS_EVERY = number("PORTAL_REFS_EVERY", 300, least=0)
RULE_BUILDS = int(number("PORTAL_RULE_BUILDS", 5))
STACK_DIRS = (
    BASE_DIR / "releases" / "stacks",
    *(BASE_DIR / Path(folder).expanduser() for folder in names("PORTAL_STACKS", separator=":")),
)
DEFAULT_STACK = "python3.13-uwsgi"
PREVIEW_SECONDS = int(number("PORTAL_PREVIEW_SECONDS", 1800))
LOG_LIMIT_BYTES = int(number("PORTAL_LOG_MB", 20)) * MIB
BUILDS_PER_MINUTE = int(number("PORTAL_BUILDS_PER_MINUTE", 60))
LEASE_SECONDS = 30
SWEEP_SECONDS = 15

# A build ends by its own clock; the queue's is only there for a job that forgot to look at it.
QUEUE = {"URL": REDIS_URL, "DEFAULT_TIMEOUT": BUILD_LIMITS.seconds + 1800}
RQ_QUEUES = {"builds": QUEUE, "desk": QUEUE}
RQ = {"WORKER_CLASS": "releases.jobs.worker.PortalWorker", "JOB_CLASS": "releases.jobs.known.KnownJob"}

# ---- the processes of ./run --------------------------------------------------------------------------

PORT = int(number("PORT", 8000, most=65535))
BIND = text("PORTAL_BIND", "127.0.0.1")
OWN_WEB_ACCOUNT = "release-portal-web"
WEB_ACCOUNT = text("PORTAL_WEB_ACCOUNT", OWN_WEB_ACCOUNT)
if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_.-]{0,31}", WEB_ACCOUNT):
    raise wrong("PORTAL_WEB_ACCOUNT", "the name of an account, or off", WEB_ACCOUNT)
WEB_IS_ROOT = IS_WEB and WEB_ACCOUNT != "off" and os.geteuid() == 0
WEB_WORKERS = int(number("PORTAL_WEB_WORKERS", 2))
DRAIN_SECONDS = number("PORTAL_DRAIN_SECONDS", 30, least=0)
ADMIN_PASSWORD = text("PORTAL_ADMIN_PASSWORD")
MANAGER_PASSWORD = text("PORTAL_MANAGER_PASSWORD")
DEMO = flag("PORTAL_DEMO", "1")

# ---- Django ------------------------------------------------------------------------------------------

DEBUG = flag("PORTAL_DEBUG")
ALLOWED_HOSTS = list(names("PORTAL_HOSTS", "localhost,127.0.0.1,[::1]"))
CSRF_TRUSTED_ORIGINS = list(names("PORTAL_TRUSTED_ORIGINS"))
ROOT_URLCONF = "portal.urls"
WSGI_APPLICATION = "portal.wsgi.application"
INSTALLED_APPS = [
    "whitenoise.runserver_nostatic",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django.contrib.postgres",
    "django_htmx",
    "axes",
    "releases",
]
MIDDLEWARE = [
    "portal.requests.named",
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "csp.middleware.CSPMiddleware",
    "portal.requests.legible",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.locale.LocaleMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
    "axes.middleware.AxesMiddleware",  # the last: it turns a refused sign-in into its page
]
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]

# ---- people and their browsers -----------------------------------------------------------------------

LOGIN_URL = "login"
LOGIN_REDIRECT_URL = "/"
LOGOUT_REDIRECT_URL = "login"
PASSWORD_HASHERS = [
    # Argon2id; passwords that were kept otherwise are hashed anew when their owner signs in.
    "django.contrib.auth.hashers.Argon2PasswordHasher",
    "django.contrib.auth.hashers.PBKDF2PasswordHasher",
]
AUTHENTICATION_BACKENDS = ["axes.backends.AxesStandaloneBackend", "django.contrib.auth.backends.ModelBackend"]
AXES_FAILURE_LIMIT = int(number("PORTAL_SIGN_IN_FAILURES", 20))
AXES_COOLOFF_TIME = timedelta(minutes=15)
# By address alone: a name that could be locked would let anybody lock a release manager out.
AXES_LOCKOUT_PARAMETERS = ["ip_address"]
AXES_RESET_ON_SUCCESS = True
AXES_CLIENT_IP_CALLABLE = "releases.views.door.address_of"
AXES_LOCKOUT_CALLABLE = "releases.views.door.locked_out"
AXES_DISABLE_ACCESS_LOG = True  # who signed in stands in the session; the audit trail says what was done
AXES_VERBOSE = False
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}"}
    for name in ("UserAttributeSimilarityValidator", "MinimumLengthValidator", "CommonPasswordValidator")
]
# A browser's cookies ignore the port: two portals on one machine must not sign each other out.
SESSION_COOKIE_NAME = f"portal_session_{PORTAL_INSTANCE}"
CSRF_COOKIE_NAME = f"portal_csrf_{PORTAL_INSTANCE}"
# Behind a TLS proxy, which must set X-Forwarded-Proto itself and not pass on what a browser sent.
HTTPS = flag("PORTAL_HTTPS")
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = HTTPS
SESSION_COOKIE_HTTPONLY = CSRF_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = CSRF_COOKIE_SAMESITE = "Lax"
SECURE_SSL_REDIRECT = HTTPS
# Asked from beside the proxy, without TLS:
SECURE_REDIRECT_EXEMPT = [r"^healthz$", r"^readyz$", r"^livez$", r"^metrics$"]
SECURE_HSTS_SECONDS = int(number("PORTAL_HSTS_SECONDS", 31_536_000, least=0)) if HTTPS else 0
# The portal is one host: whether the domain's other hosts have TLS is not its to say.
SILENCED_SYSTEM_CHECKS = ["security.W005", "security.W021"]
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if HTTPS else None
DEFAULT_EXCEPTION_REPORTER_FILTER = "portal.requests.Reticent"
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": ["'none'"],
        "script-src": ["'self'"],
        "style-src": ["'self'"],
        "connect-src": ["'self'"],
        "worker-src": ["'self'"],
        "form-action": ["'self'"],
        "img-src": ["'self'", "data:"],
        "font-src": ["'self'"],
        "frame-ancestors": ["'none'"],
        "base-uri": ["'none'"],
    }
}
USE_TZ = True
TIME_ZONE = "UTC"
USE_I18N = True
LANGUAGE_CODE = "en"
LANGUAGES = [("en", "English"), ("es", "Español")]  # English stands in the code, others in locale/: portal/words.py
LOCALE_PATHS = [BASE_DIR / "locale"]
LANGUAGE_COOKIE_NAME = "portal_language"  # whoever chose a language reads every portal of this machine in it
LANGUAGE_COOKIE_AGE = 365 * 24 * 3600
LANGUAGE_COOKIE_SAMESITE = "Lax"
LANGUAGE_COOKIE_SECURE = HTTPS
STATIC_URL = "static/"
STATICFILES_DIRS = [BASE_DIR / "static"]
STATIC_ROOT = PORTAL_HOME / "static"
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "portal.static.ForgivingManifestStorage"},
}
WHITENOISE_USE_FINDERS = True


# Who knows of advisories against the pinned packages.
ADVISORIES_URL = text("PORTAL_ADVISORIES_URL", "https://api.osv.dev/v1/querybatch")

# What machines ask for.
METRICS_TOKEN = text("PORTAL_METRICS_TOKEN")
if METRICS_TOKEN and len(METRICS_TOKEN) < 16:
    raise ImproperlyConfigured("PORTAL_METRICS_TOKEN must have at least 16 characters: make one, or unset it.")


def is_news(record: logging.LogRecord) -> bool:
    """Whoever asks how the portal is gets the answer; the log needs no line for each time."""
    return getattr(getattr(record, "request", None), "path", "") not in ("/healthz", "/readyz")


LOG_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR")
if (LOG_LEVEL := text("PORTAL_LOG_LEVEL", "INFO").upper()) not in LOG_LEVELS:
    raise wrong("PORTAL_LOG_LEVEL", "DEBUG, INFO, WARNING or ERROR", LOG_LEVEL)
if (LOG_FORMAT := text("PORTAL_LOG_FORMAT", "text")) not in ("text", "json"):
    raise wrong("PORTAL_LOG_FORMAT", "text or json", LOG_FORMAT)
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "filters": {
        "news": {"()": "django.utils.log.CallbackFilter", "callback": is_news},
        "carry": {"()": "releases.context.Carry"},
    },
    "formatters": {
        "text": {"format": "%(levelname)s %(name)s: %(message)s%(facts)s"},
        "json": {"()": "portal.logs.Json"},
    },
    "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": LOG_FORMAT, "filters": ["news", "carry"]}},
    "root": {"handlers": ["stderr"], "level": LOG_LEVEL},
    "loggers": {
        "axes": {"level": "ERROR"},  # it tells each count; Django's own log has what was refused
        "django": {"handlers": ["stderr"], "level": "INFO", "propagate": False},
    },
}
