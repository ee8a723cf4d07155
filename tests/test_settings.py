"""The settings say what is wrong, keep their secrets, and agree with what is written about them."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
# Read only as a default for a variable of our own.
BORROWED = {"SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "PIP_INDEX_URL"}


def read(expression: str, home: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """What a fresh process prints for a setting, with nothing in its environment but these variables."""
    code = f"from portal import settings as s; print({expression})"
    nothing = dict.fromkeys(variables_in_settings(), "")  # so that a .env of whoever runs the tests says nothing
    return subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env={**nothing, "PATH": os.environ["PATH"], "PORTAL_HOME": str(home), **environment},
        capture_output=True,
        text=True,
        check=False,
    )


def said(expression: str, home: Path, **environment: str) -> str:
    done = read(expression, home, **environment)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def last_line(done: subprocess.CompletedProcess[str]) -> str:
    assert done.returncode != 0
    return done.stderr.strip().splitlines()[-1]


# ---- paper ---------------------------------------------------------------------------------------------


def variables_in_settings() -> set[str]:
    source = (ROOT / "portal" / "settings.py").read_text()
    found = set(re.findall(r'(?:text|number|names|flag|place)\(\s*"([A-Z_]+)"', source))
    proxies = {"PORTAL_HTTP_PROXY", "PORTAL_HTTPS_PROXY", "PORTAL_NO_PROXY"}  # put together from their parts there
    return (found | proxies) - BORROWED


def rows_of_the_page() -> dict[str, str]:
    """Each variable that docs/settings.md lists, with its default as written there."""
    page = (ROOT / "docs" / "settings.md").read_text()
    return dict(re.findall(r"^\| `([A-Z_]+)` \| (.+?) \|", page, re.MULTILINE))


def lines_of_the_example() -> dict[str, str]:
    example = (ROOT / ".env.example").read_text()
    return dict(re.findall(r"^# ([A-Z_]+)=(.*)$", example, re.MULTILINE))


def test_settings_page_lists_every_variable() -> None:
    assert set(rows_of_the_page()) == variables_in_settings()


def test_settings_example_lists_every_variable() -> None:
    assert set(lines_of_the_example()) == variables_in_settings()


def test_settings_example_and_page_give_the_same_defaults() -> None:
    example = lines_of_the_example()
    cells = rows_of_the_page()
    plain = {name: match[1] for name, cell in cells.items() if (match := re.fullmatch(r"`([^`]+)`", cell))}
    assert len(plain) > 10
    del plain["PORTAL_INDEX_URL"]  # the name of a variable, not a value
    del plain["PORTAL_LOCAL_REPOSITORIES"]  # lies in the data folder, wherever that is
    assert {name: example[name] for name in plain} == plain


def test_settings_page_gives_the_true_defaults(tmp_path: Path) -> None:
    page = rows_of_the_page()
    true = {
        "PORT": "s.PORT",
        "PORTAL_BIND": "s.BIND",
        "PORTAL_HOSTS": "','.join(s.ALLOWED_HOSTS)",
        "PORTAL_WEB_WORKERS": "s.WEB_WORKERS",
        "PORTAL_DRAIN_SECONDS": "int(s.DRAIN_SECONDS)",
        "PORTAL_BUILD_WORKERS": "s.BUILD_WORKERS",
        "PORTAL_BUILD_MEMORY_MB": "s.BUILD_LIMITS.memory // 1024 // 1024",
        "PORTAL_BUILD_CPUS": "int(s.BUILD_LIMITS.cpus)",
        "PORTAL_BUILD_PIDS": "s.BUILD_LIMITS.pids",
        "PORTAL_BUILD_SECONDS": "s.BUILD_LIMITS.seconds",
        "PORTAL_ARTIFACT_MB": "s.BUILD_LIMITS.artifact_bytes // 1024 // 1024",
        "PORTAL_LOG_MB": "s.LOG_LIMIT_BYTES // 1024 // 1024",
        "PORTAL_PREVIEW_SECONDS": "s.PREVIEW_SECONDS",
        "PORTAL_GIT_PROTOCOLS": "','.join(s.GIT_PROTOCOLS)",
    }
    printed = said("'\\n'.join(str(value) for value in (" + ", ".join(true.values()) + "))", tmp_path).splitlines()
    assert [f"`{value}`" for value in printed] == [page[name] for name in true]


# ---- values --------------------------------------------------------------------------------------------


def test_settings_number_that_is_none_is_one_sentence(tmp_path: Path) -> None:
    done = read("s.PORT", tmp_path, PORT="eighty")
    assert last_line(done).endswith(
        "PORT must be a number, at least 1 and at most 65535, but is “eighty”: correct or unset it."
    )


def test_settings_number_below_its_least_is_refused(tmp_path: Path) -> None:
    assert "PORTAL_BUILD_PIDS must be a number, at least 16" in last_line(read("0", tmp_path, PORTAL_BUILD_PIDS="2"))


def test_settings_empty_variable_counts_as_not_set(tmp_path: Path) -> None:
    assert said("s.PORT", tmp_path, PORT=" ") == "8000"


def test_settings_database_of_another_kind_is_one_sentence(tmp_path: Path) -> None:
    done = read("0", tmp_path, DATABASE_URL="mysql://me:secret@db/x")
    assert "DATABASE_URL is not a PostgreSQL address" in last_line(done)
    assert "secret" not in last_line(done)


def test_settings_database_address_keeps_its_options(tmp_path: Path) -> None:
    url = "postgresql://me:p%40ss@db.example.org:6543/shop?sslmode=require"
    shown = said("s.DATABASES['default']", tmp_path, DATABASE_URL=url)
    for part in ("'NAME': 'shop'", "'PASSWORD': 'p@ss'", "'PORT': '6543'", "'sslmode': 'require'"):
        assert part in shown


def test_settings_manage_shows_a_sentence_and_no_traceback(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "manage.py", "check"],
        cwd=ROOT,
        env={**os.environ, "PORTAL_HOME": str(tmp_path), "PORT": "x"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert done.stderr == "PORT must be a number, at least 1 and at most 65535, but is “x”: correct or unset it.\n"


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        ("PORTAL_LOG_LEVEL", "FOO", "must be DEBUG, INFO, WARNING or ERROR, but is “FOO”"),
        ("PORTAL_LOG_FORMAT", "xml", "must be text or json, but is “xml”"),
        ("PORTAL_INSTANCE", "My_Portal", "must be 1 to 32 lower-case letters and digits, but is “My_Portal”"),
        ("PORTAL_GIT_PROTOCOLS", "ssh,htps", "must be a list of https, ssh, http, git and file, but is “ssh,htps”"),
        (
            "PORTAL_BUILD_REACH",
            "git.internal:443,http://x",
            "must be a list of host, host:port or range (10.1.0.0/16), but is “git.internal:443,http://x”",
        ),
        (
            "PORTAL_RUN_REACH",
            "10.1.0.0/66",
            "must be a list of host, host:port or range (10.1.0.0/16), but is “10.1.0.0/66”",
        ),
        ("PORTAL_HTTPS", "yes", "must be 0 or 1, but is “yes”"),
        ("PORT", "80000", "must be a number, at least 1 and at most 65535, but is “80000”"),
    ],
)
@pytest.mark.parametrize("command", [("manage.py", "check"), ("-m", "portal", "--no-install")], ids=["manage", "run"])
def test_settings_wrong_value_is_one_sentence(
    tmp_path: Path, command: tuple[str, ...], name: str, value: str, sentence: str
) -> None:
    done = subprocess.run(
        [sys.executable, *command],
        cwd=ROOT,
        env={**os.environ, "PORTAL_HOME": str(tmp_path), name: value},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == f"{name} {sentence}: correct or unset it.\n"


def test_settings_metrics_token_is_long_and_is_not_shown(tmp_path: Path) -> None:
    line = last_line(read("0", tmp_path, PORTAL_METRICS_TOKEN="s3cret"))
    assert line.endswith("PORTAL_METRICS_TOKEN must have at least 16 characters: make one, or unset it.")
    assert "s3cret" not in line
    assert said("s.METRICS_TOKEN", tmp_path, PORTAL_METRICS_TOKEN="s3cret-s3cret-s3cret") == "s3cret-s3cret-s3cret"


def test_settings_log_level_may_be_in_small_letters(tmp_path: Path) -> None:
    assert said("s.LOGGING['root']['level']", tmp_path, PORTAL_LOG_LEVEL="debug") == "DEBUG"


# ---- the data folder -----------------------------------------------------------------------------------


def test_settings_secret_and_instance_are_made_once_and_closed(tmp_path: Path) -> None:
    home = tmp_path / "home"
    first = said("s.SECRET_KEY, s.PORTAL_INSTANCE", home)
    assert said("s.SECRET_KEY, s.PORTAL_INSTANCE", home) == first
    assert re.fullmatch(r"[\w-]{60,} [0-9a-f]{8}", first)
    assert (home / "secret_key").stat().st_mode & 0o777 == 0o600
    assert home.stat().st_mode & 0o777 == 0o700
    assert sorted(path.name for path in home.iterdir()) == ["instance", "secret_key"]


def test_settings_instance_that_was_damaged_names_its_file(tmp_path: Path) -> None:
    (tmp_path / "instance").write_text("My_Portal\n")
    assert f"What is kept in {tmp_path / 'instance'} must be 1 to 32" in last_line(read("0", tmp_path))


def test_settings_relative_folders_start_beside_manage_wherever_one_stands(tmp_path: Path) -> None:
    folder = os.path.relpath(tmp_path / "home", ROOT)
    code = "from portal import settings as s; print(s.PORTAL_HOME, s.LOCAL_REPOSITORIES, s.STACK_DIRS[1].resolve())"
    folders = {"PORTAL_HOME": folder, "PORTAL_LOCAL_REPOSITORIES": f"{folder}/git", "PORTAL_STACKS": f"{folder}/own"}
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT), **folders},
        capture_output=True,
        text=True,
        check=True,
    )
    home = tmp_path.resolve() / "home"
    assert done.stdout.strip() == f"{home} {home / 'git'} {home / 'own'}"


def test_settings_two_homes_differ_in_secret_cookies_and_sockets(tmp_path: Path) -> None:
    expression = "s.SECRET_KEY, s.SESSION_COOKIE_NAME, s.CSRF_COOKIE_NAME, s.REDIS_URL, s.DATABASE_URL"
    one, two = (said(expression, tmp_path / name) for name in ("one", "two"))
    assert not set(one.split()) & set(two.split())


def test_settings_long_home_has_short_socket_paths(tmp_path: Path) -> None:
    home = tmp_path / ("deep" * 12) / ("down" * 12)
    run_dir = said("s.RUN_DIR", home)
    assert len(f"{run_dir}/postgres/.s.PGSQL.5432") < 100
    assert not run_dir.startswith(str(home))
    assert said("s.RUN_DIR", home, TMPDIR=str(tmp_path)) == run_dir


def test_settings_home_that_cannot_be_written_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert "cannot be used" in last_line(read("0", tmp_path / "file" / "home"))


def test_settings_builds_get_the_hosts_authorities_only_from_a_file(tmp_path: Path) -> None:
    bundle = tmp_path / "ca.pem"
    bundle.write_text("")
    assert said("s.BUILD_CA_BUNDLE", tmp_path, SSL_CERT_FILE=str(bundle)) == str(bundle)
    assert said("s.BUILD_CA_BUNDLE", tmp_path, SSL_CERT_FILE=str(tmp_path / "none.pem")) == ""


def test_settings_builds_get_the_hosts_proxy_and_our_own_wins(tmp_path: Path) -> None:
    host = {"HTTPS_PROXY": "http://one:3128", "no_proxy": "localhost"}
    assert said("s.BUILD_PROXY", tmp_path, **host) == "{'https_proxy': 'http://one:3128', 'no_proxy': 'localhost'}"
    ours = said("s.BUILD_PROXY['https_proxy']", tmp_path, **host, PORTAL_HTTPS_PROXY="http://two:3128")
    assert ours == "http://two:3128"
