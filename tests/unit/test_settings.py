"""Settings: what each may be, what they come to for clients and rules, and how they are listed."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from schemas.topics import Topic
from tests.unit.refused_settings import PASSWORD, file_with, refusal
from worker.configuration import load_settings
from worker.domain.policies import AccountPolicies
from worker.settings import Settings, SettingsError, settings_table


def test_without_file_and_environment_the_defaults_of_the_contract_hold() -> None:
    settings = load_settings(None, {})
    assert settings.bootstrap_servers == "127.0.0.1:9092"
    assert settings.app_id == "stockfreeze"
    assert settings.topic(Topic.ORDERS) == "orders.events.v1"
    assert (settings.web_host, settings.web_port) == ("127.0.0.1", 6066)
    assert settings.policies().of("anyone") == AccountPolicies()
    assert settings.client_options() == {"bootstrap_servers": "127.0.0.1:9092", "security_protocol": "PLAINTEXT"}


def test_an_account_has_the_rules_of_its_table_else_those_of_all(tmp_path: Path) -> None:
    config = file_with(
        tmp_path,
        'buffer = 5\ncount_policy = "report"\n[accounts."shop/1"]\nbuffer = 0\nretention_days = 7\n'
        '[accounts.two]\ncount_policy = "adopt"\ncount_origin = "erp"\ndefault_warehouse = "W 2"\n',
    )
    policies = load_settings(config, {"STOCKFREEZE_RETENTION_DAYS": "30"}).policies()
    assert policies.of("other") == AccountPolicies(buffer=5, count_policy="report", retention_days=30)
    assert policies.of("shop/1") == AccountPolicies(buffer=0, count_policy="report", retention_days=7)
    assert policies.of("two") == AccountPolicies(
        buffer=5, count_policy="adopt", count_origin="erp", default_warehouse="W 2", retention_days=30
    )


def test_the_topic_prefix_goes_before_each_name_as_it_is() -> None:
    settings = load_settings(None, {"STOCKFREEZE_TOPIC_PREFIX": "eu."})
    assert [settings.topic(topic) for topic in Topic] == [f"eu.{topic.value}" for topic in Topic]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("WEB_URL", "worker-1:6066"),
        ("WEB_URL", "ftp://worker-1"),
        ("WEB_URL", "http://worker-1:6066/?a=b"),
        ("WEB_URL", ""),
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
        ("ROLES", ""),
        ("ROLES", "ledgr"),
        ("ROLES", "ledger,"),
        ("ROLES", "ledger,intake"),
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


def test_a_certificate_that_cannot_be_loaded_is_refused_with_its_setting(tmp_path: Path) -> None:
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


@pytest.mark.parametrize(
    "url", ["http://worker-1", "https://[::1]:6066", "http://10.0.0.1:6066/", "https://ops.example/stockfreeze/w1/"]
)
def test_the_address_of_the_pages_may_be_behind_a_proxy(url: str) -> None:
    assert Settings(web_url=url).web_url == url.rstrip("/")


def test_the_engine_joins_with_the_data_that_it_is_given() -> None:
    assert Settings().engine_config(member_data=b"contact").member_data == b"contact"
    assert Settings().engine_config().member_data == b""


def test_roles_are_a_comma_list_in_which_each_counts_once(tmp_path: Path) -> None:
    assert load_settings(None, {}).roles == ("ledger",)
    assert load_settings(None, {"STOCKFREEZE_ROLES": " ledger , ledger"}).roles == ("ledger",)
    assert load_settings(file_with(tmp_path, 'roles = "ledger"'), {}).roles == ("ledger",)
    assert Settings().with_roles("ledger").roles == ("ledger",)


def test_a_role_that_there_is_not_is_refused_with_those_that_there_are() -> None:
    assert refusal({"STOCKFREEZE_ROLES": "ledgr"}) == (
        "setting ROLES (environment variable STOCKFREEZE_ROLES) must name roles that there are (ledger), separated by "
        "commas, not 'ledgr'"
    )
    with pytest.raises(SettingsError, match=r"^option --roles must name roles .* \(ledger\), .* not 'x,y'$"):
        Settings().with_roles("x,y")
