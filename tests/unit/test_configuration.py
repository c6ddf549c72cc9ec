"""Where settings come from, and that whatever is wrong is one sentence that names the setting."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.refused_settings import PASSWORD, file_with, refusal
from worker.configuration import load_settings
from worker.settings import Settings


def test_the_environment_wins_over_the_file_and_the_file_over_defaults(tmp_path: Path) -> None:
    config = file_with(tmp_path, 'web_port = 7000\napp_id = "from-file"\n')
    settings = load_settings(config, {"STOCKFREEZE_WEB_PORT": "7001"})
    assert settings.web_port == 7001
    assert settings.app_id == "from-file"
    assert settings.web_host == "127.0.0.1"


def test_a_value_in_the_file_is_refused_with_its_key_and_the_path(tmp_path: Path) -> None:
    config = file_with(tmp_path, "web_port = 70000\n")
    sentence = refusal({}, config)
    assert "WEB_PORT" in sentence
    assert "web_port" in sentence
    assert str(config) in sentence
    assert "70000" in sentence


@pytest.mark.parametrize(
    ("text", "requirement"),
    [
        ('buffer = "many"', "must be a whole number, not 'many'"),
        ("buffer = 1.5", "must be a whole number, not 1.5"),
        ("ssl_check_hostname = 3", "must be true or false, not 3"),
        ("accounts = 3", 'must be a table, such as [accounts."ID"], not 3'),
        ("[accounts]\nacme = 3", 'must be a table, such as [accounts."ID"], not 3'),
        ('app_id = ""', "must have at least 1 character, not ''"),
        ("retention_days = 0", "must be greater than or equal to 1, not 0"),
    ],
)
def test_what_a_value_must_be_is_told_in_words_of_the_file(tmp_path: Path, text: str, requirement: str) -> None:
    assert refusal({}, file_with(tmp_path, f"{text}\n")).endswith(requirement)


def test_true_is_not_a_number(tmp_path: Path) -> None:
    assert "BUFFER" in refusal({}, file_with(tmp_path, "buffer = true\n"))


def test_a_value_of_an_account_is_refused_with_the_account(tmp_path: Path) -> None:
    sentence = refusal({}, file_with(tmp_path, '[accounts."shop 1"]\nretention_days = 0\n'))
    assert "shop 1" in sentence
    assert "retention_days" in sentence


def test_an_account_without_an_id_is_refused_as_it_stands(tmp_path: Path) -> None:
    sentence = refusal({}, file_with(tmp_path, '[accounts.""]\nbuffer = 1\n'))
    assert sentence.startswith('the account id of [accounts.""] in ')


@pytest.mark.parametrize("text", ["web_port = 99999\n", "web_port = 'x'\n"])
def test_a_wrong_value_in_the_file_is_refused_even_if_overridden(tmp_path: Path, text: str) -> None:
    environ = {"STOCKFREEZE_WEB_PORT": "7000", "STOCKFREEZE_BUFFER": "1"}
    sentence = refusal(environ, file_with(tmp_path, text))
    assert sentence.startswith("setting WEB_PORT (web_port in ")


def test_a_login_may_stand_half_in_the_file_and_half_in_the_environment(tmp_path: Path) -> None:
    config = file_with(
        tmp_path, "security_protocol = 'SASL_PLAINTEXT'\nsasl_mechanism = 'PLAIN'\nsasl_username = 'u'\n"
    )
    settings = load_settings(config, {"STOCKFREEZE_SASL_PASSWORD": "p", "STOCKFREEZE_SASL_USERNAME": "v"})
    assert settings.sasl_username == "v"


def test_an_unknown_name_is_refused_with_the_name_that_was_meant(tmp_path: Path) -> None:
    assert "STOCKFREEZE_WEB_PROT (did you mean STOCKFREEZE_WEB_PORT)" in refusal({"STOCKFREEZE_WEB_PROT": "1"})
    assert "web_prot" in refusal({}, file_with(tmp_path, "web_prot = 1\n"))
    assert "did you mean buffer" in refusal({}, file_with(tmp_path, "[accounts.a]\nbufer = 1\n"))
    assert "did you mean buffer" in refusal({}, file_with(tmp_path, "BUFFER = 1\n"))
    assert "did you mean" not in refusal({"STOCKFREEZE_FOO": "1"})
    assert "STOCKFREEZE_web_port" in refusal({"STOCKFREEZE_web_port": "1"})


def test_accounts_are_not_taken_from_the_environment() -> None:
    assert "STOCKFREEZE_ACCOUNTS" in refusal({"STOCKFREEZE_ACCOUNTS": "{}"})


def test_variables_that_kubernetes_adds_for_a_service_are_ignored() -> None:
    settings = load_settings(
        None,
        {
            "STOCKFREEZE_SERVICE_HOST": "10.0.0.1",
            "STOCKFREEZE_SERVICE_PORT": "6066",
            "STOCKFREEZE_SERVICE_PORT_HTTP": "6066",
            "STOCKFREEZE_PORT": "tcp://10.0.0.1:6066",
            "STOCKFREEZE_PORT_6066_TCP": "tcp://10.0.0.1:6066",
            "STOCKFREEZE_PORT_6066_TCP_ADDR": "10.0.0.1",
        },
    )
    assert settings == Settings()


def test_a_file_that_cannot_be_read_is_refused_with_its_path(tmp_path: Path) -> None:
    assert str(tmp_path / "none.toml") in refusal({}, tmp_path / "none.toml")
    assert str(tmp_path) in refusal({}, tmp_path)
    assert "not TOML" in refusal({}, file_with(tmp_path, "web_port = \n"))


def test_a_password_is_never_printed(tmp_path: Path) -> None:
    environ = {
        "STOCKFREEZE_SECURITY_PROTOCOL": "SASL_PLAINTEXT",
        "STOCKFREEZE_SASL_USERNAME": "u",
        "STOCKFREEZE_SASL_PASSWORD": PASSWORD,
    }
    assert PASSWORD not in repr(load_settings(None, environ))
    assert PASSWORD not in refusal(environ | {"STOCKFREEZE_WEB_PORT": "x"})
    assert PASSWORD not in refusal({}, file_with(tmp_path, f'sasl_password = ["{PASSWORD}"]\n'))
