"""Settings: where they come from, and that whatever is wrong is one sentence that names the setting."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from schemas.topics import Topic
from worker.domain.rules import AccountRules
from worker.settings import Settings, SettingsError, load_settings, settings_table

PASSWORD = "correct horse"  # noqa: S105 - nobody's


def refusal(environ: dict[str, str], config: Path | None = None) -> str:
    with pytest.raises(SettingsError) as caught:
        load_settings(config, environ)
    sentence = str(caught.value)
    assert "\n" not in sentence
    return sentence


def file_with(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "stockfreeze.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_without_file_and_environment_the_defaults_of_the_contract_hold() -> None:
    settings = load_settings(None, {})
    assert settings.bootstrap_servers == "127.0.0.1:9092"
    assert settings.app_id == "stockfreeze"
    assert settings.topic(Topic.ORDERS) == "orders.events.v1"
    assert (settings.web_host, settings.web_port) == ("127.0.0.1", 6066)
    assert settings.rules().of("anyone") == AccountRules()
    assert settings.client_options() == {"bootstrap_servers": "127.0.0.1:9092", "security_protocol": "PLAINTEXT"}


def test_the_environment_goes_before_the_file_and_the_file_before_the_default(tmp_path: Path) -> None:
    config = file_with(tmp_path, 'web_port = 7000\napp_id = "from-file"\n')
    settings = load_settings(config, {"STOCKFREEZE_WEB_PORT": "7001"})
    assert settings.web_port == 7001
    assert settings.app_id == "from-file"
    assert settings.web_host == "127.0.0.1"


def test_an_account_has_the_rules_of_its_table_and_for_the_rest_those_of_all(tmp_path: Path) -> None:
    config = file_with(
        tmp_path,
        'buffer = 5\ncount_policy = "report"\n[accounts."shop/1"]\nbuffer = 0\nretention_days = 7\n'
        '[accounts.two]\ncount_policy = "adopt"\ncount_origin = "erp"\ndefault_warehouse = "W 2"\n',
    )
    rules = load_settings(config, {"STOCKFREEZE_RETENTION_DAYS": "30"}).rules()
    assert rules.of("other") == AccountRules(buffer=5, count_policy="report", retention_days=30)
    assert rules.of("shop/1") == AccountRules(buffer=0, count_policy="report", retention_days=7)
    assert rules.of("two") == AccountRules(
        buffer=5, count_policy="adopt", count_origin="erp", default_warehouse="W 2", retention_days=30
    )


def test_the_topic_prefix_goes_before_each_name_as_it_is() -> None:
    settings = load_settings(None, {"STOCKFREEZE_TOPIC_PREFIX": "eu."})
    assert [settings.topic(topic) for topic in Topic] == [f"eu.{topic.value}" for topic in Topic]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("WEB_PORT", "65536"),
        ("WEB_PORT", "http"),
        ("WEB_PORT", ""),
        ("WEB_HOST", ""),
        ("BUFFER", "-1"),
        ("BUFFER", "1.5"),
        ("RETENTION_DAYS", "0"),
        ("COUNT_POLICY", "Adopt"),
        ("COUNT_ORIGIN", "marketplace"),
        ("DEFAULT_WAREHOUSE", ""),
        ("DEFAULT_WAREHOUSE", "a\tb"),
        ("DEFAULT_WAREHOUSE", "w" * 129),
        ("BOOTSTRAP_SERVERS", "kafka"),
        ("BOOTSTRAP_SERVERS", "kafka:9092,"),
        ("BOOTSTRAP_SERVERS", "kafka:99999"),
        ("APP_ID", ""),
        ("APP_ID", "stock freeze"),
        ("TOPIC_PREFIX", "eu/"),
        ("PARTITIONS", "0"),
        ("REPLICATION_FACTOR", "-2"),
        ("REPLICATION_FACTOR", "0"),
        ("SECURITY_PROTOCOL", "TLS"),
        ("SASL_MECHANISM", "GSSAPI"),
        ("SSL_CAFILE", "/nowhere/ca.pem"),
        ("BREAKER_BAD_MAX", "-1"),
        ("BREAKER_BAD_MAX", "1001"),
        ("BREAKER_WINDOW", "0"),
        ("LOG_FORMAT", "xml"),
        ("LOG_LEVEL", "loud"),
    ],
)
def test_a_refused_value_is_told_with_the_name_of_its_setting(name: str, value: str) -> None:
    sentence = refusal({f"STOCKFREEZE_{name}": value})
    assert f"setting {name}" in sentence
    assert "must" in sentence


@pytest.mark.parametrize("value", ["localhost:9092", "a:1,b:2", "a:1, b:2", "[::1]:9092", "10.0.0.1:65535"])
def test_brokers_are_given_as_hosts_and_ports(value: str) -> None:
    settings = load_settings(None, {"STOCKFREEZE_BOOTSTRAP_SERVERS": value})
    assert settings.bootstrap_servers == value.replace(" ", "")


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
def test_a_value_in_the_file_is_refused_also_where_the_environment_goes_before_it(tmp_path: Path, text: str) -> None:
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


def test_variables_that_kubernetes_adds_for_a_service_of_our_name_are_ignored() -> None:
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


def test_a_login_needs_its_name_and_password_and_a_protocol_that_uses_them() -> None:
    login = {"STOCKFREEZE_SECURITY_PROTOCOL": "SASL_PLAINTEXT"}
    assert "SASL_USERNAME" in refusal(login)
    assert "SASL_PASSWORD" in refusal(login | {"STOCKFREEZE_SASL_USERNAME": "u"})
    assert "SECURITY_PROTOCOL" in refusal({"STOCKFREEZE_SASL_PASSWORD": PASSWORD})
    options = load_settings(
        None, login | {"STOCKFREEZE_SASL_USERNAME": "u", "STOCKFREEZE_SASL_PASSWORD": PASSWORD}
    ).client_options()
    assert options["sasl_plain_username"] == "u"
    assert options["sasl_plain_password"] == PASSWORD
    assert options["sasl_mechanism"] == "PLAIN"


def test_a_password_is_never_printed(tmp_path: Path) -> None:
    environ = {
        "STOCKFREEZE_SECURITY_PROTOCOL": "SASL_PLAINTEXT",
        "STOCKFREEZE_SASL_USERNAME": "u",
        "STOCKFREEZE_SASL_PASSWORD": PASSWORD,
    }
    assert PASSWORD not in repr(load_settings(None, environ))
    assert PASSWORD not in refusal(environ | {"STOCKFREEZE_WEB_PORT": "x"})
    assert PASSWORD not in refusal({}, file_with(tmp_path, f'sasl_password = ["{PASSWORD}"]\n'))


def test_certificates_are_loaded_and_one_that_cannot_be_is_refused_with_its_setting(tmp_path: Path) -> None:
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("openssl, which makes the certificate of this test, is not installed")
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    make = f"{openssl} req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=test"
    subprocess.run([*make.split(), "-keyout", str(key), "-out", str(certificate)], check=True, capture_output=True)
    encrypted = {"STOCKFREEZE_SECURITY_PROTOCOL": "SSL", "STOCKFREEZE_SSL_CAFILE": str(certificate)}
    context = load_settings(None, encrypted | {"STOCKFREEZE_SSL_CHECK_HOSTNAME": "false"}).client_options()[
        "ssl_context"
    ]
    assert getattr(context, "check_hostname", None) is False
    own = {"STOCKFREEZE_SSL_CERTFILE": str(certificate), "STOCKFREEZE_SSL_KEYFILE": str(key)}
    assert "ssl_context" in load_settings(None, encrypted | own).client_options()
    assert "SSL_CERTFILE" in refusal(encrypted | {"STOCKFREEZE_SSL_KEYFILE": str(key)})
    assert "SSL_KEYFILE" in refusal(encrypted | own | {"STOCKFREEZE_SSL_KEYFILE": str(certificate)})
    assert "SSL_CAFILE" in refusal(encrypted | {"STOCKFREEZE_SSL_CAFILE": str(key)})
    assert "SSL_CAFILE" in refusal({"STOCKFREEZE_SSL_CAFILE": str(certificate)})


def test_the_table_of_settings_names_each_with_its_default_and_meaning() -> None:
    rows = {row.name: row for row in settings_table()}
    assert len(rows) == len(Settings.model_fields)
    assert rows["STOCKFREEZE_WEB_PORT"].default == "6066"
    assert all(row.description.endswith(".") for row in rows.values())
